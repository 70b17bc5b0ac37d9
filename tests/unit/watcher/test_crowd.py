"""A thousand ReviewApps at once, and pushes without end: as many engines as workers, and nobody is left waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from provisioner.stack import UpdateResult
from stacks.inputs import StackInputs
from tests import samples
from tests.whole_watcher import WholeWatcher, whole_watcher
from watcher.cluster import REVIEW_APPS, section

SETTINGS = samples.settings(workers=3)
PLACES = ("review-shop", SETTINGS.build_namespace)
_ENGINE_SECONDS = 0.002
# With the first app in a namespace come the threads that follow what is in it.
_FOLLOWED_SECONDS = 1.0


class Engines:
    """How many run at once, at most, and which stacks they were run for, in order."""

    def __init__(self, up: Callable[[StackInputs, int], UpdateResult]) -> None:
        self.most = 0
        self.runs: list[str] = []
        self._up = up
        self._running = 0
        self._lock = threading.Lock()

    def run(self, inputs: StackInputs, slot: int) -> UpdateResult:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
            self.runs.append(inputs.stack)
        time.sleep(_ENGINE_SECONDS)
        try:
            return self._up(inputs, slot)
        finally:
            with self._lock:
                self._running -= 1


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def spec(number: int, commit: str | None = None) -> dict[str, Any]:
    spec = samples.review_app()["spec"]
    del spec["config"]["database"]
    spec["config"]["namespace"] = PLACES[0]
    return spec | {"pr": str(number), "commitHash": commit or f"{number:040x}"}


def begin(watcher: WholeWatcher, monkeypatch: pytest.MonkeyPatch) -> Engines:
    engines = Engines(watcher.stacks.up)
    monkeypatch.setattr(watcher.stacks, "up", engines.run)
    return engines


def open_one(watcher: WholeWatcher, number: int) -> None:
    watcher.cluster.create(REVIEW_APPS, None, {"metadata": {"name": f"app-{number}"}, "spec": spec(number)})


def test_a_thousand_at_once_run_as_many_engines_as_there_are_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    with whole_watcher(SETTINGS, PLACES) as watcher:
        engines = begin(watcher, monkeypatch)
        open_one(watcher, 1)
        until(lambda: len(watcher.stacks.updates) == 1)
        time.sleep(_FOLLOWED_SECONDS)
        threads = threading.active_count()
        for number in range(2, 1002):
            open_one(watcher, number)
        until(lambda: len(watcher.stacks.updates) == 1001)
        assert engines.most == SETTINGS.workers
        assert len(engines.runs) == 1001, "each stack was updated once"
        assert threading.active_count() <= threads


def test_who_is_pushed_to_all_the_time_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    with whole_watcher(samples.settings(workers=1), PLACES) as watcher:
        engines = begin(watcher, monkeypatch)
        open_one(watcher, 1)
        stop = threading.Event()

        def push() -> None:
            for number in range(10_000):
                if stop.is_set():
                    return
                watcher.cluster.patch(REVIEW_APPS, None, "app-1", {"spec": {"commitHash": f"{number + 2:040x}"}})

        pushing = threading.Thread(target=push)
        pushing.start()
        try:
            for number in range(2, 22):
                open_one(watcher, number)
            until(lambda: len(watcher.stacks.updates) == 21)
            # Between two of the others' first updates, the one that is pushed to comes round once.
            assert engines.runs.count("acme.shop.1") <= 2 * 21
        finally:
            stop.set()
            pushing.join()
        pushed = section(watcher.cluster.get(REVIEW_APPS, None, "app-1") or {}, "spec")["commitHash"]
        until(lambda: (build := watcher.stacks.updates["acme.shop.1"].build) is not None and build.commit == pushed)
