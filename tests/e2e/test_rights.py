"""The watcher's rights: a life takes exactly those that deploy/ gives, and none goes further than it has to."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import config
from kubernetes.client import Configuration

from stacks import naming
from tests.e2e.api_recorder import Call, Recorder, recorder
from tests.e2e.conftest import CERTIFICATES, Repository
from tests.e2e.pull_request import BUILDS, SYSTEM, PullRequest
from tests.e2e.taken_away import call_of, needless
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher import rights
from watcher.bindings import role_binding
from watcher.cluster import CONFIG_MAPS, ROLE_BINDINGS, SECRETS, Cluster, Object, Resource
from watcher.rights import Right

pytestmark = pytest.mark.cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
WATCHER = f"system:serviceaccount:{SYSTEM}:{rights.SERVICE_ACCOUNT}"

# Rights that a life without accidents does not take, each with the test that shows what it is for.
ELSEWHERE = {
    "get reviewapps.reviewtron.k8s.revelry.co in all namespaces": "docs/operations.md: commands run in its Pod",
    "get pods/log in namespace reviewapp-builds": "tests/e2e/test_builder_queue.py: the lines of a build that failed",
    "create leases.coordination.k8s.io in namespace reviewapp-system": "tests/integration/test_leadership.py",
    "get pods in namespace reviewapp-system": "tests/integration/test_crashes.py: whether a lock's owner is gone",
}

# What only apps with a database or a Gateway take: tests/e2e/test_database.py has lives of the first, as the same
# service account, tests/integration/test_gateway.py what the engine does with the second.
OF_SOME_APPS = {"persistentvolumeclaims", "statefulsets", "postgreses", "postgresversions", "clusters", "httproutes"}


def given(apps: str) -> set[Right]:
    """Return all that `deploy/` gives to the watcher, with `apps` for the namespaces where its role is bound."""
    return set(rights.needed(SYSTEM, BUILDS, [apps], f"{CERTIFICATES}/wildcard"))


def taken(recorded: Recorder) -> dict[Right, Call]:
    """Return the rights of `deploy/` that recorded calls took, by the narrowest rule that fits, each with a call."""
    found: dict[Right, Call] = {}
    for call in sorted(recorded.allowed):
        verb, group, resource, namespace, name = call
        for right in (
            Right(group, f"{resource}:{name}", verb, namespace or None),
            Right(group, f"{resource}:{name}", verb),
            Right(group, resource, verb, namespace or None),
            Right(group, resource, verb),
        ):
            if right in given(namespace):
                found[right] = call
                break
    return found


@pytest.fixture
def restarted(watcher: RunningWatcher) -> Any:
    yield watcher
    watcher.server = ""
    if watcher.runs:
        watcher.stop()


@pytest.fixture
def recorded(restarted: RunningWatcher) -> Any:
    """What a watcher asks of the API server; the watcher is started anew, between two tests."""
    configuration = Configuration()
    config.load_kube_config(client_configuration=configuration)  # pyright: ignore[reportUnknownMemberType]
    with recorder(configuration) as recorded:
        restarted.stop()
        restarted.server = recorded.url
        restarted.start(named_objects="labelled")
        yield recorded
        restarted.stop()


def test_a_life_takes_every_right_that_deploy_gives_and_no_other(
    recorded: Recorder, repository: Repository, commits: dict[str, str], cluster: Cluster, watcher: RunningWatcher
) -> None:
    certificate = {part: base64.b64encode(b"PEM").decode() for part in ("tls.crt", "tls.key")}
    secret = {"metadata": {"name": "wildcard"}, "type": "kubernetes.io/tls", "data": certificate}
    pull_request = repository.pull_request()
    share(cluster, CONFIG_MAPS, pull_request, "flags")
    share(cluster, SECRETS, pull_request, "npm", {"token": base64.b64encode(b"a").decode()})
    cluster.create(SECRETS, CERTIFICATES, secret)
    try:
        pull_request.open(commits["first"], {"env": {"configMaps": ["flags"]}, "build": {"secrets": ["npm"]}})
        watcher.until_updated(pull_request.name)
        assert bindings(cluster, pull_request) == [rights.APPS_ROLE]
        pull_request.push(commits["second"])
        pull_request.until_ready(commits["second"])
    finally:
        cluster.delete(SECRETS, CERTIFICATES, "wildcard")
    pull_request.close()
    pull_request.until_gone()
    until(lambda: bindings(cluster, pull_request) == [], "the rights are taken back after the last app", 10)

    # The provider would like to say what the Events are of what it waits for; it does without. And the sweep looks for
    # service accounts, which there are only where the setting aws_bucket and its component give rights over them.
    tolerated = {("list", "events"), ("watch", "events"), ("list", "serviceaccounts")}
    assert {(call.verb, call.resource) for call in recorded.forbidden} <= tolerated
    of_copies = {Right("batch", "jobs", verb, pull_request.namespace) for verb in ("get", "create", "patch", "delete")}
    every, used = given(pull_request.namespace), taken(recorded)
    unused = {right for right in every if right.resource not in OF_SOME_APPS} - used.keys() - of_copies
    assert "\n".join(sorted(map(str, unused))) == "\n".join(sorted(ELSEWHERE))

    # And with just one of them taken away, the call that took it is refused: none gives what another gives too.
    assert needless(cluster, {right: used.get(right) or call_of(right) for right in every}) == []


def share(
    cluster: Cluster, resource: Resource, pull_request: PullRequest, name: str, data: dict[str, str] | None = None
) -> None:
    metadata = {"name": name, "labels": {naming.SHARED_LABEL: "true"}}
    cluster.create(resource, pull_request.namespace, {"metadata": metadata, "data": data or {}})


def bindings(cluster: Cluster, pull_request: PullRequest) -> list[str]:
    return [item["metadata"]["name"] for item in cluster.list(ROLE_BINDINGS, pull_request.namespace)[0]]


def as_watcher(verb: str, resource: str, namespace: str) -> bool:
    arguments = ["kubectl", "auth", "can-i", verb, resource, f"--as={WATCHER}", f"--namespace={namespace}"]
    return subprocess.run(arguments, capture_output=True, timeout=30, check=False).returncode == 0


@pytest.mark.parametrize("namespace", ["default", "kube-system", CERTIFICATES])
def test_it_reads_secrets_of_nobody_else(namespace: str, watcher: RunningWatcher) -> None:
    assert not as_watcher("get", "secrets", namespace)
    assert not as_watcher("list", "secrets", namespace)


def bind_as_watcher(namespace: str, binding: Object) -> str:
    document = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"} | binding
    arguments = ["kubectl", "create", f"--as={WATCHER}", f"--namespace={namespace}", "--dry-run=server", "-f", "-"]
    done = subprocess.run(
        arguments, input=yaml.safe_dump(document), capture_output=True, text=True, timeout=30, check=False
    )
    return done.stderr if done.returncode else ""


def test_it_binds_its_role_only_where_the_owner_has_opened(repository: Repository) -> None:
    ours = role_binding(SYSTEM)
    assert bind_as_watcher(repository.namespace, ours) == ""
    for namespace, said in (
        ("default", "annotate the namespace with reviewtron.k8s.revelry.co/allow"),
        ("kube-system", "in no namespace of the cluster's"),
        (BUILDS, "nor in its own or that of builds"),
    ):
        assert said in bind_as_watcher(namespace, ours)
    other = ours | {"roleRef": ours["roleRef"] | {"name": "cluster-admin"}}
    assert "attempting to grant RBAC permissions not currently held" in bind_as_watcher(repository.namespace, other)
    others = ours | {"subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": repository.namespace}]}
    assert "to itself and to nobody else" in bind_as_watcher(repository.namespace, others)
    # Nor does it open one itself.
    assert not as_watcher("patch", "namespaces", "")
