"""A delete that can't end says what it waits for, and can be given up."""

from __future__ import annotations

import pytest

from stacks import naming
from tests.admission import denied
from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from watcher.cluster import DEPLOYMENTS, REVIEW_APPS, SECRETS, SERVICES, ApiRefused, Cluster

pytestmark = pytest.mark.cluster


@side_by_side
def test_it_names_who_holds_an_object_and_leaves_the_rest_on_request(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster
) -> None:
    pull_request.open_unbuildable(commits["broken"])
    holding = {"metadata": {"finalizers": ["example.com/hold"]}}
    cluster.patch(SERVICES, pull_request.namespace, pull_request.app, holding)
    try:
        pull_request.close()

        def waits() -> bool:
            return "held by finalizer example.com/hold" in pull_request.condition("Ready").get("message", "")

        until(waits, "it says who holds the Service", 40, pull_request.status)

        annotations = {naming.ORPHAN_ANNOTATION: "true"}
        cluster.patch(REVIEW_APPS, None, pull_request.name, {"metadata": {"annotations": annotations}})
        pull_request.until_gone(20)
        until(lambda: pull_request.left() == [], "its build is gone", 20, pull_request.left)
        found = cluster.get(SERVICES, pull_request.namespace, pull_request.app)
        assert found
        assert found["metadata"]["labels"][naming.ORPHANED_LABEL] == pull_request.stack
        assert ("Normal", "Orphaned") in pull_request.events()
    finally:
        cluster.patch(SERVICES, pull_request.namespace, pull_request.app, {"metadata": {"finalizers": None}})


@side_by_side
def test_a_destroy_that_fails_leaves_the_finalizer_and_says_why(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster
) -> None:
    pull_request.open_unbuildable(commits["broken"])
    with denied(cluster, pull_request.namespace, ["DELETE"], "nothing is deleted on Wednesdays"):
        until(lambda: _is_denied(cluster, pull_request.namespace), "the policy is in force")
        pull_request.close()
        said = pull_request.until_condition("Ready", "False", "AdmissionDenied")["message"]
        assert "nothing is deleted on Wednesdays" in said
        assert f"{naming.ORPHAN_ANNOTATION}=true" in said
        assert naming.FINALIZER in (pull_request.review_app() or {})["metadata"]["finalizers"]
        assert cluster.get(SERVICES, pull_request.namespace, pull_request.app)
    pull_request.until_gone()
    assert pull_request.left() == []


def _is_denied(cluster: Cluster, namespace: str) -> bool:
    """Whether a Service of no use can't be deleted."""
    if cluster.get(SERVICES, namespace, "probe") is None:
        cluster.create(SERVICES, namespace, {"metadata": {"name": "probe"}, "spec": {"ports": [{"port": 80}]}})
    try:
        cluster.delete(SERVICES, namespace, "probe")
    except ApiRefused:
        return True
    return False


@side_by_side
def test_what_was_given_up_in_advance_is_left_as_it_was_and_in_nobodys_way(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster
) -> None:
    pull_request.open_unbuildable(commits["broken"])
    before = pull_request.objects()
    annotations = {naming.ORPHAN_ANNOTATION: "true"}
    cluster.patch(REVIEW_APPS, None, pull_request.name, {"metadata": {"annotations": annotations}})
    pull_request.close()
    pull_request.until_gone(20)
    until(lambda: pull_request.left() == [], "its build is gone", 20, pull_request.left)
    selector = f"{naming.ORPHANED_LABEL}={pull_request.stack}"
    kept = {
        f"{resource.kind} {item['metadata']['namespace']}/{item['metadata']['name']}"
        for resource in (DEPLOYMENTS, SERVICES, SECRETS)
        for item in cluster.list(resource, label_selector=selector)[0]
    }
    assert kept == {name for name in before if name.split()[0] in {"Deployment", "Service", "Secret"}}

    # Opened again, the pull request does not take it over.
    pull_request.open(commits["broken"])
    refused = pull_request.until_condition("Ready", "False", "ForeignObject", 20)
    assert "delete or rename it" in refused["message"]
