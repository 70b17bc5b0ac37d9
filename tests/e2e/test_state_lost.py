"""A state that was lost or damaged is made anew, though nobody pushes, and what only it knew is taken away."""

from __future__ import annotations

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import SERVICES, Cluster

pytestmark = pytest.mark.cluster


def test_a_damaged_checkpoint_hides_nothing_for_long(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher, cluster: Cluster
) -> None:
    pull_request.open_unbuildable(commits["broken"])
    watcher.stop()
    checkpoint = watcher.folder / "state/.pulumi/stacks/reviewapp" / f"{pull_request.stack}.json"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    # As the engine leaves one that inputs before these declared.
    service = cluster.get(SERVICES, pull_request.namespace, pull_request.app)
    assert service
    former = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "former", "labels": service["metadata"]["labels"]},
        "spec": {"ports": [{"port": 80}]},
    }
    cluster.apply(SERVICES, pull_request.namespace, former, pull_request.stack)

    watcher.start()
    until(lambda: ("Warning", "StateLost") in pull_request.events(), "it is told of", 30)
    until(lambda: not cluster.get(SERVICES, pull_request.namespace, "former"), "what only the state knew is gone", 30)
    until(lambda: checkpoint.read_bytes()[-4:] == whole[-4:], "the state can be worked with", 10)
