"""What adopting an app of the older operator comes to: the stack's inputs, what is said, what stands in its way."""

from __future__ import annotations

import copy
import dataclasses
from base64 import b64encode
from typing import Any

import pytest

from provisioner.review_app import Status
from stacks import naming
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests import samples
from tests.samples.memory import MemoryCluster
from tests.unit.watcher.views import SECOND
from watcher.adoption import UNKNOWN_COMMIT, Plan, plan
from watcher.cluster import DEPLOYMENTS, KUBEDB_POSTGRESES, REPLICA_SETS, SECRETS, SERVICES, Object, Resource
from watcher.decide import Apply, Nothing, decide
from watcher.field_ownership import taken_over
from watcher.journal import Entry
from watcher.old_objects import OldObjects, look
from watcher.view import View

COMMIT = samples.review_app()["spec"]["commitHash"]
IMAGE = "registry.example.com/shop-42:8a1f0e3c5b"
DEPLOYED = Status(build_status="success", build_commit=COMMIT)
LABELS = {naming.APP_LABEL: "shop", naming.BUILD_LABEL: "42"}
NAMESPACE = "review-shop"
AUTH = {"username": "cG9zdGdyZXM=", "password": b64encode(b"p@ss/w:rd").decode()}


def deployment(**spec: Any) -> Object:
    containers = [{"name": "shop-42", "image": IMAGE, "envFrom": [{"secretRef": {"name": "shop-42--variables"}}]}]
    template = {"metadata": {"labels": {**LABELS, "app": "shop-42"}}, "spec": {"containers": containers}}
    return {
        "metadata": {"name": "shop-42", "namespace": NAMESPACE, "labels": LABELS, "uid": "1"},
        "spec": {"replicas": 1, "template": template} | spec,
    }


def secret(name: str, kind: str = "Opaque", **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": NAMESPACE, "labels": LABELS}, "type": kind, "data": data}


def postgres() -> Object:
    spec = {
        "version": "16.4",
        "deletionPolicy": "WipeOut",
        "storage": {"resources": {"requests": {"storage": "1Gi"}}},
        "init": {"initialized": True, "script": {"secret": {"secretName": "shop-42--init"}}},
    }
    metadata = {"name": "shop-42--postgres", "namespace": NAMESPACE, "labels": LABELS}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Ready"}}


def old(**changes: Any) -> OldObjects:
    service = {"metadata": {"name": "shop-42", "labels": LABELS}, "spec": {"ports": [{"port": 80, "targetPort": 5000}]}}
    ingress = {"metadata": {"name": "shop-42", "labels": LABELS, "annotations": {"older": "yes"}}, "spec": {}}
    values: dict[str, Any] = {
        "deployment": deployment(),
        "replica_sets": [{}],
        "service": service,
        "ingress": ingress,
        "secrets": {
            name: secret(name, GREETING="aGVsbG8=")
            for name in ("shop-42--variables", "shop-42--init", "shop-42--other")
        },
        "postgreses": [postgres()],
        "auth": {"shop-42--postgres-auth": secret("shop-42--postgres-auth", "kubernetes.io/basic-auth", **AUTH)},
        "postgres_version": "kubedb.com/v1",
        "others": [(SECRETS, secret("shop-42--variables")), (SECRETS, secret("shop-42--other"))],
        "tls": None,
    }
    return OldObjects(**(values | changes))


def planned(status: Status = DEPLOYED, found: OldObjects | None = None, **settings: Any) -> Plan:
    return plan(samples.spec(), status, samples.settings(**settings), found or old())


def by_kind(inputs: StackInputs, kind: str) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in manifests(inputs) if item["kind"] == kind}


def test_what_runs_is_declared_as_it_runs() -> None:
    found = planned()
    assert found.obstacles == ()
    template = by_kind(found.inputs, "Deployment")["shop-42"]["spec"]["template"]
    assert template["spec"] == deployment()["spec"]["template"]["spec"]
    assert template["metadata"]["labels"].items() >= {"app": "shop-42", naming.STACK_LABEL: "acme.shop.42"}.items()
    asked = by_kind(found.inputs, "Postgres")["shop-42--postgres"]["spec"]
    assert asked == postgres()["spec"] | {"init": {"script": {"secret": {"secretName": "shop-42--init"}}}}
    # Without a name, as it is: a port that gets another name has no endpoints for a moment.
    assert by_kind(found.inputs, "Service")["shop-42"]["spec"]["ports"] == [
        {"port": 80, "targetPort": 5000, "protocol": "TCP"}
    ]
    # A policy would hold back what was never held back before.
    assert by_kind(found.inputs, "NetworkPolicy") == by_kind(found.inputs, "Job") == {}


