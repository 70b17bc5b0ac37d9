"""`reviewapp adopt` of one app, on a cluster in memory: what it notes, where it goes on, what it leaves alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import typer

from provisioner.errors import ReviewAppError
from stacks import naming
from tests import samples
from tests.samples.memory import MemoryCluster
from tests.unit.watcher.test_adoption import COMMIT, NAMESPACE, deployment, postgres, secret
from watcher.adopt_command import adopt, adopt_one
from watcher.cluster import (
    DEPLOYMENTS,
    INGRESSES,
    KUBEDB_POSTGRESES,
    NAMESPACES,
    REPLICA_SETS,
    REVIEW_APPS,
    SECRETS,
    SERVICES,
    Object,
    Resource,
)
from watcher.journal import Entry, Journal

SYSTEM = "reviewapp-system"
NAME = "acme-shop-42"


class Dies(MemoryCluster):
    """Ends the process that writes, after as many writes as it is given."""

    left = 1_000

    def apply(self, resource: Resource, namespace: str | None, body: Object, manager: str) -> Object:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().apply(resource, namespace, body, manager)


@pytest.fixture
def cluster() -> Dies:
    cluster = Dies({"kubedb.com/v1": ("postgreses",)})
    annotations = {naming.ALLOW_ANNOTATION: "acme/*"}
    cluster.create(NAMESPACES, None, {"metadata": {"name": NAMESPACE, "annotations": annotations}})
    review_app = samples.review_app()
    review_app["status"] = {"buildStatus": "success", "buildCommit": COMMIT}
    cluster.create(REVIEW_APPS, None, review_app)
    plain = {"metadata": {"name": "shop-42"}, "spec": {"ports": [{"port": 80}]}}
    auth = secret("shop-42--postgres-auth", "kubernetes.io/basic-auth", username="cG9zdGdyZXM=", password="cGFzcw==")
    items: list[tuple[Resource, Object]] = [
        (DEPLOYMENTS, deployment()),
        (SERVICES, plain),
        (INGRESSES, copy.deepcopy(plain) | {"spec": {}}),
        (SECRETS, secret("shop-42--variables", GREETING="aGVsbG8=")),
        (SECRETS, secret("shop-42--old-certificate")),
        (SECRETS, auth),
        (KUBEDB_POSTGRESES[0], postgres()),
    ]
    for resource, item in items:
        cluster.create(resource, NAMESPACE, copy.deepcopy(item) | {"apiVersion": resource.api_version})
    live = cluster.get(DEPLOYMENTS, NAMESPACE, "shop-42") or {}
    labels = {**deployment()["spec"]["template"]["metadata"]["labels"], "pod-template-hash": "abc"}
    owner = {"uid": live["metadata"]["uid"]}
    body = {
        "metadata": {"name": "shop-42-abc", "labels": labels, "ownerReferences": [owner]},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}},
    }
    cluster.create(REPLICA_SETS, NAMESPACE, body)
    return cluster


def run(cluster: MemoryCluster, **options: Any) -> bool:
    journal = Journal(cluster, SYSTEM)
    journal.load()
    review_app = cluster.get(REVIEW_APPS, None, NAME)
    assert review_app
    return adopt_one(cluster, samples.settings(), journal, review_app, **options)


def entry(cluster: MemoryCluster) -> Entry | None:
    journal = Journal(cluster, SYSTEM)
    journal.learn(NAME)
    return journal.get(NAME)


def label(cluster: MemoryCluster, resource: Resource, name: str) -> str | None:
    found = cluster.get(resource, NAMESPACE, name) or {"metadata": {}}
    return found["metadata"].get("labels", {}).get(naming.STACK_LABEL)


def told(cluster: MemoryCluster) -> bool:
    review_app = cluster.get(REVIEW_APPS, None, NAME) or {}
    return naming.ADOPTED_ANNOTATION in review_app["metadata"].get("annotations", {})


def test_all_of_it_becomes_the_stacks_and_the_watcher_has_to_finish_it(cluster: Dies) -> None:
    assert run(cluster)
    noted = entry(cluster)
    assert noted
    assert (noted.phase, noted.inputs.stack, noted.namespaces) == (
        "applying",
        "acme.shop.42",
        (NAMESPACE, "reviewapp-builds"),
    )
    assert told(cluster)
    for resource, name in (
        (DEPLOYMENTS, "shop-42"),
        (REPLICA_SETS, "shop-42-abc"),
        (SERVICES, "shop-42"),
        (SECRETS, "shop-42--old-certificate"),
        (KUBEDB_POSTGRESES[0], "shop-42--postgres"),
    ):
        assert label(cluster, resource, name) == "acme.shop.42"
    # Nobody takes what the config names.
    assert label(cluster, SECRETS, "secret-one") is None


def test_a_dry_run_writes_nothing(cluster: Dies, capsys: pytest.CaptureFixture[str]) -> None:
    before = copy.deepcopy(cluster.objects)
    assert run(cluster, dry_run=True)
    assert cluster.objects == before
    assert f"takes    Deployment {NAMESPACE}/shop-42" in capsys.readouterr().out


@pytest.mark.parametrize("writes", range(7))
def test_it_goes_on_where_it_was_killed(cluster: Dies, writes: int, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.left = writes
    with pytest.raises(KeyboardInterrupt):
        run(cluster)
    assert not told(cluster)
    noted = entry(cluster)
    cluster.left = 1_000
    assert run(cluster)
    assert "was begun" in capsys.readouterr().out
    assert told(cluster)
    assert entry(cluster) == noted
    assert label(cluster, DEPLOYMENTS, "shop-42") == label(cluster, INGRESSES, "shop-42") == "acme.shop.42"


def test_what_has_a_stack_is_left_alone(cluster: Dies, capsys: pytest.CaptureFixture[str]) -> None:
    run(cluster)
    before = copy.deepcopy(cluster.objects)
    assert run(cluster)
    assert "has the stack acme.shop.42 already" in capsys.readouterr().out
    assert cluster.objects == before


def test_with_an_obstacle_nothing_is_written(cluster: Dies, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.delete(SERVICES, NAMESPACE, "shop-42")
    before = copy.deepcopy(cluster.objects)
    assert not run(cluster)
    assert cluster.objects == before
    assert "can't    there is no Service" in capsys.readouterr().out


def test_a_namespace_that_is_not_open_is_refused(cluster: Dies) -> None:
    cluster.patch(NAMESPACES, None, NAMESPACE, {"metadata": {"annotations": {naming.ALLOW_ANNOTATION: None}}})
    with pytest.raises(ReviewAppError, match="kubectl annotate namespace"):
        run(cluster)
    assert entry(cluster) is None


def test_what_is_being_deleted_is_refused(cluster: Dies) -> None:
    cluster.patch(REVIEW_APPS, None, NAME, {"metadata": {"finalizers": [naming.FINALIZER]}})
    cluster.delete(REVIEW_APPS, None, NAME)
    with pytest.raises(ReviewAppError, match="being deleted"):
        run(cluster)


def test_one_or_all_are_named() -> None:
    with pytest.raises(typer.BadParameter, match="either APP or --all"):
        adopt()
    with pytest.raises(typer.BadParameter, match="either APP or --all"):
        adopt(NAME, all_of_them=True)
