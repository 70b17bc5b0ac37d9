"""What is said of objects that a stack declares and that are not there."""

from __future__ import annotations

import pytest

from tests.unit.watcher.views import FIRST, review_app
from watcher.cluster import HTTP_ROUTES, Cluster, Object, Resource
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


class Routed(Empty):
    """A cluster where the app has a route of the Gateway API, in a namespace of its own."""

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return {"kind": "HTTPRoute", "metadata": {}} if (resource, namespace) == (HTTP_ROUTES, "its-own") else None


def test_it_is_looked_for_where_it_is_and_as_it_is_reached() -> None:
    item = review_app() | {"status": {"namespace": "its-own", "url": "https://shop-42.review.example.com"}}
    found = {one.name: one.state for one in declared(Routed(), item, "reviewapp-builds")}
    assert found["HTTPRoute its-own/shop-42"] == "there"
    assert not [name for name in found if name.startswith("Ingress ") or name.endswith("--tls")]
    assert {name.partition(" ")[2].partition("/")[0] for name in found} == {"its-own", "reviewapp-builds"}
