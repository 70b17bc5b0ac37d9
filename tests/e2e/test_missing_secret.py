"""A Secret that the config names and the namespace does not have yet."""

from __future__ import annotations

import pytest

from tests.e2e.pull_request import PullRequest
from watcher.cluster import SECRETS, Cluster

pytestmark = pytest.mark.cluster


def test_it_is_named_and_its_arrival_is_enough(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster
) -> None:
    pull_request.open(commits["telling"], {"env": {"secrets": ["keys"]}})
    missing = pull_request.until_condition("Available", "False", "CreateContainerConfigError")
    assert 'secret "keys" not found' in missing["message"]
    assert pull_request.condition("Ready")["message"] == missing["message"]

    cluster.create(
        SECRETS, pull_request.namespace, {"metadata": {"name": "keys"}, "stringData": {"KEY": "at long last"}}
    )
    pull_request.until_ready(commits["telling"])
    assert "KEY=at long last" in (pull_request.page("environment") or "")
