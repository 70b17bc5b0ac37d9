"""A namespace that goes away under its app."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from dev.installation import Installation
from dev.sample import CONFIG_MAPS
from tests.e2e.conftest import Repository
from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import NAMESPACES, Cluster

pytestmark = pytest.mark.cluster


@pytest.fixture
def lingering(cluster: Cluster, repository: Repository) -> Generator[str]:
    """An object with somebody's finalizer: while it is there, its namespace can be deleted, but does not go."""
    body = {"metadata": {"name": "lingering", "finalizers": ["example.com/lingering"]}}
    yield cluster.create(CONFIG_MAPS, repository.namespace, body)["metadata"]["name"]
    cluster.patch(CONFIG_MAPS, repository.namespace, "lingering", {"metadata": {"finalizers": None}})


def test_a_delete_ends_though_the_namespace_is_going(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster, watcher: RunningWatcher, lingering: str
) -> None:
    pull_request.open(commits["first"])
    watcher.until_updated(pull_request.name)
    cluster.delete(NAMESPACES, None, pull_request.namespace)
    until(lambda: pull_request.deployment() is None, "the namespace's objects are gone")

    pull_request.close()
    pull_request.until_gone()
    assert pull_request.left() == []
    assert cluster.get(CONFIG_MAPS, pull_request.namespace, lingering)


def test_a_namespace_that_is_going_takes_no_app_and_says_so(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster, lingering: str
) -> None:
    cluster.delete(NAMESPACES, None, pull_request.namespace)
    pull_request.open(commits["first"])
    refused = pull_request.until_condition("Ready", "False", "NamespaceTerminating", 10)
    assert pull_request.namespace in refused["message"]

    pull_request.close()
    pull_request.until_gone()
    assert pull_request.left() == []
    assert cluster.get(CONFIG_MAPS, pull_request.namespace, lingering)


def test_an_app_heals_when_its_namespace_is_made(
    repository: Repository,
    commits: dict[str, str],
    cluster: Cluster,
    installation: Installation,
    watcher: RunningWatcher,
) -> None:
    pull_request = repository.pull_request()
    pull_request.namespace = f"{repository.namespace}-late"
    pull_request.open(commits["first"])
    refused = pull_request.until_condition("Ready", "False", "NamespaceNotFound", 10)
    assert pull_request.namespace in refused["message"]

    installation.namespace(pull_request.namespace)
    watcher.until_updated(pull_request.name)
    cluster.delete(NAMESPACES, None, pull_request.namespace)
    # The rights to look may go first; what is left then goes with the namespace, in its time.
    until(lambda: cluster.get(NAMESPACES, None, pull_request.namespace) is None, "the namespace is gone")
