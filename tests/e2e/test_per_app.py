"""A namespace for each app: made with what bounds it, filled, and gone with the app."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from dev.sample import CONFIG_MAPS
from tests.e2e.conftest import Repository
from tests.e2e.pull_request import BUILDS, PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher import rights
from watcher.cluster import (
    LIMIT_RANGES,
    NAMESPACES,
    NETWORK_POLICIES,
    QUOTAS,
    ROLE_BINDINGS,
    SECRETS,
    Cluster,
    Resource,
    section,
)

pytestmark = pytest.mark.cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
WATCHER = "system:serviceaccount:reviewapp-system:reviewapp"


@pytest.fixture
def per_app(watcher: RunningWatcher) -> Generator[RunningWatcher]:
    """The watcher, with a namespace for each app, and the rights that this takes."""
    file = str(DEPLOY / "components/per-app/per-app.yaml")
    subprocess.run(["kubectl", "apply", "--server-side", "-f", file], check=True, timeout=60)
    watcher.stop()
    watcher.start(namespace_mode="per-app", image_registries=os.environ["REVIEWAPP_REGISTRY"].partition("/")[0])
    yield watcher
    if watcher.runs:
        watcher.stop()
    subprocess.run(["kubectl", "delete", "-f", file], check=True, timeout=60)


def as_watcher(*arguments: str) -> str:
    command = ["kubectl", f"--as={WATCHER}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stderr


def test_a_life(per_app: RunningWatcher, repository: Repository, commits: dict[str, str], cluster: Cluster) -> None:
    home = repository.namespace
    pull_request, in_the_way = repository.pull_request(), repository.pull_request()
    cluster.create(SECRETS, home, {"metadata": {"name": "keys"}, "stringData": {"KEY": "from a secret"}})
    cluster.create(CONFIG_MAPS, home, {"metadata": {"name": "flags"}, "data": {"FLAG": "from a config map"}})
    theirs = {"metadata": {"name": f"review-{in_the_way.app}"}}
    cluster.create(NAMESPACES, None, theirs)
    try:
        # The database's Pod takes its share of the quota, and holds the standard too.
        config = {"env": {"secrets": ["keys"], "configMaps": ["flags"]}, "database": {"ephemeral": True}}
        pull_request.open(commits["telling"], config)
        in_the_way.open(commits["first"])
        own = pull_request.namespace = f"review-{pull_request.app}"
        pull_request.until_ready(commits["telling"])

        # It runs there, bounded, with copies of what its config names; builds are where they always are.
        page = pull_request.page("environment") or ""
        assert "KEY=from a secret" in page
        assert "FLAG=from a config map" in page
        assert pull_request.status()["namespace"] == own
        assert {job["metadata"]["namespace"] for job in pull_request.jobs()} == {BUILDS}
        labels = section(cluster.get(NAMESPACES, None, own) or {}, "metadata", "labels")
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert names(cluster, QUOTAS, own) == names(cluster, LIMIT_RANGES, own) == ["review-app"]
        assert {"review-app", "review-app-copy", pull_request.app} <= {*names(cluster, NETWORK_POLICIES, own)}
        assert names(cluster, ROLE_BINDINGS, own) == names(cluster, ROLE_BINDINGS, home) == [rights.APPS_ROLE]

        # An image from another registry than those of the settings is none to build on; what runs goes on.
        pull_request.push(commits["from elsewhere"])
        denied = pull_request.until_condition("Built", "False")["message"]
        assert "Dockerfile: docker.io/library/busybox:1 does not come from where images may: the setting" in denied
        assert pull_request.condition("Available")["status"] == "True"

        # One that somebody else has made is refused, and left as it was. Nor may the watcher take it over.
        refused = in_the_way.until_condition("Ready", "False", "ForeignObject")
        assert f"Namespace review-{in_the_way.app}" in refused["message"]
        assert "and no others" in as_watcher("delete", "namespace", f"review-{in_the_way.app}", "--dry-run=server")
        assert "and no others" in as_watcher("label", "namespace", home, "a=b", "--dry-run=server")
        assert "and no others" in as_watcher("create", "namespace", "other", "--dry-run=server")
        assert "Standard" in as_watcher("label", "ns", own, "pod-security.kubernetes.io/enforce-", "--dry-run=server")

        close(pull_request, in_the_way)
        assert cluster.get(NAMESPACES, None, own) is None
        assert pull_request.left() == []
        until(lambda: names(cluster, ROLE_BINDINGS, home) == [], "the rights in the home are taken back", 10)
        assert cluster.get(NAMESPACES, None, f"review-{in_the_way.app}")
    finally:
        cluster.delete(NAMESPACES, None, f"review-{in_the_way.app}")


def close(*pull_requests: PullRequest) -> None:
    for pull_request in pull_requests:
        pull_request.close()
    for pull_request in pull_requests:
        pull_request.until_gone()


def names(cluster: Cluster, resource: Resource, namespace: str) -> list[Any]:
    found = [item["metadata"]["name"] for item in cluster.list(resource, namespace)[0]]
    return sorted(name for name in found if name != "kube-root-ca.crt")
