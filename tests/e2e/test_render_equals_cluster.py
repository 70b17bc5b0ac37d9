"""What `reviewapp render` prints is what the cluster has: object by object, field by field of what is declared."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from typing import Any, cast

import pytest
import yaml

from provisioner.manifest_text import Loader
from provisioner.render import MASK
from stacks.review_app import stack_label_selector
from tests.e2e.conftest import CERTIFICATES
from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import DECLARED, SECRETS, Cluster, Object

pytestmark = pytest.mark.cluster

Objects = dict[tuple[str, str, str], Object]


def rendered(watcher: RunningWatcher, pull_request: PullRequest, *options: str, **settings: str) -> Objects:
    """What the command makes of the live ReviewApp, as kubectl prints it."""
    asked = output("kubectl", "get", "reviewapp", pull_request.name, "--output=yaml")
    command = [sys.executable, "-m", "watcher", "render", "--file=-", "--show-secrets", *options]
    done = subprocess.run(
        command,
        input=asked,
        env=watcher.environment | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return by_name(list(yaml.load_all(done.stdout, Loader=Loader)))


def shown(pull_request: PullRequest) -> Objects:
    """Every object of the stack, as kubectl prints it."""
    kinds = ",".join(resource.plural for resource in DECLARED.values() if not resource.optional)
    selector = stack_label_selector(pull_request.stack)
    answer = output("kubectl", "get", kinds, "--all-namespaces", f"--selector={selector}", "--output=json")
    return by_name(json.loads(answer)["items"])


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def by_name(objects: list[Object]) -> Objects:
    return {(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]): item for item in objects}


def differences(declared: Any, live: Any, path: str = "") -> list[str]:
    """Return where what is live is not as declared; the API server may add fields, and drops empty ones."""
    if declared == MASK:
        return [] if live else [f"{path}: is not there"]
    if isinstance(declared, dict) and isinstance(live, dict):
        fields = cast("Object", declared)
        there = cast("Object", live)
        return [line for key, value in fields.items() for line in differences(value, there.get(key), f"{path}.{key}")]
    if isinstance(declared, list) and isinstance(live, list):
        entries = cast("list[Any]", declared)
        others = cast("list[Any]", live)
        if len(entries) == len(others):
            pairs = enumerate(zip(entries, others, strict=True))
            return [line for index, pair in pairs for line in differences(*pair, f"{path}[{index}]")]
    return (
        [] if declared == live or (live is None and declared in ({}, [], "")) else [f"{path}: {declared!r}, {live!r}"]
    )


def assert_equal(declared: Objects, live: Objects) -> None:
    assert declared.keys() == live.keys()
    assert [line for name, item in declared.items() for line in differences(item, live[name], "/".join(name))] == []


@pytest.fixture
def wildcard(cluster: Cluster, watcher: RunningWatcher) -> Generator[None]:
    """The certificate that the settings name."""
    data = {"tls.crt": "certificate", "tls.key": "key"}
    secret = {"metadata": {"name": "wildcard"}, "type": "kubernetes.io/tls", "stringData": data}
    cluster.create(SECRETS, CERTIFICATES, secret)
    yield
    cluster.delete(SECRETS, CERTIFICATES, "wildcard")


# All that a config can ask for, and values that YAML, JSON and a shell could each take for something else.
CONFIG: dict[str, Any] = {
    "migrate": {"command": ["sh", "-c", "true"], "args": ["y", "012", "80:80", "$(APP_NAME)", "ünï\ncode"]},
    "env": {
        "secrets": ["keys"],
        "configMaps": ["flags"],
        "values": [
            {"name": "GREETING", "value": "hello $(APP_NAME) 'ünïcode'"},
            {"name": "LIMIT", "value": 3},
            {"name": "RATIO", "value": 0.5},
            {"name": "DEBUG", "value": False},
            {"name": "NOTHING", "value": ""},
            {"name": "APP_NAME", "value": "its own"},
        ],
    },
}


@side_by_side
def test_before_the_build_has_ended(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    pull_request.open(commits["endless"], {"registrySecretName": "pull-secret"})
    watcher.until_updated(pull_request.name)
    assert_equal(rendered(watcher, pull_request, REVIEWAPP_TLS_SECRET=""), shown(pull_request))


@side_by_side
def test_once_it_is_ready(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster, watcher: RunningWatcher
) -> None:
    cluster.create(SECRETS, pull_request.namespace, {"metadata": {"name": "keys"}, "stringData": {"KEY": "a"}})
    subprocess.run(
        ["kubectl", "create", "configmap", "flags", f"--namespace={pull_request.namespace}", "--from-literal=FLAG=b"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    pull_request.open(commits["telling"], CONFIG)
    pull_request.until_ready(commits["telling"])
    declared = rendered(watcher, pull_request, "--built", REVIEWAPP_TLS_SECRET="")
    assert_equal(declared, shown(pull_request))
    # And the comparison can tell: at first it was otherwise.
    first = rendered(watcher, pull_request, REVIEWAPP_TLS_SECRET="")
    name = ("Deployment", pull_request.namespace, pull_request.app)
    pod = ".spec.template.spec"
    assert {line.partition(": ")[0] for line in differences(first[name], shown(pull_request)[name])} == {
        ".spec.replicas",
        f"{pod}.containers[0].image",
        f"{pod}.initContainers[0].image",
    }


def test_with_a_certificate(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher, wildcard: None
) -> None:
    pull_request.open(commits["first"])
    pull_request.until_ready(commits["first"])
    until(lambda: pull_request.status()["url"].startswith("https://"), "the app is reached by https", 60)
    pull_request.until_ready(commits["first"])
    declared = rendered(watcher, pull_request, "--built")
    assert ("Secret", pull_request.namespace, f"{pull_request.app}--tls") in declared
    assert_equal(declared, shown(pull_request))
