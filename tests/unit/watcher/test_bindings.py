"""The rights that the watcher binds: when, where, and what becomes of those that somebody else has bound."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.errors import ApplyRefused
from watcher.bindings import Bindings, role_binding
from watcher.cluster import ApiRefused, Cluster, Object, Resource


class Namespaces(Cluster):
    """A cluster in which rights follow from RoleBindings: ours, and those of owners, by namespace."""

    def __init__(self, *, may_bind: bool = True) -> None:
        self.may_bind = may_bind
        self.bindings: dict[str, Object] = {}
        self.owners: set[str] = set()

    def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        if resource.kind == "SelfSubjectAccessReview":
            asked: str = body["spec"]["resourceAttributes"]["namespace"]
            return {"status": {"allowed": asked in self.bindings or asked in self.owners}}
        if not self.may_bind:
            raise ApiRefused(403, "Forbidden", "may not create rolebindings")
        assert namespace
        self.bindings[namespace] = body
        return body

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
    ) -> tuple[list[Object], str]:
        assert label_selector == "app.kubernetes.io/managed-by=reviewapp"
        found = self.bindings if namespace is None else self.bindings.keys() & {namespace}
        return [{"metadata": {"namespace": each}} for each in found], "1"

    def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        assert name == "reviewapp-apps"
        assert namespace
        del self.bindings[namespace]


def made(**changes: Any) -> tuple[Namespaces, Bindings]:
    cluster = Namespaces(**changes)
    return cluster, Bindings(cluster, "reviewapp-system")


def test_rights_are_bound_to_ourselves_and_taken_back_with_the_last_app() -> None:
    cluster, bindings = made()
    bindings.take("a", "shop")
    assert cluster.bindings == {"shop": role_binding("reviewapp-system")}
    bindings.release("a", in_use={"shop"})
    assert cluster.bindings.keys() == {"shop"}
    bindings.release("a", in_use=set(), namespaces=["shop", "reviewapp-builds"])
    assert cluster.bindings == {}


def test_an_update_that_came_to_nothing_leaves_no_right() -> None:
    cluster, bindings = made()
    bindings.take("a", "shop")
    bindings.release("a", in_use=set())
    assert cluster.bindings == {}


def test_what_one_takes_back_another_may_just_have_taken() -> None:
    cluster, bindings = made()
    bindings.take("a", "shop")
    bindings.take("b", "shop")
    bindings.release("a", in_use=set(), namespaces=["shop"])
    assert cluster.bindings.keys() == {"shop"}
    bindings.release("b", in_use=set())
    assert cluster.bindings == {}


def test_what_a_killed_watcher_left_is_taken_back_at_the_start() -> None:
    cluster, bindings = made()
    for namespace in ("shop", "left"):
        bindings.take(namespace, namespace)
    Bindings(cluster, "reviewapp-system").tidy(in_use={"shop"})
    assert cluster.bindings.keys() == {"shop"}


def test_an_owners_binding_is_used_and_left_though_we_may_bind_nothing() -> None:
    cluster, bindings = made(may_bind=False)
    cluster.owners = {"shop"}
    bindings.take("a", "shop")
    bindings.release("a", in_use=set(), namespaces=["shop"])
    assert cluster.owners == {"shop"}


def test_without_either_it_is_said_who_can_bind_it_and_how() -> None:
    _, bindings = made(may_bind=False)
    with pytest.raises(ApplyRefused) as caught:
        bindings.take("a", "shop")
    assert caught.value.reason == "NotPermitted"
    assert (
        "`kubectl -n shop create rolebinding reviewapp-apps --clusterrole=reviewapp-apps "
        "--serviceaccount=reviewapp-system:reviewapp`"
    ) in str(caught.value)
