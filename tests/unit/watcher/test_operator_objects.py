"""An operator's object goes before the engine runs, and who holds it is said."""

from __future__ import annotations

import pytest

from stacks.inputs import StackInputs
from tests import samples
from tests.e2e.waiting import until
from tests.unit.stacks.test_database import database, inputs_with
from tests.whole_watcher import whole_watcher
from watcher.cluster import DECLARED, REVIEW_APPS, Cluster, Object, Resource
from watcher.conditions import find_condition
from watcher.operator_objects import take_away

POSTGRES = DECLARED["kubedb.com/v1", "Postgres"]
NAMES = {"kubedb": ("kubedb.com/v1alpha2", "Postgres"), "cloudnative-pg": ("postgresql.cnpg.io/v1", "Cluster")}


class Held(Cluster):
    """A cluster with one object of a kind, which finalizers hold until they are taken off."""

    def __init__(self, api_version: str, *finalizers: str) -> None:
        self._api_version = api_version
        self._metadata: Object = {"name": "shop-42--db", "finalizers": [*finalizers]}
        self._is_gone = False
        self.deleted = 0

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
    ) -> tuple[list[Object], str]:
        del name
        assert label_selector == "reviewtron.k8s.revelry.co/stack=acme.shop.42"
        is_here = resource.api_version == self._api_version and not self._is_gone
        return ([{"metadata": self._metadata | {"namespace": namespace}}] if is_here else []), ""

    def delete_seen(self, resource: Resource, item: Object) -> None:
        self.deleted += 1
        self._metadata["deletionTimestamp"] = "now"
        self._is_gone = not self._metadata["finalizers"]


def inputs_of(backend: str, api_version: str = "") -> StackInputs:
    inputs, _ = inputs_with(database(backend, api_version=api_version))
    return inputs


@pytest.mark.parametrize("backend", NAMES)
def test_it_is_asked_once_and_its_holder_is_named(backend: str) -> None:
    api_version, kind = NAMES[backend]
    cluster = Held(api_version, "kubedb.com")
    for _ in range(2):
        (left,) = take_away(cluster, inputs_of(backend, api_version), ["review-shop"])
        assert left == f"{kind} review-shop/shop-42--db (its operator has yet to let go of it: kubedb.com)"
    assert cluster.deleted == 1


@pytest.mark.parametrize("backend", NAMES)
def test_what_nobody_holds_is_gone_at_once(backend: str) -> None:
    cluster = Held(NAMES[backend][0])
    assert take_away(cluster, inputs_of(backend, NAMES[backend][0]), ["review-shop"]) == []
    assert cluster.deleted == 1


def test_where_no_operator_is_nothing_is_looked_for() -> None:
    cluster = Held("", "x")
    without = inputs_of("postgres").model_copy(update={"database": None})
    assert take_away(cluster, inputs_of("postgres"), ["review-shop"]) == []
    assert take_away(cluster, without, ["review-shop"]) == []
    # With its namespace went all that it had.
    assert take_away(cluster, inputs_of(*("kubedb", "kubedb.com/v1")), []) == []
    assert cluster.deleted == 0


def test_no_engine_waits_for_an_operator_that_does_not_answer() -> None:
    spec = samples.review_app()["spec"]
    place = spec["config"]["namespace"]
    settings = samples.settings()
    with whole_watcher(settings, [place, settings.build_namespace]) as watcher:
        watcher.cluster.create(REVIEW_APPS, None, {"metadata": {"name": "shop"}, "spec": spec})
        postgres = until(lambda: watcher.cluster.get(POSTGRES, place, "shop-42--db"), "there is a Postgres")
        watcher.cluster.patch(POSTGRES, place, "shop-42--db", {"metadata": {"finalizers": ["kubedb.com"]}})
        watcher.cluster.delete(REVIEW_APPS, None, "shop")

        def said() -> bool:
            ready = find_condition(watcher.cluster.get(REVIEW_APPS, None, "shop") or {}, "Ready") or {}
            return f"{postgres['metadata']['name']} (its operator" in ready.get("message", "")

        until(said, "it says what it waits for")
        assert watcher.stacks.destroyed == set()
        watcher.cluster.patch(POSTGRES, place, "shop-42--db", {"metadata": {"finalizers": []}})
        until(lambda: watcher.cluster.get(REVIEW_APPS, None, "shop") is None, "it is gone")
        assert watcher.stacks.destroyed == {"acme.shop.42"}
