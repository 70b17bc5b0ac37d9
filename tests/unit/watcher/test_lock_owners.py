"""Whose lock may be taken away, by what the API server says of its Pod and by how long we have led."""

from __future__ import annotations

import datetime

import pytest
from kubernetes.client import Configuration

from provisioner.errors import LockOwner
from tests.unit.watcher.leases import Clock
from watcher.cluster import Cluster, Object, Resource
from watcher.leadership import Term
from watcher.lock_owners import is_dead

LOCKED_AT = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)
OWNER = LockOwner("watcher", "reviewapp-1", 7, LOCKED_AT)


class Pods(Cluster):
    def __init__(self, pod: Object | None) -> None:
        super().__init__(Configuration())
        self._pod = pod

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        assert (resource.kind, namespace, name) == ("Pod", "system", "reviewapp-1")
        return self._pod


def running_since(time: str, name: str = "watcher") -> Object:
    return {"name": name, "state": {"running": {"startedAt": time}}}


def pod(*statuses: Object, phase: str = "Running") -> Object:
    return {"status": {"phase": phase, "containerStatuses": list(statuses)}}


def judge(found: Object | None, *, age: float = 0.0, began_after: float = 60.0) -> bool:
    clock = Clock()
    term = Term(clock, 1e9)
    term.began = LOCKED_AT.timestamp() + began_after
    clock.now += age
    return is_dead(Pods(found), "system", {"reviewapp-1"}, term, OWNER)


BEFORE, AFTER = "2026-01-01T11:00:00Z", "2026-01-01T12:00:01Z"


@pytest.mark.parametrize(
    ("found", "dead"),
    [
        (None, True),
        (pod(running_since(BEFORE)), False),
        (pod(running_since("2026-01-01T12:00:00Z")), False),
        (pod(running_since(AFTER)), True),
        (pod(running_since(BEFORE), running_since(AFTER, "sidecar")), False),
        (pod(running_since(AFTER), running_since(BEFORE, "sidecar")), True),
        (pod({"name": "watcher", "state": {"terminated": {"exitCode": 137}}}), True),
        (pod({"name": "watcher", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}), False),
        (pod(running_since(BEFORE), phase="Failed"), True),
        (pod(), False),
    ],
)
def test_the_api_servers_word_on_a_pod(found: Object | None, dead: bool) -> None:
    assert judge(found) is dead


@pytest.mark.parametrize(
    ("age", "began_after", "dead"), [(29.0, 60.0, False), (31.0, 60.0, True), (3_600.0, -1.0, False)]
)
def test_a_lease_that_was_taken_from_it_long_ago(age: float, began_after: float, dead: bool) -> None:
    assert judge(pod(running_since(BEFORE)), age=age, began_after=began_after) is dead


def test_who_was_never_seen_to_run_an_engine_is_not_judged() -> None:
    assert not is_dead(Pods(None), "system", {"reviewapp-2"}, Term(Clock(), 1e9), OWNER)
