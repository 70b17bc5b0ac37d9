"""Namespaces of single apps: made, filled and deleted, and never one that somebody else has made."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.desired import stack_inputs
from provisioner.errors import ApplyRefused, ForeignObject
from provisioner.review_app import Spec
from stacks.inputs import OwnNamespace, StackInputs
from tests import samples
from tests.samples.memory import MemoryCluster
from watcher.cluster import CONFIG_MAPS, NAMESPACES, SECRETS
from watcher.own_namespaces import furnish, make, refresh, remove

HOME, OWN = "review-shop", "review-shop-42"


def asked(**environment: list[str]) -> tuple[Spec, StackInputs, OwnNamespace]:
    config: dict[str, Any] = {"namespace": HOME, "env": environment, "registrySecretName": None, "database": None}
    spec = samples.spec(config=config)
    settings = samples.settings(namespace_mode="per-app")
    inputs = stack_inputs(spec, settings, previous=None, built=False, tls=None)
    assert inputs.own_namespace
    return spec, inputs, inputs.own_namespace


@pytest.fixture
def cluster() -> MemoryCluster:
    cluster = MemoryCluster()
    cluster.create(SECRETS, HOME, {"metadata": {"name": "keys"}, "type": "Opaque", "data": {"KEY": "b25l"}})
    cluster.create(CONFIG_MAPS, HOME, {"metadata": {"name": "flags"}, "data": {"FLAG": "on"}})
    return cluster


def test_it_is_made_filled_and_deleted(cluster: MemoryCluster) -> None:
    spec, inputs, own = asked(secrets=["keys"], configMaps=["flags"])
    make(cluster, inputs, own)
    furnish(cluster, inputs, own, spec)
    make(cluster, inputs, own)
    assert (cluster.get(SECRETS, OWN, "keys") or {})["data"] == {"KEY": "b25l"}
    assert (cluster.get(CONFIG_MAPS, OWN, "flags") or {})["data"] == {"FLAG": "on"}
    assert remove(cluster, inputs.stack, [OWN, HOME]) == [OWN]
    assert cluster.get(NAMESPACES, None, OWN) is None
    assert remove(cluster, inputs.stack, [OWN, HOME]) == []


def test_a_copy_follows_what_it_is_a_copy_of(cluster: MemoryCluster) -> None:
    spec, inputs, own = asked(secrets=["keys"])
    furnish(cluster, inputs, own, spec)
    cluster.patch(SECRETS, HOME, "keys", {"data": {"KEY": "dHdv", "MORE": "dHdv"}})
    refresh(cluster, inputs, own, spec)
    assert (cluster.get(SECRETS, OWN, "keys") or {})["data"] == {"KEY": "dHdv", "MORE": "dHdv"}


def test_one_that_somebody_else_has_made_is_neither_taken_nor_deleted(cluster: MemoryCluster) -> None:
    _, inputs, own = asked()
    labels = {"app.kubernetes.io/managed-by": "reviewapp"}
    cluster.create(NAMESPACES, None, {"metadata": {"name": OWN, "labels": labels}})
    with pytest.raises(ForeignObject):
        make(cluster, inputs, own)
    assert remove(cluster, inputs.stack, [OWN]) == []
    assert cluster.get(NAMESPACES, None, OWN)


def test_nor_is_that_of_another_stack(cluster: MemoryCluster) -> None:
    _, inputs, own = asked()
    make(cluster, inputs, own)
    with pytest.raises(ForeignObject):
        make(cluster, inputs.model_copy(update={"stack": "acme.other.42"}), own)
    assert remove(cluster, "acme.other.42", [OWN]) == []


def test_what_is_not_there_is_said_by_its_field(cluster: MemoryCluster) -> None:
    spec, inputs, own = asked(secrets=["keys", "none"])
    with pytest.raises(ApplyRefused, match=r"spec.config.env.secrets\[1\]: Secret review-shop/none") as caught:
        furnish(cluster, inputs, own, spec)
    assert caught.value.reason == "SecretNotFound"


def test_no_token_of_a_service_account_is_copied(cluster: MemoryCluster) -> None:
    spec, inputs, own = asked(secrets=["token"])
    body = {"metadata": {"name": "token"}, "type": "kubernetes.io/service-account-token", "data": {"token": "YQ=="}}
    cluster.create(SECRETS, HOME, body)
    with pytest.raises(ApplyRefused, match="token of a service account"):
        furnish(cluster, inputs, own, spec)
    assert cluster.get(SECRETS, OWN, "token") is None


@pytest.mark.parametrize("name", ["shop-42--env", "keys"])
def test_no_copy_takes_the_place_of_something_else(cluster: MemoryCluster, name: str) -> None:
    spec, inputs, own = asked(secrets=[name])
    if name != "keys":
        cluster.create(SECRETS, HOME, {"metadata": {"name": name}, "data": {}})
    cluster.create(SECRETS, OWN, {"metadata": {"name": name}, "data": {"KEY": "bWluZQ=="}})
    with pytest.raises((ApplyRefused, ForeignObject)):
        furnish(cluster, inputs, own, spec)
    assert (cluster.get(SECRETS, OWN, name) or {})["data"] == {"KEY": "bWluZQ=="}
