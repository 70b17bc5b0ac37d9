"""What is refused: said by field, value and remedy, and nothing is made for it."""

from __future__ import annotations

from typing import Any

import pytest

from dev.sample import CONFIG_MAPS
from tests.e2e.conftest import CERTIFICATES, Repository
from tests.e2e.pull_request import BUILDS, SYSTEM, PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import REVIEW_APPS, SERVICES, ApiRefused, Cluster

pytestmark = pytest.mark.cluster

_NOT_OPEN = "is not open to review apps: name the app's own namespace"

# What the API server lets through: changes of the spec, of its config, and what the message says.
_REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the cluster's own namespace": ({}, {"namespace": "kube-system"}, f"config.namespace: 'kube-system' {_NOT_OPEN}"),
    "the watcher's namespace": ({}, {"namespace": SYSTEM}, f"config.namespace: '{SYSTEM}' {_NOT_OPEN}"),
    "the namespace of builds": ({}, {"namespace": BUILDS}, f"config.namespace: '{BUILDS}' {_NOT_OPEN}"),
    "the certificate's namespace": ({}, {"namespace": CERTIFICATES}, f"config.namespace: '{CERTIFICATES}' {_NOT_OPEN}"),
    "a namespace with a path in it": ({}, {"namespace": "a/../kube-system"}, "must be a DNS label"),
    "a file as tarball": (
        {"tarballUrl": "file:///etc/passwd"},
        {},
        "spec.tarballUrl: 'file:///etc/passwd' must be an https",
    ),
    "an option as tarball": ({"tarballUrl": "--help"}, {}, "spec.tarballUrl: '--help' must be an https://"),
    "a branch as commit": (
        {"commitHash": "main; rm -rf /"},
        {},
        "spec.commitHash: 'main; rm -rf /' must be a commit's hash",
    ),
    "a repository with a path": (
        {"repo": "../../other"},
        {},
        "spec.repo: '../../other' must be a name as forges have it",
    ),
    "a pull request that is none": ({"pr": "1 --all"}, {}, "spec.pr: '1 --all' must be a pull request's number"),
    "a terminal's commands in the branch": (
        {"branch": "a\x1b[2J"},
        {},
        r"spec.branch: 'a\x1b[2J' must not hold control",
    ),
    "the certificate's copy as environment": (
        {},
        {"env": {"secrets": ["shop-1--tls"]}},
        "spec.config.env.secrets[0]: 'shop-1--tls' is a name that review apps keep for themselves",
    ),
    "a variable with a value in its name": (
        {},
        {"env": {"values": [{"name": "A=B", "value": "hidden"}]}},
        "spec.config.env.values[0].name: 'A=B' must be a variable's name",
    ),
    "a port that is none": (
        {},
        {"applicationPort": 65_536},
        "spec.config.applicationPort: 65536 must be at most 65535",
    ),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_a_hostile_or_malformed_spec(
    case: str, pull_request: PullRequest, commits: dict[str, str], cluster: Cluster
) -> None:
    changes, config, message = _REFUSED[case]
    pull_request.open(commits["first"], config, **changes)
    refused = pull_request.until_condition("Accepted", "False", "InvalidSpec", 10)
    assert message in refused["message"]
    assert "hidden" not in refused["message"]
    assert pull_request.status()["appStatus"] == "error"
    assert pull_request.condition("Ready")["reason"] == "InvalidSpec"
    until(lambda: pull_request.events() == [("Warning", "InvalidSpec")], "one Event says so", 10)
    assert pull_request.left() == []
    pull_request.close()
    pull_request.until_gone(10)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pr": 42}, "spec.pr: Invalid value"),
        ({"commitHash": ["a"]}, "spec.commitHash: Invalid value"),
        ({"config": {"namespace": "shop"}}, "spec.config.applicationPort: Required value"),
        ({"repo": "a" * 101}, "spec.repo: Too long"),
        (
            {"config": {"namespace": "shop", "applicationPort": 1, "env": {"values": [{"name": "A", "value": None}]}}},
            "null",
        ),
    ],
)
def test_what_the_api_server_refuses_itself(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster, changes: dict[str, Any], said: str
) -> None:
    manifest = pull_request.manifest(commits["first"])
    manifest["spec"] |= changes
    with pytest.raises(ApiRefused, match=said):
        cluster.create(REVIEW_APPS, None, manifest)


