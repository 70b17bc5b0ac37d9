"""An app of the older operator is taken over, and by the real engine becomes a stack, while it goes on answering.

The older operator is a stand-in (tests/old_operator.py); its app is real. With a database: tests/e2e/test_adopt.py.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from dev.target import BASE_IMAGE
from provisioner.desired import stack_inputs, wanted_build
from provisioner.ownership import Ownership, ownership
from provisioner.review_app import Status
from provisioner.stack import Stacks
from stacks import naming
from stacks.review_app import manifests
from tests import samples
from tests.e2e.waiting import until
from tests.integration.conftest import never
from tests.integration.test_crashes import Objects
from tests.integration.test_drift import found as drifts
from tests.old_operator import OldOperator, Visitor, killed_at_each_write, pods
from watcher.adoption import plan
from watcher.cluster import DECLARED, DEPLOYMENTS, PODS, REPLICA_SETS, SERVICES, Cluster, Object, entries, section
from watcher.old_objects import look
from watcher.takeover import Takeover

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

COMMAND = "mkdir /site && echo old >/site/commit && exec httpd -f -p 8080 -h /site"
COMMIT, NEXT = "a" * 40, "b" * 40


def test_it_becomes_a_stack_and_goes_on_answering(
    cluster: Cluster, namespace: str, stacks: Stacks, objects: Objects
) -> None:
    image = os.environ[BASE_IMAGE]
    older = OldOperator(cluster, namespace, namespace, "42", image, "review.example.com", ("sh", "-c", COMMAND))
    config: dict[str, Any] = {"namespace": namespace, "applicationPort": 8080, "database": None, "migrate": None}
    spec = samples.spec(config=config, commitHash=COMMIT)
    settings = samples.settings()
    status = Status.read(older.make(COMMIT, {}))
    until(lambda: _status(cluster, namespace).get("readyReplicas"), "it runs")
    running = [pod for pod in pods(cluster, namespace) if pod.startswith("shop-42-")]

    old = look(cluster, "shop-42", namespace, namespace, f"{namespace}/shop-42--certificate")
    found = plan(spec, status, settings, old)
    assert found.obstacles == ()
    assert f"Ingress {namespace}/shop-42" in found.takes
    visitor = Visitor(f"http://{section(old.service or {}, 'spec')['clusterIP']}/commit")

    def adopt(mortal: Cluster) -> None:
        takeover = Takeover(mortal, found.inputs)
        takeover.label_others(old)
        takeover.take()

    with visitor.visiting():
        assert killed_at_each_write(cluster, adopt) > 5
        for manifest in manifests(found.inputs):
            resource = DECLARED[manifest["apiVersion"], manifest["kind"]]
            live = cluster.get(resource, namespace, manifest["metadata"]["name"])
            assert ownership(live, found.inputs.stack) is Ownership.OURS
        assert stacks.up(found.inputs, 0).changes["create"] == len(manifests(found.inputs)) + 1
        assert stacks.preview(found.inputs, 0).changes == ()
        assert drifts(found.inputs, objects) == []
        # It has taken over the one ReplicaSet, and made none.
        (replica_set,) = cluster.list(REPLICA_SETS, namespace)[0]
        owner = until(lambda: section(replica_set, "metadata").get("ownerReferences"), "it is owned")
        assert [each["name"] for each in owner] == ["shop-42"]
        until(lambda: _status(cluster, namespace).get("readyReplicas"), "the Deployment counts it")
    assert (visitor.failures, visitor.answers > 0) == ([], True)
    assert {*running} <= pods(cluster, namespace)
    ingress = objects(found.inputs.stack)["Ingress/shop-42"]
    assert "example.com/of-the-older-one" not in ingress["metadata"]["annotations"]

    later = samples.spec(config=config, commitHash=NEXT)
    build = wanted_build(later, settings).model_copy(update={"existing": image})
    new = stack_inputs(later, settings, previous=found.inputs, built=True, tls=old.tls, build=build, image=image)
    assert stacks.up(new, 0).changed
    deployment = cluster.get(DEPLOYMENTS, namespace, "shop-42")
    assert [each["name"] for each in entries(deployment or {}, "spec", "template", "spec", "containers")] == ["app"]
    assert "Secret/shop-42--variables" not in objects(new.stack)

    stacks.destroy(new.stack, 0, never)
    left = {name for name in objects(new.stack) if not name.startswith("Job/")}
    # What serves nothing any more goes with the sweep by label that follows.
    assert left == {"Secret/shop-42--certificate", "Secret/shop-42--init"}
    until(lambda: not cluster.list(PODS, namespace, f"{naming.STACK_LABEL}={new.stack}")[0], "its Pods are gone")
    assert cluster.get(SERVICES, namespace, "shop-42") is None


def _status(cluster: Cluster, namespace: str) -> Object:
    return section(cluster.get(DEPLOYMENTS, namespace, "shop-42") or {}, "status")
