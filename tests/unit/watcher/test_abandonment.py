"""What a delete that was given up lets go of, where some of it can't be written."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client import Configuration

from provisioner.errors import ClusterUnreachable, ReviewAppError
from stacks import naming
from watcher.abandonment import has_let_go, let_go
from watcher.cluster import ApiRefused, Cluster, Object, Resource

STACK = "acme.shop.42"


class Objects(Cluster):
    """Objects by kind, namespace and name, with their labels."""

    def __init__(self, *there: tuple[str, str, str]) -> None:
        super().__init__(Configuration())
        self.labels: dict[tuple[str, str, str], dict[str, str]] = {key: {naming.STACK_LABEL: STACK} for key in there}
        self.errors: dict[str, ReviewAppError] = {}

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
    ) -> tuple[list[Object], str]:
        assert label_selector
        label, _, value = label_selector.partition("=")
        found = [
            key
            for key, labels in self.labels.items()
            if key[:2] == (resource.kind, namespace) and labels.get(label) == value
        ]
        return [{"metadata": {"namespace": key[1], "name": key[2]}} for key in found], "1"

    def delete_seen(self, resource: Resource, item: Object) -> None:
        del self.labels[resource.kind, item["metadata"]["namespace"], item["metadata"]["name"]]

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return {"metadata": {"name": name}}

    def patch(
        self, resource: Resource, namespace: str | None, name: str, body: Object, subresource: Any = None
    ) -> Object:
        if resource.kind in self.errors:
            raise self.errors[resource.kind]
        labels = self.labels[resource.kind, namespace or "", name]
        for label, value in body["metadata"]["labels"].items():
            labels.pop(label, None)
            if value is not None:
                labels[label] = value
        return {}


def test_all_is_marked_and_is_the_stacks_no_more() -> None:
    cluster = Objects(("Deployment", "review-shop", "shop-42"), ("Job", "builds", "build"))
    cluster.labels["Service", "review-shop", "other"] = {naming.STACK_LABEL: "acme.shop.43"}
    kept, refused = let_go(cluster, STACK, ["review-shop", "builds"], "builds")
    assert kept == ["Deployment review-shop/shop-42"]
    assert ("Job", "builds", "build") not in cluster.labels
    assert refused == []
    assert cluster.labels["Deployment", "review-shop", "shop-42"] == {naming.ORPHANED_LABEL: STACK}
    assert cluster.labels["Service", "review-shop", "other"] == {naming.STACK_LABEL: "acme.shop.43"}
    assert has_let_go(cluster, STACK, ["review-shop"])
    assert not has_let_go(cluster, "acme.shop.43", ["review-shop"])


def test_what_can_not_be_written_is_named_and_holds_up_nothing() -> None:
    cluster = Objects(("Deployment", "review-shop", "shop-42"), ("Service", "review-shop", "shop-42"))
    cluster.errors["Deployment"] = ApiRefused(403, "Forbidden", "no")
    cluster.errors["Job"] = ApiRefused(404, "NotFound", "gone meanwhile")
    kept, refused = let_go(cluster, STACK, ["review-shop"], "builds")
    assert kept == ["Service review-shop/shop-42"]
    assert refused == ["Deployment review-shop/shop-42: no (HTTP 403 Forbidden)"]


def test_where_the_api_server_does_not_answer_it_is_called_again() -> None:
    cluster = Objects(("Service", "review-shop", "shop-42"))
    cluster.errors["Service"] = ClusterUnreachable("connection refused")
    with pytest.raises(ClusterUnreachable):
        let_go(cluster, STACK, ["review-shop"], "builds")
