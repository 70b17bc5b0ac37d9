"""The journal, against Secrets kept in memory, whose writes fail and whose answers are lost on cue."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from kubernetes.client import Configuration

from provisioner.errors import ClusterUnreachable
from tests.unit.watcher.views import SECOND, entry, inputs
from watcher.cluster import ApiRefused, Cluster, Object, Resource
from watcher.journal import HostHeld, Journal, JournalChanged, StackHeld

STACK = "acme.shop.42"


class Secrets(Cluster):
    """As the API server treats them: a name is created once, and replaced only if it is there."""

    def __init__(self) -> None:
        super().__init__(Configuration())
        self.items: dict[str, Object] = {}
        self.unreachable = False
        self.loses_answers = False
        self._versions = itertools.count(1)

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
    ) -> tuple[list[Object], str]:
        return [item for key, item in self.items.items() if name in {None, key}], "1"

    def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        return self._write(body, wanted=False)

    def replace(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        return self._write(body, wanted=True)

    def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        self.items.pop(name, None)

    def _write(self, body: Object, *, wanted: bool) -> Object:
        name = body["metadata"]["name"]
        if self.unreachable:
            raise ClusterUnreachable("connection refused")
        if (name in self.items) is not wanted:
            raise ApiRefused(404 if wanted else 409, "NotFound" if wanted else "AlreadyExists", name)
        version = body["metadata"].get("resourceVersion")
        if wanted and version not in {None, self.items[name]["metadata"]["resourceVersion"]}:
            raise ApiRefused(409, "Conflict", name)
        body = body | {"metadata": body["metadata"] | {"resourceVersion": str(next(self._versions))}}
        self.items[name] = body
        if self.loses_answers:
            raise ClusterUnreachable("connection reset")
        return body


def test_an_entry_is_the_same_after_a_restart() -> None:
    secrets = Secrets()
    written = entry("applying", inputs())
    Journal(secrets, "system").write(written)
    journal = Journal(secrets, "system")
    journal.load()
    assert journal.all() == [written]
    assert journal.get("acme-shop-42") == written
    assert journal.holder(STACK) == "acme-shop-42"


def test_an_entry_that_can_not_be_read_is_passed_over_and_written_anew() -> None:
    secrets = Secrets()
    written = entry("applied", inputs())
    Journal(secrets, "system").write(written)
    (secret,) = secrets.items.values()
    secret["data"] = {"entry": "bm9uc2Vuc2U="}
    journal = Journal(secrets, "system")
    journal.load()
    assert journal.all() == []
    journal.write(written)
    assert journal.all() == [written]


def test_a_stack_is_that_of_its_first_review_app_until_it_is_forgotten() -> None:
    journal = Journal(Secrets(), "system")
    first = entry("applying", inputs())
    second = dataclasses.replace(first, review_app="second")
    journal.write(first)
    with pytest.raises(StackHeld) as held:
        journal.write(second)
    assert held.value.holder == "acme-shop-42"
    assert journal.get("second") is None
    journal.remove("acme-shop-42")
    journal.write(second)
    assert journal.holder(STACK) == "second"


OTHERS: dict[str, Any] = {"repoOwner": "other"}


def test_a_host_is_that_of_its_first_review_app_in_whatever_namespace() -> None:
    journal = Journal(Secrets(), "system")
    journal.write(entry("applied", inputs()))
    second = dataclasses.replace(entry("applying", inputs(**OTHERS)), review_app="other-shop-42")
    with pytest.raises(HostHeld) as held:
        journal.write(second)
    assert held.value.holder == journal.host_holder("shop-42") == "acme-shop-42"
    assert journal.holder(second.inputs.stack) is None
    journal.remove("acme-shop-42")
    journal.write(second)
    assert journal.host_holder("shop-42") == "other-shop-42"


def test_of_two_with_one_host_from_earlier_the_older_has_it_and_both_can_be_destroyed() -> None:
    secrets, others = Secrets(), Secrets()
    younger = dataclasses.replace(entry("applied", inputs(**OTHERS)), review_app="aaa")
    Journal(others, "system").write(younger)
    Journal(secrets, "system").write(entry("applied", inputs()))
    secrets.items |= others.items
    for secret in secrets.items.values():
        is_younger = secret["metadata"]["name"].endswith("aaa")
        secret["metadata"]["creationTimestamp"] = f"2026-01-0{2 if is_younger else 1}T00:00:00Z"
    secrets.items = dict(sorted(secrets.items.items()))
    journal = Journal(secrets, "system")
    journal.load()
    assert journal.host_holder("shop-42") == "acme-shop-42"
    journal.write(dataclasses.replace(younger, phase="destroying"))
    journal.remove("aaa")
    assert journal.host_holder("shop-42") == "acme-shop-42"


def test_a_write_that_failed_holds_nothing() -> None:
    secrets = Secrets()
    journal = Journal(secrets, "system")
    secrets.unreachable = True
    with pytest.raises(ClusterUnreachable):
        journal.write(entry("applying", inputs()))
    assert journal.holder(STACK) is None
    assert journal.all() == []


def test_a_later_write_that_failed_keeps_what_was_there() -> None:
    secrets = Secrets()
    journal = Journal(secrets, "system")
    first = entry("applied", inputs())
    journal.write(first)
    secrets.unreachable = True
    with pytest.raises(ClusterUnreachable):
        journal.write(entry("applying", inputs(commitHash=SECOND)))
    assert journal.get("acme-shop-42") == first
    assert journal.holder(STACK) == "acme-shop-42"


def test_a_write_whose_answer_was_lost_is_written_again() -> None:
    secrets = Secrets()
    journal = Journal(secrets, "system")
    secrets.loses_answers = True
    with pytest.raises(ClusterUnreachable):
        journal.write(entry("applying", inputs()))
    secrets.loses_answers = False
    journal.write(entry("applying", inputs()))
    assert len(secrets.items) == 1


def test_an_entry_that_somebody_deleted_is_written_anew() -> None:
    secrets = Secrets()
    journal = Journal(secrets, "system")
    journal.write(entry("applying", inputs()))
    secrets.items.clear()
    journal.write(entry("applied", inputs()))
    assert len(secrets.items) == 1


def test_what_is_forgotten_is_gone_from_the_cluster() -> None:
    secrets = Secrets()
    journal = Journal(secrets, "system")
    journal.write(entry("destroyed", inputs()))
    journal.remove("acme-shop-42")
    journal.remove("acme-shop-42")
    assert (journal.all(), secrets.items) == ([], {})


def test_what_another_watcher_has_written_since_is_kept_and_known() -> None:
    secrets = Secrets()
    paused, leader = Journal(secrets, "system"), Journal(secrets, "system")
    paused.write(entry("applying", inputs()))
    leader.load()
    newer = entry("applied", inputs(commitHash=SECOND))
    leader.write(newer)
    with pytest.raises(JournalChanged):
        paused.write(entry("applied", inputs()))
    assert paused.get("acme-shop-42") == newer
    again = Journal(secrets, "system")
    again.load()
    assert again.all() == [newer]
    # Who knows what is there may write.
    paused.write(dataclasses.replace(newer, phase="destroying"))


def test_a_lost_answer_before_another_entry_is_looked_at_first() -> None:
    secrets = Secrets()
    journal = Journal(secrets, "system")
    secrets.loses_answers = True
    with pytest.raises(ClusterUnreachable):
        journal.write(entry("applying", inputs()))
    secrets.loses_answers = False
    with pytest.raises(JournalChanged):
        journal.write(entry("applying", inputs(commitHash=SECOND)))
    assert journal.get("acme-shop-42") == entry("applying", inputs())
    journal.write(entry("applying", inputs(commitHash=SECOND)))
    assert len(secrets.items) == 1


def test_what_somebody_else_has_written_is_learnt_and_can_be_written_on() -> None:
    secrets = Secrets()
    mine, theirs = Journal(secrets, "system"), Journal(secrets, "system")
    mine.load()
    name = "acme-shop-42"
    mine.learn(name)
    assert mine.get(name) is None
    theirs.write(entry("applying", inputs()))
    mine.learn(name)
    found = mine.get(name)
    assert found
    assert mine.holder(STACK) == name
    mine.write(dataclasses.replace(found, phase="applied"))
    theirs.load()
    assert (theirs.get(name) or found).phase == "applied"