def test_the_secrets_that_it_uses_are_the_stacks_and_the_others_go_with_it() -> None:
    found = planned()
    secrets = by_kind(found.inputs, "Secret")
    assert secrets.keys() == {"shop-42--env", "shop-42--variables", "shop-42--init", "shop-42--postgres-auth"}
    assert secrets["shop-42--variables"]["data"] == {"GREETING": "aGVsbG8="}
    assert found.left == ("Secret review-shop/shop-42--other",)


def test_the_databases_password_is_its_own_also_in_its_address() -> None:
    data = by_kind(planned().inputs, "Secret")["shop-42--postgres-auth"]["data"]
    assert {key: data[key] for key in AUTH} == AUTH
    address = "postgresql://postgres:p%40ss%2Fw%3Ard@shop-42--postgres:5432/postgres"
    assert data["url"] == b64encode(address.encode()).decode()


def test_an_environment_that_has_our_name_stays_as_it_is() -> None:
    same = old(secrets={"shop-42--env": secret("shop-42--env", ONLY_OLD="eWVz")})
    assert planned(found=same).inputs.workload.environment == {"ONLY_OLD": "yes"}
    binary = old(secrets={"shop-42--env": secret("shop-42--env", KEY="//8=")})
    assert planned(found=binary).obstacles == (
        "Secret review-shop/shop-42--env holds what is no text (KEY): remove it",
    )


def test_what_changes_is_said_without_values() -> None:
    said = planned().changes
    assert "Ingress review-shop/shop-42: spec.rules, metadata.annotations.older (goes)" in said
    assert "Secret review-shop/shop-42--env is made" in said
    assert "Deployment review-shop/shop-42: spec.selector" in said
    assert not any("p@ss" in line or "aGVsbG8" in line for line in said)


OBSTACLES: list[tuple[dict[str, Any], str]] = [
    ({"deployment": None}, "there is no Deployment review-shop/shop-42"),
    ({"replica_sets": [{}, {}]}, "is being rolled out"),
    ({"service": None}, "there is no Service"),
    ({"postgreses": []}, "the app has no Postgres"),
    ({"postgreses": [postgres(), postgres()]}, "more than one KubeDB Postgres"),
    ({"postgreses": [postgres() | {"status": {"phase": "Critical"}}]}, "is not Ready"),
    ({"auth": {}}, "there is no Secret shop-42--postgres-auth with the key password"),
    ({"ingress": {"metadata": {"name": "shop-42"}, "spec": {"tls": [{}]}}}, "has TLS and would lose it"),
    ({"auth": {"shop-42--postgres-auth": secret("shop-42--postgres-auth", **AUTH)}}, "is of type Opaque"),
]


class TestObstacles:
    @pytest.mark.parametrize(("changes", "said"), OBSTACLES)
    def test_each_is_said(self, changes: dict[str, Any], said: str) -> None:
        assert said in " ".join(planned(found=old(**changes)).obstacles)

    def test_it_would_have_to_move(self) -> None:
        assert "namespace_mode" in " ".join(planned(namespace_mode="per-app").obstacles)


def view(inputs: StackInputs, **changes: Any) -> View:
    review_app = samples.review_app()
    review_app["metadata"] |= {"finalizers": [naming.FINALIZER]}
    review_app["spec"] |= changes
    namespace = {"metadata": {"annotations": {naming.ALLOW_ANNOTATION: "acme/*"}}}
    entry = Entry("acme-shop-42", "applied", inputs, (NAMESPACE, "reviewapp-builds"), "host")
    return View(review_app, entry=entry, holder="acme-shop-42", namespace=namespace)


