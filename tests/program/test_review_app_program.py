"""What the program asks the engine to register, seen through the SDK's mocks."""

from __future__ import annotations

import base64

import pytest

from stacks.inputs import StackInputs
from stacks.registration import KINDS
from stacks.review_app import declare, manifests
from tests import samples
from tests.program.recording import Registration, run


def registrations(inputs: StackInputs) -> dict[str, Registration]:
    return run(lambda: declare(inputs))[0]


@pytest.fixture(scope="module")
def sample() -> dict[str, Registration]:
    return registrations(samples.inputs())


def test_types_and_names(sample: dict[str, Registration]) -> None:
    assert {registration.name: registration.kind for registration in sample.values()} == {
        "Secret/shop-42--env": "kubernetes:core/v1:Secret",
        "Secret/shop-42--tls": "kubernetes:core/v1:Secret",
        "Secret/shop-42--db-auth": "kubernetes:core/v1:Secret",
        "Secret/shop-42--db-copy": "kubernetes:core/v1:Secret",
        "Postgres/shop-42--db": "kubernetes:kubedb.com/v1:Postgres",
        "NetworkPolicy/shop-42": "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "NetworkPolicy/shop-42--db": "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "Job/shop-42--8a1f0e3c5b": "kubernetes:batch/v1:Job",
        "Deployment/shop-42": "kubernetes:apps/v1:Deployment",
        "Service/shop-42": "kubernetes:core/v1:Service",
        "Ingress/shop-42": "kubernetes:networking.k8s.io/v1:Ingress",
    }
    # State is found by these: another type or name here replaces the objects of every running app.
    assert sample["Deployment/shop-42"].urn == (
        "urn:pulumi:stack::project::pulumi:pulumi:Stack$kubernetes:apps/v1:Deployment::Deployment/shop-42"
    )


@pytest.mark.parametrize("inputs", [samples.inputs(), samples.inputs(built=True)], ids=["new", "built"])
def test_the_engine_gets_each_manifest_as_it_is(inputs: StackInputs) -> None:
    registered = registrations(inputs)
    declared = {f"{manifest['kind']}/{manifest['metadata']['name']}": manifest for manifest in manifests(inputs)}
    assert {name: registration.inputs for name, registration in registered.items()} == declared


def test_what_is_secret_is_marked_so_and_no_secret_is_elsewhere(sample: dict[str, Registration]) -> None:
    assert {name: set(registration.secrets) for name, registration in sample.items() if registration.secrets} == {
        "Secret/shop-42--env": {"data"},
        "Secret/shop-42--tls": {"data"},
        "Secret/shop-42--db-auth": {"data"},
        "Secret/shop-42--db-copy": {"data"},
    }
    for secret in ("private key in PEM", "value number one"):
        encoded = base64.b64encode(secret.encode()).decode()
        for registration in sample.values():
            in_the_clear = {key: value for key, value in registration.inputs.items() if key not in registration.secrets}
            assert secret not in str(in_the_clear)
            assert encoded not in str(in_the_clear)


def test_pods_come_after_the_secrets_that_they_read_and_what_keeps_them_in(sample: dict[str, Registration]) -> None:
    secrets = {f"Secret/shop-42--{name}" for name in ("env", "tls", "db-auth", "db-copy")}
    first = {"NetworkPolicy/shop-42", "NetworkPolicy/shop-42--db"} | secrets
    waiting = {name: registration.depends_on for name, registration in sample.items() if registration.depends_on}
    assert waiting == dict.fromkeys(("Deployment/shop-42", "Postgres/shop-42--db"), first)


def test_outputs() -> None:
    _, outputs = run(lambda: declare(samples.inputs(built=True)))
    assert outputs == {
        "url": "https://shop-42.review.example.com",
        "image": "registry.example.com/apps/acme/shop:42-8a1f0e3c5b7d",
        "commit": "8a1f0e3c5b7d9e2f4a6c8b0d1e3f5a7c9b1d3e5f",
        "namespace": "review-shop",
    }


def test_every_kind_that_is_declared_is_known_to_the_sweep() -> None:
    declared = {(manifest["apiVersion"], manifest["kind"]) for manifest in manifests(samples.inputs())}
    assert declared <= set(KINDS)
