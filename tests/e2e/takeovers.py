"""The watcher that acts is killed again and again under load: `TAKEOVERS=20 python -m dev test tests/e2e/takeovers.py`.

Two watchers with hosts of their own, as Pods have, so that nothing but the Lease tells that one has gone. Half of the
kills take its engines along, as the end of a container does. Seed and figures are printed.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections.abc import Generator
from contextlib import suppress

import pytest

from dev.installation import Installation
from dev.sample import Sample
from tests.e2e.conftest import SETTINGS
from tests.e2e.engine_counts import EngineCounts
from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import NAMESPACES, Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

_NAMESPACE = "e2e-takeovers"
_MOST_OPEN = 6
_HAND_OVERS = 5


class Load:
    """A bot that opens, pushes and closes pull requests all the time, a few at once."""

    def __init__(self, cluster: Cluster, sample: Sample, watcher: RunningWatcher, commits: list[str]) -> None:
        self.open: list[PullRequest] = []
        self.closed: list[PullRequest] = []
        self._cluster, self._sample, self._state = cluster, sample, watcher.folder / "state"
        self._commits = itertools.cycle(commits)
        self._numbers = itertools.count(5001)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def close(self) -> list[str]:
        """Close what is open, wait until all is gone, and return what is left of it."""
        for pull_request in self.open:
            pull_request.close()
        everything = [*self.open, *self.closed]
        for pull_request in everything:
            pull_request.until_gone()
        left = [entry for pull_request in everything for entry in pull_request.left()]
        self._cluster.delete(NAMESPACES, None, _NAMESPACE)
        return left

    def _run(self) -> None:
        while not self._stopped.wait(0.4):
            if len(self.open) >= _MOST_OPEN:
                going = self.open.pop(0)
                going.close()
                self.closed.append(going)
            number = next(self._numbers)
            self.open.append(PullRequest(self._cluster, self._sample, _NAMESPACE, number, self._state))
            self.open[-1].open(next(self._commits))
            if len(self.open) > 2:
                self.open[-3].push(next(self._commits))


@pytest.fixture
def watchers(installation: Installation) -> Generator[tuple[RunningWatcher, RunningWatcher]]:
    installation.namespace(_NAMESPACE)
    pair = RunningWatcher(installation, SETTINGS), RunningWatcher(installation, SETTINGS)
    for watcher, host in zip(pair, ("watcher-a", "watcher-b"), strict=True):
        watcher.host = host
        watcher.start()
    yield pair
    for watcher in pair:
        if watcher.runs:
            watcher.stop()


def test_takeovers(
    cluster: Cluster,
    sample: Sample,
    commits: dict[str, str],
    watchers: tuple[RunningWatcher, RunningWatcher],
) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    chosen = random.Random(seed)
    number = int(os.environ.get("TAKEOVERS") or 20)
    leader, other = watchers
    _until_leads(leader)
    load = Load(cluster, sample, leader, [commits["broken"], commits["crashing"]])
    seconds: list[float] = []
    with EngineCounts(leader.folder) as counts:
        for _ in range(number):
            until(leader.engines, "engines run")
            time.sleep(chosen.random())
            engines = leader.engines() if chosen.random() < 0.5 else []
            leader.kill()
            began = time.monotonic()
            for pid in engines:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _until_leads(other)
            seconds.append(time.monotonic() - began)
            leader.start()
            leader, other = other, leader
        load.stop()
        for pull_request in load.open:
            _until_explained(pull_request)
        left = load.close()
    sys.stdout.write(
        f"\nseed {seed}: {number} kills, {len(load.open) + len(load.closed)} review apps; the next one acts after "
        f"{_span(seconds)}; at most {counts.most_on_one_stack} engine on one stack in {counts.looks} looks; left: "
        f"{left or 'nothing'}\n"
    )
    assert counts.most_on_one_stack == 1
    assert left == []
    assert max(seconds) < 15


def test_hand_overs(
    cluster: Cluster,
    sample: Sample,
    commits: dict[str, str],
    watchers: tuple[RunningWatcher, RunningWatcher],
) -> None:
    leader, other = watchers
    _until_leads(leader)
    idle: list[float] = []
    busy: list[float] = []
    for _ in range(_HAND_OVERS):
        idle.append(_hand_over(leader, other))
        leader, other = other, leader
    load = Load(cluster, sample, leader, [commits["broken"]])
    with EngineCounts(leader.folder) as counts:
        for _ in range(_HAND_OVERS):
            until(leader.engines, "engines run")
            busy.append(_hand_over(leader, other))
            leader, other = other, leader
        load.stop()
        left = load.close()
    sys.stdout.write(
        f"\n{_HAND_OVERS} hand-overs each, SIGTERM until the other acts: without engines {_span(idle)}, with engines "
        f"running {_span(busy)}; at most {counts.most_on_one_stack} engine on one stack; left: {left or 'nothing'}\n"
    )
    assert counts.most_on_one_stack == 1
    assert left == []


def _hand_over(leader: RunningWatcher, other: RunningWatcher) -> float:
    """Tell the leader to end; return how many seconds it took until the other acted. Both run after it."""
    began = time.monotonic()
    os.kill(leader.pid, signal.SIGTERM)
    _until_leads(other)
    seconds = time.monotonic() - began
    until(lambda: not leader.runs, "it has ended", 30)
    leader.start()
    return seconds


def _span(seconds: list[float]) -> str:
    return f"{min(seconds):.1f} to {max(seconds):.1f} s (median {statistics.median(seconds):.1f})"


def _until_leads(watcher: RunningWatcher) -> None:
    until(lambda: watcher.leads, "it acts", 20)


def _until_explained(pull_request: PullRequest) -> None:
    """Wait until it has come as far as its commit lets it."""

    def look() -> bool:
        built, available = pull_request.condition("Built"), pull_request.condition("Available")
        return built.get("reason") == "BuildFailed" or available.get("reason") in {"CrashLoopBackOff", "Error"}

    until(look, f"{pull_request.name} is explained", 120)
