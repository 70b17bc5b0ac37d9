"""What is asked of the API server before an engine runs, and how often."""

from __future__ import annotations

import pytest

from provisioner.errors import ApplyRefused
from stacks.inputs import StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests
from tests.samples.memory import MemoryCluster
from tests.unit.watcher.views import SETTINGS, inputs
from watcher import preconditions
from watcher.cluster import Object


class Discovery(MemoryCluster):
    """A cluster that counts how often it is asked what it serves."""

    def __init__(self, custom: dict[str, tuple[str, ...]]) -> None:
        super().__init__(custom)
        self.asked: list[str] = []

    def resources(self, api_version: str) -> list[Object]:
        self.asked.append(api_version)
        return super().resources(api_version)


KINDS = {
    "kubedb.com/v1": ("postgreses", "postgreses/status"),
    "gateway.networking.k8s.io/v1": ("gateways", "httproutes"),
}
DECLARED = inputs(
    settings=SETTINGS.model_copy(update={"route": "gateway", "gateway": "gateways/public"}),
    config={"namespace": "review-shop", "applicationPort": 8080, "database": {"backend": "kubedb"}},
)


@pytest.fixture(autouse=True)
def twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a stack declare two objects of each optional kind."""

    def both(declared: StackInputs) -> list[Manifest]:
        return [*manifests(declared), *manifests(declared)]

    monkeypatch.setattr(preconditions, "manifests", both)


def test_what_a_version_of_a_group_serves_is_asked_once() -> None:
    cluster = Discovery(KINDS)
    preconditions.require_kinds(cluster, DECLARED)
    assert sorted(cluster.asked) == sorted(KINDS)


@pytest.mark.parametrize("version", KINDS)
def test_a_kind_that_is_not_served_is_refused(version: str) -> None:
    cluster = Discovery({**KINDS, version: KINDS[version][:0]})
    with pytest.raises(ApplyRefused, match=f"the cluster has no kind .* of {version}"):
        preconditions.require_kinds(cluster, DECLARED)
