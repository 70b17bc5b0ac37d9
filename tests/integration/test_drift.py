"""Drift on a real API server, of objects that the real engine made: what counts, and that it is put right."""

from __future__ import annotations

import pytest

from provisioner.errors import ForeignObject
from provisioner.stack import Stacks
from stacks.inputs import StackInputs
from tests.integration.conftest import MakeInputs, never
from tests.integration.test_crashes import Objects
from watcher.cluster import DEPLOYMENTS, INGRESSES, NETWORK_POLICIES, SECRETS, SERVICES, Cluster
from watcher.correction import correct
from watcher.drift import Drift, drift

pytestmark = [pytest.mark.engine, pytest.mark.cluster]


def found(inputs: StackInputs, objects: Objects) -> list[Drift]:
    live = [
        {"kind": key.partition("/")[0], "metadata": item["metadata"]} for key, item in objects(inputs.stack).items()
    ]
    return drift(inputs, live)


def test_what_is_changed_or_deleted_by_hand_is_seen_and_put_right(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, cluster: Cluster, namespace: str
) -> None:
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    assert found(inputs, objects) == []
    name = inputs.name
    # What is not declared, what an autoscaler does, and what is set to what it is, are no drift.
    cluster.patch(SERVICES, namespace, name, {"metadata": {"annotations": {"example.com/note": "mine"}}})
    deployment = cluster.get(DEPLOYMENTS, namespace, name)
    assert deployment
    same = deployment["spec"]["revisionHistoryLimit"]
    cluster.patch(DEPLOYMENTS, namespace, name, {"spec": {"replicas": 3, "revisionHistoryLimit": same}})
    assert found(inputs, objects) == []

    cluster.patch(SERVICES, namespace, name, {"spec": {"ports": [{"port": 80, "targetPort": 1234}]}})
    container = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example.com/other"}
    cluster.change(DEPLOYMENTS, namespace, name, [container])
    secret = f"{name}--env"
    cluster.patch(SECRETS, namespace, secret, {"data": {"SECRET": "c3BpZWQ="}})
    cluster.patch(NETWORK_POLICIES, namespace, name, {"spec": {"ingress": [{}]}})
    cluster.delete(INGRESSES, namespace, name)
    seen = found(inputs, objects)
    assert {one.key[0]: one.fields for one in seen} == {
        "Service": ("spec.ports[80].name", "spec.ports[80].targetPort"),
        "Deployment": ("spec.template.spec.containers[app].image",),
        "Secret": ("data",),
        "NetworkPolicy": ("spec.ingress",),
        "Ingress": (),
    }
    assert f"Ingress {namespace}/{name} was deleted" in {str(one) for one in seen}
    assert any("by python" in str(one) for one in seen)

    correct(cluster, inputs, seen)
    assert found(inputs, objects) == []
    service = cluster.get(SERVICES, namespace, name)
    assert service
    assert service["spec"]["ports"][0]["targetPort"] != 1234
    assert service["metadata"]["annotations"]["example.com/note"] == "mine"
    assert cluster.get(INGRESSES, namespace, name)
    # The engine goes on from there as if nothing had been.
    assert not stacks.up(inputs, 0).changed
    changed = make_inputs(build=False, port=6000)
    assert stacks.up(changed, 0).changed
    assert found(changed, objects) == []
    stacks.destroy(inputs.stack, 0, never)
    assert objects(inputs.stack) == {}


def test_an_object_that_took_the_place_of_ours_is_left(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, cluster: Cluster, namespace: str
) -> None:
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    cluster.delete(SERVICES, namespace, inputs.name)
    cluster.create(SERVICES, namespace, {"metadata": {"name": inputs.name}, "spec": {"ports": [{"port": 81}]}})
    (one,) = found(inputs, objects)
    with pytest.raises(ForeignObject):
        correct(cluster, inputs, [one])
    live = cluster.get(SERVICES, namespace, inputs.name)
    assert live
    assert live["spec"]["ports"][0]["port"] == 81
    cluster.delete(SERVICES, namespace, inputs.name)
    stacks.destroy(inputs.stack, 0, never)
