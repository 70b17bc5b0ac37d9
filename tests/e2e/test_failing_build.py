"""A Dockerfile that fails says why, takes nothing away, and is forgotten with the next commit."""

from __future__ import annotations

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until

pytestmark = pytest.mark.cluster


def until_build_failed(pull_request: PullRequest, commit: str) -> None:
    failed = pull_request.until_condition("Built", "False", "BuildFailed")
    assert f"the build of commit {commit[:12]} failed" in failed["message"]
    assert "container build ended with exit code 1" in failed["message"]
    assert "the reason is here" in failed["message"]
    assert "exit code: 7" in failed["message"]
    status = pull_request.status()
    assert (status["buildStatus"], status["buildCommit"]) == ("error", commit)
    assert pull_request.condition("Ready")["reason"] == "BuildFailed"


@side_by_side
def test_it_says_why_takes_nothing_away_and_a_new_commit_heals_it(
    pull_request: PullRequest, commits: dict[str, str]
) -> None:
    pull_request.open(commits["broken"])
    until_build_failed(pull_request, commits["broken"])
    assert pull_request.status()["appStatus"] == "error"
    assert pull_request.condition("Available")["reason"] == "NotBuilt"
    assert pull_request.replicas() == 0
    steps = [("Normal", "Accepted"), ("Normal", "Building"), ("Warning", "BuildFailed")]
    until(lambda: pull_request.events() == steps, "each step is an Event")

    pull_request.push(commits["first"])
    pull_request.until_ready(commits["first"])
    deployment = pull_request.deployment() or {}

    pull_request.push(commits["broken"])
    until_build_failed(pull_request, commits["broken"])
    assert pull_request.status()["appStatus"] == "deployed"
    assert pull_request.condition("Available")["status"] == "True"
    assert commits["first"] in (pull_request.page() or "")
    assert (pull_request.deployment() or {})["metadata"]["generation"] == deployment["metadata"]["generation"]
