"""Which machines an engine may have left a lock on, as the journal remembers them."""

from __future__ import annotations

import dataclasses

from tests.samples.memory import MemoryCluster
from tests.unit.watcher.views import entry, inputs
from watcher.journal import Journal


def test_who_was_cut_off_is_known_until_an_engine_has_ended_well() -> None:
    cut_off = dataclasses.replace(entry("applying", inputs()), host="watcher-a")
    taken_over = cut_off.begun("destroying", "watcher-b")
    assert (taken_over.host, taken_over.earlier_hosts) == ("watcher-b", ("watcher-a",))
    again = taken_over.begun("destroying", "watcher-c").begun("destroying", "watcher-a")
    assert (again.host, again.earlier_hosts) == ("watcher-a", ("watcher-b", "watcher-c"))
    assert again.ended("destroyed").earlier_hosts == ()


def test_another_watcher_reads_them_too() -> None:
    cluster = MemoryCluster()
    written = entry("applying", inputs()).begun("destroying", "watcher-b")
    Journal(cluster, "system").write(written)
    journal = Journal(cluster, "system")
    journal.load()
    assert journal.all() == [written]
