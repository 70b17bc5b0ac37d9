"""Whom namespaces take: the annotation lets in, and is looked at whenever it changes."""

from __future__ import annotations

import subprocess

import pytest

from stacks import naming
from tests import samples
from tests.e2e.conftest import Repository
from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import DEPLOYMENTS, NAMESPACES, REVIEW_APPS, Cluster, Object, section
from watcher.conditions import find_condition

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


def test_the_older_operators_sample_takes_one_command(
    repository: Repository, cluster: Cluster, watcher: RunningWatcher
) -> None:
    document = samples.review_app()
    # It has the name of an operator that is not in this cluster: tests/e2e/test_database.py has one.
    del document["spec"]["config"]["database"]
    document["spec"]["config"]["namespace"] = repository.namespace
    name = document["metadata"]["name"]
    cluster.patch(
        NAMESPACES, None, repository.namespace, {"metadata": {"annotations": {naming.ALLOW_ANNOTATION: None}}}
    )
    cluster.create(REVIEW_APPS, None, document)
    try:
        refused = until(lambda: accepted(cluster, name, "False"), "it is refused", 10)
        assert refused["reason"] == "NamespaceNotOpen"
        subprocess.run(refused["message"].split("`")[1], shell=True, check=True, timeout=30)
        until(lambda: accepted(cluster, name, "True"), "it is accepted", 10)
        watcher.until_updated(name)
        deployment = cluster.get(DEPLOYMENTS, repository.namespace, "shop-42") or {}
        (container,) = section(deployment, "spec", "template", "spec")["containers"]
        named = [next(iter(source.values()))["name"] for source in container["envFrom"]]
        assert named == ["config-map-one", "config-map-two", "secret-one", "secret-two", "shop-42--env"]
    finally:
        cluster.delete(REVIEW_APPS, None, name)
        until(lambda: cluster.get(REVIEW_APPS, None, name) is None, "it is gone")


def accepted(cluster: Cluster, name: str, status: str) -> Object | None:
    found = find_condition(cluster.get(REVIEW_APPS, None, name) or {}, "Accepted")
    return found if found and found["status"] == status else None
