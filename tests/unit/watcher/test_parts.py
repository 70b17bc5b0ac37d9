"""What is said of objects that a stack declares and that are not there."""

from __future__ import annotations

import pytest

from tests.unit.watcher.views import FIRST, review_app
from watcher.cluster import Cluster, Object, Resource
from watcher.parts import declared


class Empty(Cluster):
    """A cluster with nothing in it."""

    def __init__(self) -> None:
        pass

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return None


@pytest.mark.parametrize(
    ("build_status", "state"), [("building", "missing"), ("success", "not needed: the image is there")]
)
def test_a_commit_that_was_built_before_needs_no_job(build_status: str, state: str) -> None:
    item = review_app() | {"status": {"buildStatus": build_status, "buildCommit": FIRST}}
    found = {one.name.partition(" ")[0]: one.state for one in declared(Empty(), item, "reviewapp-builds")}
    assert found["Job"] == state
    assert found["Service"] == "missing"