class TestAfterwards:
    def test_nothing_is_done_until_there_is_something_new(self) -> None:
        assert decide(view(planned().inputs), samples.settings(), 0) == Nothing()
        # Its config is that which it was built with.
        config = samples.review_app()["spec"]["config"] | {"env": {}, "applicationPort": 1}
        assert decide(view(planned().inputs, config=config), samples.settings(), 0) == Nothing()

    def test_the_next_commit_is_built_while_it_runs_and_then_all_of_it_is_ours_but_the_database(self) -> None:
        inputs = planned().inputs
        action = decide(view(inputs, commitHash=SECOND), samples.settings(), 0)
        assert isinstance(action, Apply)
        assert action.inputs.workload == inputs.workload
        assert by_kind(action.inputs, "Job").keys() == {naming.build_job_name("shop-42", SECOND)}
        done = {
            "metadata": {"name": naming.build_job_name("shop-42", SECOND)},
            "status": {"conditions": [{"type": "Complete", "status": "True"}]},
        }
        later = view(action.inputs, commitHash=SECOND)
        built = decide(dataclasses.replace(later, jobs=[done]), samples.settings(), 0)
        assert isinstance(built, Apply)
        template = by_kind(built.inputs, "Deployment")["shop-42"]["spec"]["template"]
        assert [container["name"] for container in template["spec"]["containers"]] == ["app"]
        assert "shop-42--variables" not in by_kind(built.inputs, "Secret")
        assert by_kind(built.inputs, "NetworkPolicy")
        assert built.inputs.database == inputs.database
        assert by_kind(built.inputs, "Service") == by_kind(inputs, "Service")

    def test_a_commit_that_the_older_operator_was_building_is_built_by_us(self) -> None:
        found = planned(Status(build_status="building", build_commit=COMMIT))
        assert (found.inputs.workload.commit, found.inputs.build) == (UNKNOWN_COMMIT, None)
        action = decide(view(found.inputs), samples.settings(), 0)
        assert isinstance(action, Apply)
        assert by_kind(action.inputs, "Job")
        assert action.inputs.workload == found.inputs.workload

    def test_where_nothing_runs_all_but_the_database_is_as_if_it_were_new(self) -> None:
        found = planned(Status(build_status="error"), old(deployment=deployment(replicas=0)))
        assert found.obstacles == ()
        assert (found.inputs.workload.replicas, found.inputs.workload.adopted) == (0, None)
        action = decide(view(found.inputs), samples.settings(), 0)
        assert isinstance(action, Apply)
        assert action.inputs.database == found.inputs.database
        assert by_kind(action.inputs, "Job")

    def test_it_is_paused_and_goes_on_as_it_was(self) -> None:
        paused = view(planned().inputs)
        paused.review_app["metadata"]["annotations"] = {naming.PAUSED_ANNOTATION: "true"}
        action = decide(paused, samples.settings(), 0)
        assert isinstance(action, Apply)
        stopped = by_kind(action.inputs, "Deployment")["shop-42"]["spec"]
        assert stopped["replicas"] == 0
        assert stopped["template"] == by_kind(planned().inputs, "Deployment")["shop-42"]["spec"]["template"]


def test_it_is_found_by_labels_and_names() -> None:
    cluster = MemoryCluster()
    items: list[tuple[Resource, Object]] = [
        (DEPLOYMENTS, deployment()),
        (SERVICES, {"metadata": {"name": "shop-42", "namespace": NAMESPACE}}),
        (SECRETS, {"metadata": {"name": "shop-42--init", "namespace": NAMESPACE}}),
        (SECRETS, secret("of-another-name")),
        (SECRETS, {"metadata": {"name": "shop-420--init", "namespace": NAMESPACE}}),
        (SECRETS, {"metadata": {"name": "secret-one", "namespace": NAMESPACE}}),
        (KUBEDB_POSTGRESES[0], postgres()),
        (SECRETS, {"metadata": {"name": "shop-42--postgres-auth", "ownerReferences": [{}]}}),
    ]
    for resource, item in items:
        cluster.create(resource, NAMESPACE, copy.deepcopy(item))
    uid = (cluster.get(DEPLOYMENTS, NAMESPACE, "shop-42") or {})["metadata"]["uid"]
    for name, owner, replicas in (("shop-42-a", uid, 1), ("shop-42-b", uid, 0), ("shop-42-c", "another", 1)):
        metadata = {"name": name, "ownerReferences": [{"uid": owner}]}
        cluster.create(REPLICA_SETS, NAMESPACE, {"metadata": metadata, "spec": {"replicas": replicas}})
    found = look(cluster, "shop-42", NAMESPACE, "reviewapp-builds", None)
    assert found.secrets.keys() == {"shop-42--init", "of-another-name"}
    assert found.auth.keys() == {"shop-42--postgres-auth"}
    assert [item["metadata"]["name"] for item in found.replica_sets] == ["shop-42-a"]
    assert [item["metadata"]["name"] for _, item in found.others] == ["of-another-name"]


def test_fields_of_all_who_wrote_become_ours_and_the_controllers_word_stays_theirs() -> None:
    status: Object = {
        "manager": "controller",
        "operation": "Update",
        "subresource": "status",
        "fieldsV1": {"f:status": {}},
    }
    live: Object = {
        "apiVersion": "v1",
        "metadata": {
            "managedFields": [
                {"manager": "older", "operation": "Update", "fieldsV1": {"f:data": {"f:ONE": {}, ".": {}}}},
                {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:TWO": {}}, "f:type": {}}},
                status,
            ]
        },
    }
    ours, kept = taken_over(live, "acme.shop.42")
    assert (ours["manager"], ours["operation"]) == ("acme.shop.42", "Apply")
    assert ours["fieldsV1"] == {"f:data": {"f:ONE": {}, "f:TWO": {}, ".": {}}, "f:type": {}}
    assert kept == status