@side_by_side
def test_a_spec_that_turns_bad_leaves_what_is_there_and_heals(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    pull_request.open(commits["first"])
    watcher.until_updated(pull_request.name)
    objects = pull_request.objects()

    pull_request.push("main")
    pull_request.until_condition("Accepted", "False", "InvalidSpec")
    assert set(pull_request.objects()) >= set(objects)

    pull_request.push(commits["first"])
    pull_request.until_condition("Accepted", "True", "Accepted")
    pull_request.push("main")
    pull_request.until_condition("Accepted", "False", "InvalidSpec")
    pull_request.close()
    pull_request.until_gone()
    assert pull_request.left() == []
    assert watcher.engine_runs(pull_request.name)[0] == 2


@side_by_side
def test_a_second_review_app_of_a_pull_request_waits_until_the_first_is_gone(
    repository: Repository, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    first, second = repository.pull_request(), repository.pull_request()
    first.open(commits["endless"])
    watcher.until_updated(first.name)
    objects = first.objects()

    second.open(commits["endless"], pr=first.number)
    refused = second.until_condition("Accepted", "False", "InvalidSpec")
    assert f"spec.pr: acme/shop#{first.number} has the ReviewApp {first.name} already: delete one" in refused["message"]

    # Its end is not the first one's; but the first one's end is its beginning.
    second.close()
    second.until_gone()
    assert set(first.objects()) >= set(objects)
    second.open(commits["endless"], pr=first.number)
    second.until_condition("Accepted", "False", "InvalidSpec")
    first.close()
    second.until_condition("Accepted", "True", seconds=20)
    watcher.until_updated(second.name)


@side_by_side
def test_of_several_at_once_one_gets_the_pull_request(
    repository: Repository, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    everyone = [repository.pull_request() for _ in range(4)]
    number = everyone[0].number
    for one in everyone:
        one.open(commits["endless"], pr=number)
    until(lambda: all(one.condition("Accepted") for one in everyone), "each has an answer")
    (accepted,) = [one for one in everyone if one.condition("Accepted")["status"] == "True"]
    watcher.until_updated(accepted.name)
    objects = everyone[0].objects()
    for one in everyone:
        if one is not accepted:
            one.close()
            one.until_gone()
    assert set(everyone[0].objects()) >= set(objects)


@pytest.mark.parametrize("kind", ["with other fields", "with the same fields"])
def test_an_object_in_the_way_that_is_not_ours(
    kind: str, pull_request: PullRequest, commits: dict[str, str], cluster: Cluster
) -> None:
    port = {"name": "http", "port": 80, "targetPort": 8080 if kind == "with the same fields" else 1, "protocol": "TCP"}
    service = {"metadata": {"name": pull_request.app}, "spec": {"selector": {"a": "b"}, "ports": [port]}}
    theirs = cluster.create(SERVICES, pull_request.namespace, service)
    pull_request.open(commits["broken"])
    refused = pull_request.until_condition("Ready", "False", "ForeignObject", 10)
    assert (
        f"Service {pull_request.namespace}/{pull_request.app} exists and is not this review app's" in refused["message"]
    )
    assert pull_request.left() == []
    assert cluster.get(SERVICES, pull_request.namespace, pull_request.app) == theirs

    pull_request.close()
    pull_request.until_gone(10)
    assert cluster.get(SERVICES, pull_request.namespace, pull_request.app) == theirs


@side_by_side
def test_an_object_in_the_way_that_goes(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster, watcher: RunningWatcher
) -> None:
    service = {"metadata": {"name": pull_request.app}, "spec": {"ports": [{"port": 80}]}}
    cluster.create(SERVICES, pull_request.namespace, service)
    pull_request.open(commits["first"])
    pull_request.until_condition("Ready", "False", "ForeignObject")
    cluster.delete(SERVICES, pull_request.namespace, pull_request.app)
    watcher.until_updated(pull_request.name)
    until(lambda: pull_request.condition("Ready")["reason"] == "Building", "it is being built")


@side_by_side
def test_what_else_is_in_its_namespace_survives_it(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster, watcher: RunningWatcher
) -> None:
    theirs = cluster.create(CONFIG_MAPS, pull_request.namespace, {"metadata": {"name": "theirs"}, "data": {"a": "b"}})
    pull_request.open(commits["first"])
    watcher.until_updated(pull_request.name)
    pull_request.close()
    pull_request.until_gone()
    assert cluster.get(CONFIG_MAPS, pull_request.namespace, "theirs") == theirs
