"""The watcher, or its engine, killed at the worst moments: nothing is lost, and nothing is left."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

import pytest

from tests.e2e.conftest import Repository
from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.conditions import job_state

pytestmark = pytest.mark.cluster


def close_and_see_nothing_left(pull_request: PullRequest) -> None:
    pull_request.close()
    pull_request.until_gone()
    assert pull_request.left() == []


def test_between_create_and_build_success(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    pull_request.open(commits["slow"])
    watcher.until_updated(pull_request.name)
    watcher.kill()
    until(lambda: [job_state(job) for job in pull_request.jobs()] == ["succeeded"], "the build has succeeded")
    assert pull_request.replicas() == 0

    watcher.start()
    pull_request.until_ready(commits["slow"])
    assert commits["slow"] in (pull_request.page() or "")
    # What was there already needed no engine.
    assert watcher.engine_runs(pull_request.name) == [2, 1]
    close_and_see_nothing_left(pull_request)


def test_when_its_engine_has_just_started(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    pull_request.open(commits["broken"])
    until(watcher.engines, "the engine has started")
    watcher.kill()
    assert watcher.engine_runs(pull_request.name) == []

    watcher.start()
    pull_request.until_condition("Built", "False", "BuildFailed")
    close_and_see_nothing_left(pull_request)
    assert watcher.engines() == []


def test_in_the_middle_of_the_first_update(
    repository: Repository, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    stays, goes = repository.pull_request(), repository.pull_request()
    for pull_request in (stays, goes):
        pull_request.open(commits["first"])
    until(lambda: stays.objects() and goes.objects(), "the engine has made something for both")
    watcher.kill()
    goes.close()

    watcher.start()
    stays.until_ready(commits["first"])
    goes.until_gone()
    assert goes.left() == []
    close_and_see_nothing_left(stays)
    assert watcher.engines() == []


def test_in_the_middle_of_a_destroy(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    pull_request.open(commits["first"])
    watcher.until_updated(pull_request.name)
    before = len(pull_request.objects())
    pull_request.close()
    until(lambda: len(pull_request.objects()) < before, "the engine has deleted something")
    watcher.kill()
    watcher.start()
    pull_request.until_gone()
    assert pull_request.left() == []


def test_an_engine_that_is_killed_is_started_again(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    pull_request.open(commits["broken"])

    def kill_engines() -> list[dict[str, Any]]:
        for pid in watcher.engines():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return watcher.said("update_failed", pull_request.name)

    failed = until(kill_engines, "an engine was killed")
    assert "was killed by signal 9" in failed[0]["error"]
    pull_request.until_condition("Built", "False", "BuildFailed")
    close_and_see_nothing_left(pull_request)
