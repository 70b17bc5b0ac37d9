"""Pushes that come while an older commit is still being built."""

from __future__ import annotations

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import Object, entries

pytestmark = pytest.mark.cluster


@side_by_side
def test_the_newest_wins_and_the_older_ones_stop(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    pull_request.open(commits["endless"])
    (endless,) = until(lambda: building_pods(pull_request), "the first commit is being built")
    pull_request.push(commits["broken"])
    pull_request.push(commits["first"])
    until(lambda: endless not in building_pods(pull_request), "the first build has stopped")
    until(lambda: endless not in pods(pull_request), "its Pod is gone")
    pull_request.until_ready(commits["first"])
    assert [job["metadata"]["name"] for job in pull_request.jobs()] == [pull_request.status()["buildJobName"]]


def pods(pull_request: PullRequest) -> list[str]:
    return [pod["metadata"]["name"] for pod in pull_request.build_pods()]


def building_pods(pull_request: PullRequest) -> list[str]:
    return [pod["metadata"]["name"] for pod in pull_request.build_pods() if runs_the_dockerfile(pod)]


def runs_the_dockerfile(pod: Object) -> bool:
    statuses = entries(pod, "status", "initContainerStatuses")
    return any(status["name"] == "build" and "running" in status["state"] for status in statuses)
