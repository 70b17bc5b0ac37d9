"""ReviewApps that come or go while no watcher runs."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Repository
from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import REVIEW_APPS, Cluster

pytestmark = pytest.mark.cluster


def force_away(cluster: Cluster, pull_request: PullRequest) -> None:
    cluster.patch(REVIEW_APPS, None, pull_request.name, {"metadata": {"finalizers": None}})
    pull_request.close()
    assert pull_request.review_app() is None


def test_what_was_closed_leaves_nothing_once_it_is_back(
    repository: Repository, commits: dict[str, str], watcher: RunningWatcher, cluster: Cluster
) -> None:
    closed, forced = repository.pull_request(), repository.pull_request()
    for pull_request in (closed, forced):
        pull_request.open(commits["first"])
        watcher.until_updated(pull_request.name)
    watcher.kill()
    closed.close()
    assert (closed.review_app() or {})["metadata"]["deletionTimestamp"]
    force_away(cluster, forced)
    assert closed.left()
    assert forced.left()

    watcher.start()
    closed.until_gone()
    assert closed.left() == []
    until(lambda: not forced.left(), "nothing is left of what was forced away")


def test_what_was_opened_is_built_once_it_is_back_unless_it_was_closed(
    repository: Repository, commits: dict[str, str], watcher: RunningWatcher, cluster: Cluster
) -> None:
    never_seen, opened, opened_again = (repository.pull_request() for _ in range(3))
    opened_again.open(commits["endless"])
    watcher.until_updated(opened_again.name)
    watcher.kill()
    never_seen.open(commits["first"])
    never_seen.close()
    assert never_seen.review_app() is None
    opened.open(commits["broken"])
    force_away(cluster, opened_again)
    opened_again.open(commits["broken"])

    watcher.start()
    for pull_request in (opened, opened_again):
        pull_request.until_condition("Built", "False", "BuildFailed")
        assert pull_request.status()["buildCommit"] == commits["broken"]
        assert len(pull_request.jobs()) == 1
    assert never_seen.left() == []
