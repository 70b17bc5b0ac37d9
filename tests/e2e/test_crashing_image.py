"""An image that ends as soon as it is started."""

from __future__ import annotations

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from watcher.cluster import Object, entries

pytestmark = pytest.mark.cluster


@side_by_side
def test_it_says_how_it_ended_takes_nothing_away_and_a_new_commit_heals_it(
    pull_request: PullRequest, commits: dict[str, str]
) -> None:
    pull_request.open(commits["crashing"])
    assert_tells(pull_request.until_condition("Available", "False", "CrashLoopBackOff"))
    assert pull_request.condition("Ready")["reason"] == "CrashLoopBackOff"
    # It is started again and again: that is one thing that happened, not many.
    until(lambda: ends_after_a_restart(pull_request), "it has been started again, and has ended again")
    assert [event for event in pull_request.events() if event[0] == "Warning"] == [("Warning", "CrashLoopBackOff")]

    pull_request.push(commits["first"])
    pull_request.until_ready(commits["first"])

    pull_request.push(commits["crashing"])
    assert_tells(pull_request.until_condition("Ready", "False", "CrashLoopBackOff"))
    assert pull_request.condition("Available")["status"] == "True"
    assert commits["first"] in (pull_request.page() or "")


def assert_tells(condition: Object) -> None:
    assert "container app ended with exit code 3" in condition["message"]
    assert "there is no database" in condition["message"]


def ends_after_a_restart(pull_request: PullRequest) -> bool:
    statuses = [status for pod in pull_request.pods() for status in entries(pod, "status", "containerStatuses")]
    return any(status["restartCount"] and "running" not in status["state"] for status in statuses)
