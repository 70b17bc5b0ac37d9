"""The namespace that an app has for itself, where each has one, and what bounds it."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.databases import Known
from provisioner.desired import stack_inputs
from provisioner.errors import SpecRefused
from stacks import naming
from stacks.inputs import OwnNamespace, StackInputs
from stacks.manifest import Manifest
from stacks.own_namespace import bounds, namespace
from stacks.review_app import manifests
from tests import samples


def made(**settings: Any) -> tuple[StackInputs, OwnNamespace]:
    inputs = stack_inputs(
        samples.spec(),
        samples.settings(namespace_mode="per-app", **settings),
        previous=None,
        built=False,
        tls=None,
        known=Known(),
    )
    assert inputs.own_namespace
    return inputs, inputs.own_namespace


def by_name(objects: list[Manifest]) -> dict[str, Manifest]:
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in objects}


def test_apps_share_what_their_configs_name_by_default() -> None:
    assert samples.inputs().own_namespace is None
    assert samples.inputs().namespace == samples.spec().config.namespace


def test_all_but_the_build_is_in_a_namespace_of_the_apps_name() -> None:
    inputs, own = made()
    assert (inputs.namespace, own.home) == ("review-shop-42", samples.spec().config.namespace)
    places = {one["metadata"]["namespace"] for one in manifests(inputs)}
    assert places == {"review-shop-42", "reviewapp-builds"}


@pytest.mark.parametrize(("root", "standard"), [("", "restricted"), ("acme/*", "baseline")])
def test_it_holds_a_pod_security_standard(root: str, standard: str) -> None:
    labels = namespace(*made(root_repositories=root))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == standard
    assert labels[naming.STACK_LABEL] == "acme.shop.42"
    assert labels["app.kubernetes.io/managed-by"] == "reviewapp"


def test_it_is_bounded() -> None:
    objects = by_name(bounds(*made(cpu_maximum="1", memory_maximum="1Gi", database_maximum_storage_size="5Gi")))
    assert list(objects) == [
        "ResourceQuota/review-app",
        "LimitRange/review-app",
        "NetworkPolicy/review-app",
        "NetworkPolicy/review-app-copy",
    ]
    assert objects["ResourceQuota/review-app"]["spec"]["hard"] == {
        "pods": "12",
        "limits.cpu": "12000m",
        "limits.memory": str(12 * 1024**3),
        "persistentvolumeclaims": "2",
        "requests.storage": str(10 * 1024**3),
    }
    (limits,) = objects["LimitRange/review-app"]["spec"]["limits"]
    assert limits["default"] == {"cpu": "2", "memory": "1Gi"}
    deny = objects["NetworkPolicy/review-app"]["spec"]
    assert (deny["policyTypes"], deny["ingress"], deny["egress"]) == (
        ["Ingress", "Egress"],
        [{"from": [{"podSelector": {}}]}],
        [{"to": [{"podSelector": {}}]}],
    )


def test_without_network_policies_it_has_none_either() -> None:
    assert not [one for one in bounds(*made(network_policies=False)) if one["kind"] == "NetworkPolicy"]


def test_its_name_is_never_one_of_the_clusters_or_the_platforms() -> None:
    inputs = stack_inputs(
        samples.spec(repo="kube"), samples.settings(namespace_mode="per-app"), previous=None, built=False, tls=None
    )
    assert inputs.namespace == "review-kube-42"
    with pytest.raises(SpecRefused, match="which is the platform's"):
        made(build_namespace="review-shop-42")


@pytest.mark.parametrize("mode", ["shared", "per-app"])
@pytest.mark.parametrize("name", ["kube-system", "reviewapp-system", "reviewapp-builds", "certificates"])
def test_what_is_not_for_apps_can_be_named_in_neither_mode(mode: str, name: str) -> None:
    settings = samples.settings(namespace_mode=mode, tls_secret="certificates/wildcard")
    with pytest.raises(SpecRefused, match="is not open to review apps"):
        stack_inputs(samples.spec(config={"namespace": name}), settings, previous=None, built=False, tls=None)
