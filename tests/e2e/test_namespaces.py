"""Whom namespaces take: the annotation lets in, and is looked at whenever it changes."""

from __future__ import annotations

import subprocess

import pytest

from stacks import naming
from tests.e2e.conftest import Repository
from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import NAMESPACES, Cluster

pytestmark = pytest.mark.cluster


def allow(cluster: Cluster, pull_request: PullRequest, patterns: str | None) -> None:
    annotations = {naming.ALLOW_ANNOTATION: patterns}
    cluster.patch(NAMESPACES, None, pull_request.namespace, {"metadata": {"annotations": annotations}})


@side_by_side
def test_the_annotation_lets_in_keeps_out_and_heals(
    repository: Repository, commits: dict[str, str], cluster: Cluster, watcher: RunningWatcher
) -> None:
    pull_request, late, brief = (repository.pull_request() for _ in range(3))
    allow(cluster, pull_request, None)
    brief.open(commits["first"])
    pull_request.open(commits["first"])
    refused = pull_request.until_condition("Accepted", "False", "NamespaceNotOpen")
    assert pull_request.left() == []
    # Who was never let in goes, though the watcher has no right there.
    brief.close()
    brief.until_gone(10)

    # The message gives the command, and the command is all that it takes.
    subprocess.run(refused["message"].split("`")[1], shell=True, check=True, timeout=30)
    until(lambda: pull_request.condition("Accepted").get("status") == "True", "it heals")
    watcher.until_updated(pull_request.name)

    # Who lives there stays as it is; nothing new comes in, be it another pull request or a push.
    allow(cluster, pull_request, "acme/site-*")
    pull_request.until_condition("Accepted", "False", "NamespaceNotOpen")
    objects = pull_request.objects()
    late.open(commits["second"])
    late.until_condition("Accepted", "False", "NamespaceNotOpen")
    pull_request.push(commits["second"])
    until(lambda: pull_request.status().get("observedGeneration") == 2, "the push is seen")
    assert late.left() == []
    assert set(pull_request.objects()) >= {item for item in objects if not item.startswith("Pod ")}
    assert len(pull_request.jobs()) == 1

    # A bad pattern opens to nobody, and a delete never waits for it.
    allow(cluster, pull_request, "acme/*, [a-z]")
    until(lambda: "'[a-z]' is no pattern" in pull_request.condition("Accepted").get("message", ""), "it says so")
    pull_request.close()
    pull_request.until_gone()
    assert pull_request.left() == []
