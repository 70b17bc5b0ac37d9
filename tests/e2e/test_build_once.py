"""A commit whose image is in the registry already is not built again; what runs, runs by digest."""

from __future__ import annotations

import pytest

from stacks.workload import IMAGE_ANNOTATION
from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import Object

pytestmark = pytest.mark.cluster


def test_a_revert_and_a_pull_request_that_is_opened_again_are_not_built(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    first, second = commits["first"], commits["second"]
    pull_request.open(first)
    pull_request.until_ready(first)
    by_digest = runs(pull_request)
    tag, digest = pull_request.status()["image"], pull_request.status()["imageDigest"]
    assert by_digest == f"{tag.rpartition(':')[0]}@{digest}"
    assert annotation(pull_request) == tag

    pull_request.push(second)
    pull_request.until_ready(second)
    assert runs(pull_request) != by_digest

    pull_request.push(first)
    pull_request.until_ready(first)
    assert (runs(pull_request), annotation(pull_request)) == (by_digest, tag)
    assert pull_request.jobs() == []
    assert first in (pull_request.page() or "")

    pull_request.close()
    pull_request.until_gone()
    pull_request.open(second)
    until(lambda: pull_request.replicas() == 1, "it is scaled up at once", 10)
    pull_request.until_ready(second)
    assert pull_request.jobs() == []
    assert [step for _, step in pull_request.events()] == ["Accepted", "Built", "Starting", "Available", "Ready"]


def runs(pull_request: PullRequest) -> str:
    (container,) = deployment(pull_request)["spec"]["template"]["spec"]["containers"]
    return container["image"]


def annotation(pull_request: PullRequest) -> str:
    return deployment(pull_request)["metadata"]["annotations"][IMAGE_ANNOTATION]


def deployment(pull_request: PullRequest) -> Object:
    found = pull_request.deployment()
    assert found
    return found
