"""The rules of the settings, and how those heal whom they kept out. One watcher with all of them for these tests."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Generator

import pytest

from dev.sample import CONFIG_MAPS
from tests.e2e.conftest import Repository
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import SECRETS, Cluster

pytestmark = pytest.mark.cluster

RULES = {
    "repos": "acme/shop",
    "forks": "without-secrets",
    "named_objects": "labelled",
    "most_apps_per_repo": "2",
}


@pytest.fixture(scope="module")
def ruled(session_watcher: RunningWatcher) -> Generator[RunningWatcher]:
    session_watcher.stop()
    session_watcher.start(**RULES)
    yield session_watcher
    session_watcher.stop()


def test_what_the_rules_do_not_give(ruled: RunningWatcher, repository: Repository, commits: dict[str, str]) -> None:
    stranger, fork = repository.pull_request(), repository.pull_request()
    stranger.open(commits["first"], repo="site")
    fork.open(commits["first"], {"env": {"secrets": ["keys"]}}, fork=True)
    assert "the setting repos is acme/shop" in stranger.until_condition("Accepted", "False", "NotAllowed")["message"]
    said = fork.until_condition("Accepted", "False", "NotAllowed")["message"]
    assert "spec.config.env.secrets[0]: 'keys' is not for pull requests from forks" in said
    assert [*stranger.left(), *fork.left()] == []
    # Neither has taken a place.
    fork.push(commits["first"], config={"env": None})
    fork.until_condition("Accepted", "True")


def test_only_what_is_shared_is_named(
    ruled: RunningWatcher, repository: Repository, commits: dict[str, str], cluster: Cluster
) -> None:
    pull_request = repository.pull_request()
    keys = {"metadata": {"name": "keys"}, "data": {"KEY": base64.b64encode(b"a").decode()}}
    cluster.create(SECRETS, pull_request.namespace, keys)
    pull_request.open(commits["first"], {"env": {"secrets": ["keys"], "configMaps": ["flags"]}})
    refused = pull_request.until_condition("Ready", "False", "NotShared")
    assert pull_request.objects() == []
    command = refused["message"].split("`")[1]
    assert command == (f"kubectl -n {pull_request.namespace} label secret keys reviewtron.k8s.revelry.co/shared=true")
    subprocess.run(command, shell=True, check=True, timeout=30)
    # What is not there can't be looked at, and could be anything once it is.
    pull_request.until_condition("Ready", "False", "ConfigMapNotFound")
    labels = {"reviewtron.k8s.revelry.co/shared": "true"}
    cluster.create(CONFIG_MAPS, pull_request.namespace, {"metadata": {"name": "flags", "labels": labels}})
    ruled.until_updated(pull_request.name)


def test_no_more_live_than_may(ruled: RunningWatcher, repository: Repository, commits: dict[str, str]) -> None:
    everyone = [repository.pull_request() for _ in range(4)]
    for one in everyone:
        one.open(commits["endless"])
    until(lambda: all(one.condition("Accepted") for one in everyone), "each has an answer")
    accepted = [one for one in everyone if one.condition("Accepted")["status"] == "True"]
    waiting = [one for one in everyone if one not in accepted]
    assert len(accepted) == 2
    for one in waiting:
        said = one.until_condition("Accepted", "False", "TooManyApps")["message"]
        assert all(other.name in said for other in accepted)
        assert one.left() == []
    accepted[0].close()
    until(lambda: any(one.condition("Accepted")["status"] == "True" for one in waiting), "the next one gets the place")
    assert sorted(one.condition("Accepted")["status"] for one in waiting) == ["False", "True"]
