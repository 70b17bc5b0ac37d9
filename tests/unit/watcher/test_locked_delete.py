"""A delete that meets a lock says so once and is tried again later, however often its own status is news to it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from provisioner.errors import EngineKilled, LockOwner, StackLocked
from provisioner.stack import UpdateResult
from tests import samples
from tests.e2e.waiting import until
from tests.whole_watcher import whole_watcher
from watcher.cluster import REVIEW_APPS
from watcher.conditions import find_condition

STACK = "acme.shop.42"
LOCKED = StackLocked(STACK, [LockOwner("root", "elsewhere", 1, datetime.datetime.now(datetime.UTC))])


def test_it_says_so_once() -> None:
    spec = samples.review_app()["spec"]
    settings = samples.settings()
    tries: list[str] = []
    said: list[str] = []

    def locked(*_: Any) -> UpdateResult:
        tries.append(STACK)
        raise LOCKED

    with whole_watcher(settings, [spec["config"]["namespace"], settings.build_namespace]) as watcher:
        write = watcher.cluster.patch

        def note(resource: Any, namespace: str | None, name: str, body: Any, **more: Any) -> Any:
            if more.get("subresource") == "status":
                said.extend(_reasons(body))
            return write(resource, namespace, name, body, **more)

        with (
            patch.object(watcher.stacks, "up", side_effect=EngineKilled("pulumi up", 9)),
            patch.object(watcher.stacks, "recover", locked),
            patch.object(watcher.cluster, "patch", note),
        ):
            watcher.cluster.create(REVIEW_APPS, None, {"metadata": {"name": "shop"}, "spec": spec})
            until(lambda: "StackLocked" in said, "the update says so")
            said.clear()
            tries.clear()
            watcher.cluster.delete(REVIEW_APPS, None, "shop")
            until(lambda: len(tries) >= 2, "it is tried again")
        assert said == ["Deleting", "StackLocked"]
        watcher.controller.look_at("shop")
        until(lambda: watcher.cluster.get(REVIEW_APPS, None, "shop") is None, "it is gone once there is no lock")


def _reasons(body: Any) -> Iterator[str]:
    ready = find_condition(body, "Ready")
    if ready:
        yield ready["reason"]
