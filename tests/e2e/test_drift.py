"""What somebody changes or deletes by hand is noticed, put right, and told of."""

from __future__ import annotations

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher import rights
from watcher.cluster import DEPLOYMENTS, NETWORK_POLICIES, ROLE_BINDINGS, SERVICES, Cluster

pytestmark = pytest.mark.cluster


@side_by_side
def test_it_is_put_right_within_seconds_and_without_an_engine(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher, cluster: Cluster
) -> None:
    pull_request.open_unbuildable(commits["broken"])
    runs = watcher.engine_runs(pull_request.name)
    declared = cluster.get(NETWORK_POLICIES, pull_request.namespace, pull_request.app)
    assert declared
    cluster.delete(SERVICES, pull_request.namespace, pull_request.app)
    cluster.patch(NETWORK_POLICIES, pull_request.namespace, pull_request.app, {"spec": {"egress": [{}]}})

    def as_declared() -> bool:
        policy = cluster.get(NETWORK_POLICIES, pull_request.namespace, pull_request.app)
        service = cluster.get(SERVICES, pull_request.namespace, pull_request.app)
        return bool(service and policy and policy["spec"] == declared["spec"])

    until(as_declared, "both are as declared", 20)
    until(lambda: ("Warning", "Corrected") in pull_request.events(), "it is told of", 10)
    assert watcher.engine_runs(pull_request.name) == runs


@side_by_side
def test_rights_that_were_taken_away_are_no_hindrance(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster
) -> None:
    pull_request.open_unbuildable(commits["broken"])
    cluster.delete(ROLE_BINDINGS, pull_request.namespace, rights.APPS_ROLE)
    cluster.delete(SERVICES, pull_request.namespace, pull_request.app)
    until(lambda: cluster.get(SERVICES, pull_request.namespace, pull_request.app), "it is there again", 30)


@side_by_side
def test_what_is_deleted_right_before_a_push_is_made_anew(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher, cluster: Cluster
) -> None:
    pull_request.open_unbuildable(commits["broken"])
    cluster.delete(DEPLOYMENTS, pull_request.namespace, pull_request.app)
    # The engine has to update it, and can't update what is not there.
    env = {"values": [{"name": "GREETING", "value": "changed"}]}
    pull_request.push(commits["crashing"], config={"env": env})
    until(lambda: len(watcher.engine_runs(pull_request.name)) >= 2, "it is updated", 20)
    assert watcher.said("update_failed", pull_request.name) == []


@side_by_side
def test_what_others_add_is_theirs_and_what_comes_of_it_is_said(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster
) -> None:
    pull_request.open(commits["telling"])
    pull_request.until_ready(commits["telling"])

    def add(account: str | None) -> None:
        template = {"spec": {"serviceAccountName": account, "serviceAccount": account}}
        cluster.patch(DEPLOYMENTS, pull_request.namespace, pull_request.app, {"spec": {"template": template}})

    add("somebody")
    said = pull_request.until_condition("Ready", "False", "FailedCreate")
    assert 'serviceaccount "somebody" not found' in said["message"]
    assert pull_request.condition("Available")["status"] == "True"
    add(None)
    pull_request.until_condition("Ready", "True")
