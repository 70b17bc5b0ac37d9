"""Which logs there are to read, and how they follow one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from watcher import following
from watcher.cluster import ApiRefused, Cluster, Object
from watcher.following import Part, containers, follow_all, parts

ENDED = {"terminated": {"exitCode": 0}}
RUNNING: dict[str, Any] = {"running": {}}
WAITING = {"waiting": {"reason": "PodInitializing"}}


def pod(created: str = "2026-01-01T00:00:00Z", **states: dict[str, Any]) -> Object:
    """A Pod with the containers `migrate` and `app`; the kubelet tells their states in no order of use."""
    return {
        "metadata": {"namespace": "n", "name": f"pod-{created[11:13]}", "uid": created, "creationTimestamp": created},
        "spec": {"initContainers": [{"name": "migrate"}], "containers": [{"name": "app"}]},
        "status": {
            kind: [
                {"name": name, "restartCount": 0, **state} for name, state in sorted(states.items()) if name in names
            ]
            for kind, names in (("initContainerStatuses", ["migrate"]), ("containerStatuses", ["app"]))
        },
    }


def names(found: list[Part]) -> list[tuple[str, str]]:
    return [(part.pod, part.container) for part in found]


def test_containers_come_in_the_order_in_which_they_start() -> None:
    old = pod("2026-01-01T00:00:00Z", migrate={"state": ENDED}, app={"state": RUNNING})
    new = pod("2026-01-01T01:00:00Z", migrate={"state": RUNNING}, app={"state": WAITING})
    found = parts([new, old], None, previous=False)
    assert names(found) == [("pod-00", "migrate"), ("pod-00", "app"), ("pod-01", "migrate")]
    assert names(parts([new, old], "app", previous=False)) == [("pod-00", "app")]
    assert containers([old, new]) == ["migrate", "app"]


def test_the_run_before_a_restart() -> None:
    restarted = {"state": RUNNING, "lastState": ENDED, "restartCount": 2}
    found = parts([pod(migrate={"state": ENDED}, app=restarted)], None, previous=True)
    assert [(part.container, part.restarts, part.previous) for part in found] == [("app", 1, True)]
    assert found[0].title == "n/pod-00 app (before its restart)"


def test_between_two_starts_it_is_one_run() -> None:
    runs = [
        {"state": ENDED, "restartCount": 1},
        {"state": WAITING, "lastState": ENDED, "restartCount": 2},
        {"state": RUNNING, "lastState": ENDED, "restartCount": 2},
    ]
    found = [part for run in runs for part in parts([pod(app=run)], None, previous=False)]
    assert [part.restarts for part in found] == [1, 1, 2]


def test_one_run_follows_the_other_until_nothing_can(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[tuple[list[Part], bool]] = [
        ([], False),
        ([Part("n", "p", "u", "unpack", 0)], False),
        ([Part("n", "p", "u", "unpack", 0), Part("n", "p", "u", "build", 0)], False),
        ([Part("n", "p", "u", "unpack", 0), Part("n", "p", "u", "build", 0)], True),
    ]
    monkeypatch.setattr(following, "_PAUSE_SECONDS", 0.001)

    def read(_cluster: Cluster, part: Part, _seconds: float, *, follow: bool) -> Iterator[str]:
        assert follow
        yield f"of {part.container}"
        if part.container == "build":
            raise ApiRefused(404, "NotFound", "its Pod is gone")

    monkeypatch.setattr(following, "read", read)
    found = follow_all(object(), lambda: looks.pop(0), 60)  # type: ignore[arg-type]
    assert [(part.container, list(lines)) for part, lines in found] == [
        ("unpack", ["of unpack"]),
        ("build", ["of build", "[its Pod is gone (HTTP 404 NotFound)]"]),
    ]


def test_it_ends_when_its_time_is_over() -> None:
    assert list(follow_all(object(), lambda: ([], False), 0.01)) == []  # type: ignore[arg-type]
