"""A bot that has lost its mind, and everybody else."""

from __future__ import annotations

import threading

import pytest

from tests.e2e.conftest import Repository
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher

pytestmark = pytest.mark.cluster

_PUSHES = 60
_PAUSE_SECONDS = 0.1


@side_by_side
def test_ten_pushes_a_second_hold_up_nobody_and_the_last_one_counts(
    repository: Repository, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    flapping, other = repository.pull_request(), repository.pull_request()
    flapping.open(commits["broken"])
    watcher.until_updated(flapping.name)
    done = threading.Event()

    def push() -> None:
        for number in range(_PUSHES):
            # Commits that nobody can build, but for the last.
            flapping.push(f"{number:040x}" if number < _PUSHES - 1 else commits["crashing"])
            done.wait(_PAUSE_SECONDS)
        done.set()

    pushing = threading.Thread(target=push)
    pushing.start()
    other.open(commits["broken"])
    watcher.until_updated(other.name)
    assert not done.is_set(), "the other app did not wait for the end of it"
    pushing.join()
    until(lambda: flapping.status().get("buildCommit") == commits["crashing"], "the last push is what is built")
    # Built is one of many: of most pushes nothing was ever made.
    assert len(watcher.engine_runs(flapping.name)) < _PUSHES
    flapping.until_condition("Available", "False", "CrashLoopBackOff")
    assert len(flapping.jobs()) == 1
