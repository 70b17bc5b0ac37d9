"""Two watchers on one installation: one acts, the other goes on when it is paused, killed or told to end."""

from __future__ import annotations

import time
from collections.abc import Generator

import pytest

from dev.installation import Installation
from tests.e2e.conftest import Repository
from tests.e2e.engine_counts import EngineCounts
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher

pytestmark = pytest.mark.cluster


@pytest.fixture
def second(installation: Installation, watcher: RunningWatcher) -> Generator[RunningWatcher]:
    second = RunningWatcher(installation, watcher.settings)
    second.start()
    yield second
    if second.runs:
        assert second.stop() == 0


def until_leads(watcher: RunningWatcher, seconds: float) -> float:
    """Wait until it is the one that acts; return for how long."""
    began = time.monotonic()
    until(lambda: watcher.leads, "it acts", seconds)
    return time.monotonic() - began


def test_whatever_ends_one_the_other_goes_on(
    repository: Repository, commits: dict[str, str], watcher: RunningWatcher, second: RunningWatcher
) -> None:
    assert (watcher.leads, second.leads) == (True, False)
    first = [repository.pull_request() for _ in range(3)]
    others = [repository.pull_request() for _ in range(2)]
    with EngineCounts(watcher.folder) as counts:
        # Paused in the middle of updates, which it can't end: they are ended for it.
        for pull_request in first:
            pull_request.open(commits["broken"])
        until(lambda: len(watcher.engines()) >= 2, "engines run")
        watcher.pause()
        seconds = [until_leads(second, 15)]
        watcher.resume()

        # Killed in the middle of updates and destroys.
        until(lambda: not watcher.leads, "it finds its time over")
        for pull_request in others:
            pull_request.open(commits["broken"])
        first[0].close()
        until(watcher.engines, "engines run")
        second.kill()
        seconds.append(until_leads(watcher, 15))
        second.start()

        # Told to end in the middle of work.
        first[1].close()
        until(watcher.engines, "engines run")
        began = time.monotonic()
        assert watcher.stop() == 0
        until_leads(second, 5)
        seconds.append(time.monotonic() - began)
        # Two seconds on a machine that has nothing else to do.
        assert seconds[-1] < 5

        for pull_request in first[:2]:
            pull_request.until_gone()
        for pull_request in [first[2], *others]:
            pull_request.until_condition("Built", "False", "BuildFailed")
    assert counts.most_on_one_stack == 1
    locks = (watcher.folder / "state" / ".pulumi" / "locks").rglob("*.json")
    assert [lock for lock in locks if any(one.stack in str(lock) for one in (*first, *others))] == []
