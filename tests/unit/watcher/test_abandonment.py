"""What a delete that was given up lets go of, where some of it can't be written."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.errors import ClusterUnreachable, ReviewAppError
from stacks import naming
from tests.samples.memory import MemoryCluster
from watcher.abandonment import has_let_go, let_go
from watcher.cluster import DEPLOYMENTS, JOBS, SERVICES, ApiRefused, Object, Resource

STACK = "acme.shop.42"


class Objects(MemoryCluster):
    """What a stack has; of some kinds it can't be changed."""

    def __init__(self, *there: tuple[Resource, str, str]) -> None:
        super().__init__()
        self.errors: dict[str, ReviewAppError] = {}
        for resource, namespace, name in there:
            self.create(resource, namespace, {"metadata": {"name": name, "labels": {naming.STACK_LABEL: STACK}}})

    def patch(
        self, resource: Resource, namespace: str | None, name: str, body: Object, subresource: Any = None
    ) -> Object:
        if resource.kind in self.errors:
            raise self.errors[resource.kind]
        return super().patch(resource, namespace, name, body, subresource)

    def labels(self, resource: Resource, namespace: str, name: str) -> dict[str, str]:
        return (self.get(resource, namespace, name) or {})["metadata"]["labels"]


def test_all_is_marked_and_is_the_stacks_no_more() -> None:
    cluster = Objects((DEPLOYMENTS, "review-shop", "shop-42"), (JOBS, "builds", "build"))
    others = {naming.STACK_LABEL: "acme.shop.43"}
    cluster.create(SERVICES, "review-shop", {"metadata": {"name": "other", "labels": others}})
    kept, refused = let_go(cluster, STACK, ["review-shop", "builds"], "builds")
    assert kept == ["Deployment review-shop/shop-42"]
    assert cluster.get(JOBS, "builds", "build") is None
    assert refused == []
    assert cluster.labels(DEPLOYMENTS, "review-shop", "shop-42") == {naming.ORPHANED_LABEL: STACK}
    assert cluster.labels(SERVICES, "review-shop", "other") == others
    assert has_let_go(cluster, STACK, ["review-shop"])
    assert not has_let_go(cluster, "acme.shop.43", ["review-shop"])


def test_what_can_not_be_written_is_named_and_holds_up_nothing() -> None:
    cluster = Objects((DEPLOYMENTS, "review-shop", "shop-42"), (SERVICES, "review-shop", "shop-42"))
    cluster.errors["Deployment"] = ApiRefused(403, "Forbidden", "no")
    cluster.errors["Job"] = ApiRefused(404, "NotFound", "gone meanwhile")
    kept, refused = let_go(cluster, STACK, ["review-shop"], "builds")
    assert kept == ["Service review-shop/shop-42"]
    assert refused == ["Deployment review-shop/shop-42: no (HTTP 403 Forbidden)"]


def test_where_the_api_server_does_not_answer_it_is_called_again() -> None:
    cluster = Objects((SERVICES, "review-shop", "shop-42"))
    cluster.errors["Service"] = ClusterUnreachable("connection refused")
    with pytest.raises(ClusterUnreachable):
        let_go(cluster, STACK, ["review-shop"], "builds")
