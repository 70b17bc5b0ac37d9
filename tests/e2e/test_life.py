"""One pull request's life with a watcher that runs from the checkout, and what that costs of engines."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

import pytest

from tests.e2e.conftest import Repository
from tests.e2e.life import Life, LifeAsSeen
from tests.e2e.pull_request import BUILDS, PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import JOBS, REVIEW_APPS, Cluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def life(
    new_repository: Callable[[str], AbstractContextManager[Repository]], commits: dict[str, str], cluster: Cluster
) -> Generator[Life]:
    with new_repository("life") as repository:
        life = Life(repository.pull_request(), commits["telling"], commits["telling again"])
        life.play(cluster)
        yield life


class TestLife(LifeAsSeen):
    """As seen from outside."""


def test_the_engine_ran_no_more_often_than_needed(life: Life, session_watcher: RunningWatcher) -> None:
    # The first run makes the stack and the second all in it; then one for each build that succeeds, and each push.
    assert session_watcher.engine_runs(life.pull_request.name) == [2, 1, 1, 1]
    # One deletes everything, one the stack.
    assert [entry["engine_runs"] for entry in session_watcher.said("destroyed", life.pull_request.name)] == [2]


def test_a_change_that_asks_for_nothing_new_runs_no_engine(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster, watcher: RunningWatcher
) -> None:
    pull_request.open(commits["first"])
    until(lambda: watcher.engine_runs(pull_request.name), "the stack is there")
    (job,) = pull_request.jobs()
    cluster.patch(REVIEW_APPS, None, pull_request.name, {"status": {"appStatus": "x"}}, subresource="status")
    until(lambda: pull_request.status()["appStatus"] == "building", "the status is written again")
    cluster.patch(REVIEW_APPS, None, pull_request.name, {"metadata": {"annotations": {"touched": "yes"}}})
    pull_request.push(commits["first"], branch="renamed")
    until(lambda: pull_request.status()["observedGeneration"] == 2, "the change is seen")
    pull_request.until_ready(commits["first"])
    assert watcher.engine_runs(pull_request.name) == [2, 1]
    assert cluster.get(JOBS, BUILDS, job["metadata"]["name"])
