"""Who reaches a review app's database, and what it reaches. Policies of apps: test_confinement."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from stacks.inputs import Network, StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests
from tests import samples

BACKENDS = ("postgres", "kubedb", "cloudnative-pg")
_SOURCE = {"database_url": {"value": "postgresql://a:b@c/d"}}


def inputs_of(backend: str, **network: Any) -> StackInputs:
    config = {"database": {"backend": backend, "copyFrom": _SOURCE}}
    inputs = samples.inputs(config=config)
    assert inputs.network
    return inputs.model_copy(update={"network": inputs.network.model_copy(update=network)})


def policy(inputs: StackInputs) -> Manifest:
    """Return the policy of the database."""
    assert inputs.database
    (found,) = (
        manifest
        for manifest in manifests(inputs)
        if (manifest["kind"], manifest["metadata"]["name"]) == ("NetworkPolicy", inputs.database.name)
    )
    return found["spec"]


def pod_labels(inputs: StackInputs, kind: str) -> dict[str, str]:
    """Return the labels of the Pods that objects of a kind make."""
    (found,) = (
        manifest
        for manifest in manifests(inputs)
        if manifest["kind"] == kind and manifest["metadata"]["namespace"] == inputs.namespace
    )
    if kind == "Postgres":
        # KubeDB's Pods have those of their Postgres.
        return found["metadata"]["labels"]
    if kind == "Cluster":
        return found["spec"]["inheritedMetadata"]["labels"]
    return found["spec"]["template"]["metadata"]["labels"]


def lets_in(spec: Manifest, namespace: str, labels: dict[str, str], port: int, *, is_own: bool = False) -> bool:
    """Whether a policy lets a Pod of a namespace in; `is_own` says whether the policy stands in that namespace."""
    return any(
        ("ports" not in rule or port in {each["port"] for each in rule["ports"]})
        and any(_is_meant(peer, namespace, labels, is_own=is_own) for peer in rule["from"])
        for rule in spec["ingress"]
    )


def _is_meant(peer: Manifest, namespace: str, labels: dict[str, str], *, is_own: bool) -> bool:
    if "namespaceSelector" not in peer:
        return is_own and _matches(peer["podSelector"], labels)
    names = {"kubernetes.io/metadata.name": namespace}
    return _matches(peer["namespaceSelector"], names) and _matches(peer.get("podSelector", {}), labels)


def _matches(selector: Manifest, labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] if each["operator"] == "In" else each["key"] not in labels
        for each in selector.get("matchExpressions", [])
    )


@pytest.mark.parametrize(
    ("backend", "kind"), [("postgres", "StatefulSet"), ("kubedb", "Postgres"), ("cloudnative-pg", "Cluster")]
)
def test_it_holds_for_the_databases_pods_and_no_others(backend: str, kind: str) -> None:
    inputs = inputs_of(backend)
    selected = policy(inputs)["podSelector"]
    assert _matches(selected, pod_labels(inputs, kind))
    assert not _matches(selected, pod_labels(inputs, "Deployment"))
    if backend != "kubedb":
        assert not _matches(selected, pod_labels(inputs, "Job"))


@pytest.mark.parametrize("backend", BACKENDS)
class TestReachedFrom:
    def test_its_app_and_its_copy_on_its_port(self, backend: str) -> None:
        inputs, spec = inputs_of(backend), policy(inputs_of(backend))
        for kind in ("Deployment",) if backend == "kubedb" else ("Deployment", "Job"):
            labels = pod_labels(inputs, kind)
            assert lets_in(spec, inputs.namespace, labels, 5432, is_own=True)
            assert not lets_in(spec, inputs.namespace, labels, 22, is_own=True)
            assert not lets_in(spec, "another-namespace", labels, 5432)

    def test_no_other_review_app_wherever_it_is(self, backend: str) -> None:
        spec = policy(inputs_of(backend))
        labels = pod_labels(samples.inputs(pr="43"), "Deployment")
        for namespace, is_own in (("review-shop", True), ("review-other", False)):
            assert not lets_in(spec, namespace, labels, 5432, is_own=is_own)


@pytest.mark.parametrize("backend", ["kubedb", "cloudnative-pg"])
class TestOfOperators:
    OPERATOR: ClassVar = {"app.kubernetes.io/name": "cloudnative-pg"}

    def test_the_operator_reaches_it_on_ports_of_its_own(self, backend: str) -> None:
        assert lets_in(policy(inputs_of(backend)), "cnpg-system", self.OPERATOR, 8000)

    def test_with_the_operators_namespaces_named_nobody_else_does(self, backend: str) -> None:
        spec = policy(inputs_of(backend, operator_namespaces=("cnpg-system",)))
        assert lets_in(spec, "cnpg-system", self.OPERATOR, 8000)
        assert not lets_in(spec, "monitoring", self.OPERATOR, 5432)

    def test_what_it_reaches_is_not_limited(self, backend: str) -> None:
        spec = policy(inputs_of(backend))
        assert spec["policyTypes"] == ["Ingress"]
        assert "egress" not in spec


class TestOfTheBuiltIn:
    def test_nobody_but_app_and_copy_reaches_it(self) -> None:
        spec = policy(inputs_of("postgres"))
        assert not lets_in(spec, "cnpg-system", {"app.kubernetes.io/name": "cloudnative-pg"}, 5432)
        assert not lets_in(spec, "review-shop", {}, 5432, is_own=True)

    def test_it_reaches_nothing(self) -> None:
        spec = policy(inputs_of("postgres"))
        assert (spec["policyTypes"], spec["egress"]) == (["Ingress", "Egress"], [])


def test_without_policies_there_is_none() -> None:
    inputs = inputs_of("postgres").model_copy(update={"network": None})
    assert "NetworkPolicy" not in {manifest["kind"] for manifest in manifests(inputs)}


def test_inputs_of_before_still_load() -> None:
    assert Network.model_validate({"denied_ranges": [], "route_namespaces": []}).operator_namespaces == ()
