"""A whole watcher in memory, fed with hostile specs; with more of them by `python -m tests.fuzz --watcher`."""

from __future__ import annotations

import threading
import time

import pytest

from tests import samples
from tests.fuzz import check_in_watcher
from tests.whole_watcher import whole_watcher
from watcher.cluster import REVIEW_APPS


@pytest.mark.parametrize("mode", ["shared", "per-app"])
def test_it_lives_through_hostile_specs(mode: str) -> None:
    # Among these are ones without text where there should be some, and one that is no Unicode.
    *_, (accepted, refused) = check_in_watcher(range(380, 530), batch=75, namespace_mode=mode)
    assert accepted + refused == 150
    assert accepted > 15


def test_a_worker_that_does_not_come_back_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = samples.settings(workers=2, engine_timeout_seconds=60)
    may_go_on, has_begun = threading.Event(), threading.Event()
    document = samples.review_app()
    del document["spec"]["config"]["database"]
    places = [document["spec"]["config"]["namespace"], settings.build_namespace]
    with whole_watcher(settings, places) as watcher:
        up = watcher.stacks.up

        def hang(*arguments: object) -> object:
            has_begun.set()
            may_go_on.wait(30)
            return up(*arguments)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(watcher.stacks, "up", hang)
        watcher.cluster.create(REVIEW_APPS, None, document)
        try:
            assert has_begun.wait(30)
            assert watcher.controller.problems(time.monotonic() + 400) == []
            (said,) = watcher.controller.problems(time.monotonic() + 600)
            assert said.startswith(f"a worker has been at {document['metadata']['name']} for 6")
        finally:
            may_go_on.set()
