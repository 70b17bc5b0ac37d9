"""A Secret that the config names and the namespace does not have yet."""

from __future__ import annotations

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from watcher.cluster import SECRETS, Cluster

pytestmark = pytest.mark.cluster


@side_by_side
def test_it_is_named_and_its_arrival_is_enough(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster
) -> None:
    pull_request.open(commits["telling"], {"env": {"secrets": ["keys"]}})
    pull_request.until_condition("Available", "False", "CreateContainerConfigError")
    # Now and then the kubelet first says only that its wait for the Secret timed out.
    until(lambda: 'secret "keys" not found' in pull_request.condition("Available")["message"], "the Secret is named")
    assert pull_request.condition("Ready")["reason"] == "CreateContainerConfigError"

    cluster.create(
        SECRETS, pull_request.namespace, {"metadata": {"name": "keys"}, "stringData": {"KEY": "at long last"}}
    )
    pull_request.until_ready(commits["telling"])
    assert "KEY=at long last" in (pull_request.page("environment") or "")
