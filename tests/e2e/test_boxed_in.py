"""What the node and the API server say of an app that is boxed in."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Repository
from tests.e2e.side_by_side import side_by_side
from watcher.cluster import NETWORK_POLICIES

pytestmark = pytest.mark.cluster


@side_by_side
def test_root_is_refused_with_the_remedy_and_all_else_runs(repository: Repository, commits: dict[str, str]) -> None:
    rooted, user = repository.pull_request(), repository.pull_request()
    rooted.open(commits["root"])
    user.open(
        commits["first"],
        config={
            "readOnlyRootFilesystem": True,
            "resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": 1, "memory": "64Mi"}},
        },
    )

    refused = rooted.until_condition("Available", "False", "CreateContainerConfigError")
    assert "image will run as root" in refused["message"]
    assert "USER 1000" in refused["message"]
    assert "root_repositories" in refused["message"]

    user.until_ready(commits["first"])
    (pod,) = [pod for pod in user.pods() if "deletionTimestamp" not in pod["metadata"]]
    (container,) = pod["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "10m", "memory": "64Mi"},
        "limits": {"cpu": "1", "memory": "64Mi"},
    }
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    # No Pod has the token of a service account: the only volume is the one for scratch files.
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["tmp"]
    policy = user.cluster.get(NETWORK_POLICIES, user.namespace, user.app)
    assert policy
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
