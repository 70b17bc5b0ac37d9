"""An HTTPRoute on a real API server that has the kind: made, found unchanged by the next update, and destroyed.

No controller of the Gateway API runs here: what a Gateway makes of it is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, cast

import pytest
import yaml

from provisioner.errors import ApplyRefused
from provisioner.stack import Stacks
from stacks.inputs import Gateway, StackInputs
from stacks.route import GATEWAY_GROUP, route
from tests.integration.conftest import MakeInputs, never
from tests.integration.test_crashes import until
from tests.unit.stacks.test_route import SCHEMA
from watcher.cluster import HTTP_ROUTES, Cluster, Object, Resource
from watcher.preconditions import require_kinds

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

CRDS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
NAME = f"{HTTP_ROUTES.plural}.{GATEWAY_GROUP}"


def structural(schema: Any) -> Any:
    """Return a schema as a CRD may have it, where fields that it does not name are dropped."""
    if not isinstance(schema, dict):
        return schema
    fields = cast("dict[str, Any]", schema)
    return {key: structural(value) for key, value in fields.items() if key != "additionalProperties"}


@pytest.fixture
def http_routes(cluster: Cluster) -> Generator[None]:
    """The kind, as far as this project uses it; the cluster's own where it has one."""
    if cluster.get(CRDS, None, NAME):
        yield
        return
    spec = structural(yaml.safe_load(SCHEMA.read_text()))
    version: Object = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }
    names = {"kind": HTTP_ROUTES.kind, "plural": HTTP_ROUTES.plural, "singular": "httproute"}
    metadata = {
        "name": NAME,
        # The API server asks that of whoever defines kinds of this group.
        "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/4829"},
    }
    body = {"group": GATEWAY_GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    cluster.create(CRDS, None, {"metadata": metadata, "spec": body})
    yield
    cluster.delete(CRDS, None, NAME)
    until(lambda: cluster.get(CRDS, None, NAME) is None, "the kind is gone")


def to_gateway(inputs: StackInputs) -> StackInputs:
    gateway = Gateway(namespace="gateways", name="public", scheme="https", noindex=True)
    changes: dict[str, Any] = {"gateway": gateway, "tls": None}
    return inputs.model_copy(update={"route": inputs.route.model_copy(update=changes)})


def test_a_cluster_without_the_kind_is_told_of_until_it_is_installed(
    request: pytest.FixtureRequest, make_inputs: MakeInputs, cluster: Cluster
) -> None:
    inputs = to_gateway(make_inputs(build=False))

    def lacks() -> ApplyRefused | None:
        try:
            require_kinds(cluster, inputs)
        except ApplyRefused as refusal:
            return refusal
        return None

    until(lacks, "the kind is not there")
    refusal = lacks()
    assert refusal
    assert refusal.reason == "KindNotFound"
    assert f"HTTPRoute {inputs.namespace}/{inputs.name} was refused (the cluster has no kind HTTPRoute" in str(refusal)
    request.getfixturevalue("http_routes")
    until(lambda: not lacks(), "it is served")


@pytest.mark.usefixtures("http_routes")
def test_it_is_made_kept_and_destroyed(
    stacks: Stacks, make_inputs: MakeInputs, namespace: str, cluster: Cluster, objects: Callable[[str], dict[str, Any]]
) -> None:
    inputs = to_gateway(make_inputs(build=False))
    stacks.up(inputs, 0)
    found = cluster.get(HTTP_ROUTES, namespace, inputs.name)
    assert found
    assert found["spec"] == route(inputs)["spec"]
    assert not stacks.up(inputs, 0).changed
    stacks.destroy(inputs.stack, 0, never)
    assert objects(inputs.stack) == {}
