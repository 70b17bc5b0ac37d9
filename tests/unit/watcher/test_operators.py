"""Which operators a cluster has, and in which of their versions, as its discovery says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from provisioner.databases import Operators
from watcher.cluster import ApiRefused, Cluster, Object, Resource
from watcher.operators import look_up_operators


class Discovery:
    """Answers as the API server of a cluster does that serves these kinds, by API version."""

    def __init__(self, served: Mapping[str, str], catalogue: Mapping[str, bool] | None = None) -> None:
        self._served = served
        self._catalogue = catalogue

    def resources(self, api_version: str) -> list[Object]:
        plural = self._served.get(api_version)
        return [{"name": plural}, {"name": f"{plural}/status"}] if plural else []

    def list(self, resource: Resource) -> tuple[list[Object], str]:
        assert resource.plural == "postgresversions"
        if self._catalogue is None:
            raise ApiRefused(404, "NotFound", "the server could not find the requested resource")
        items: list[Object] = [
            {"metadata": {"name": name}, "spec": {"deprecated": deprecated}}
            for name, deprecated in self._catalogue.items()
        ]
        return items, ""


def found(backend: str, served: Mapping[str, str], **more: Any) -> Operators:
    return look_up_operators(cast("Cluster", Discovery(served, **more)), backend)


@pytest.mark.parametrize(
    ("served", "best"),
    [
        (["v1", "v1alpha2", "v1alpha1"], "v1"),
        (["v1alpha2", "v1"], "v1"),
        (["v1alpha1", "v1alpha2"], "v1alpha2"),
        (["v1alpha1"], "v1alpha1"),
    ],
)
def test_the_best_version_that_kubedb_serves(served: list[str], best: str) -> None:
    kinds = {f"kubedb.com/{version}": "postgreses" for version in served}
    assert found("kubedb", kinds, catalogue={}) == Operators(kubedb=f"kubedb.com/{best}", kubedb_versions=())


def test_a_version_of_kubedb_without_postgres_is_none() -> None:
    served = {"kubedb.com/v1": "redises", "kubedb.com/v1alpha2": "postgreses"}
    assert found("kubedb", served, catalogue={}).kubedb == "kubedb.com/v1alpha2"


def test_what_is_deprecated_is_not_offered() -> None:
    catalogue = {"16.4": False, "9.6": True, "17.2": False}
    assert found("kubedb", {"kubedb.com/v1": "postgreses"}, catalogue=catalogue).kubedb_versions == ("16.4", "17.2")


def test_a_catalogue_that_is_elsewhere_is_not_known() -> None:
    assert found("kubedb", {"kubedb.com/v1alpha1": "postgreses"}).kubedb_versions is None


def test_a_cluster_without_operators() -> None:
    assert [found(backend, {}) for backend in ("kubedb", "cloudnative-pg", "postgres")] == [Operators()] * 3


def test_cloudnative_pg() -> None:
    assert found("cloudnative-pg", {"postgresql.cnpg.io/v1": "clusters"}) == Operators(cnpg=True)
