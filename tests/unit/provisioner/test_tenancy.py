"""Whom a namespace takes, and what is said to whom it does not."""

from __future__ import annotations

import shlex

import pytest

from provisioner.errors import SpecRefused
from provisioner.tenancy import require_open
from stacks import naming
from tests import samples

SPEC = samples.spec(config={"namespace": "review-shop"})


def refusal(annotations: dict[str, str] | None) -> SpecRefused:
    with pytest.raises(SpecRefused) as caught:
        require_open(SPEC, annotations)
    return caught.value


def command_in(error: SpecRefused) -> list[str]:
    return shlex.split(str(error).split("`")[-2])


@pytest.mark.parametrize("allowed", ["acme/shop", "acme/*", "*/*", "evil/x, ACME/Sh*"])
def test_who_is_named_is_let_in(allowed: str) -> None:
    require_open(SPEC, {naming.ALLOW_ANNOTATION: allowed})


@pytest.mark.parametrize("annotations", [{}, {naming.ALLOW_ANNOTATION: ""}, {"other.example.com/allow": "acme/shop"}])
def test_a_namespace_takes_nobody_by_itself(annotations: dict[str, str]) -> None:
    error = refusal(annotations)
    assert error.reason == "NamespaceNotOpen"
    assert str(error) == (
        "spec.config.namespace: 'review-shop' is not open to acme/shop: its owner opens it with "
        "`kubectl annotate namespace review-shop reviewtron.k8s.revelry.co/allow=acme/shop`"
    )


def test_the_command_keeps_those_that_are_let_in_already() -> None:
    error = refusal({naming.ALLOW_ANNOTATION: "acme/site-*, evil/x,"})
    assert command_in(error) == [
        *("kubectl", "annotate", "namespace", "review-shop", "--overwrite"),
        "reviewtron.k8s.revelry.co/allow=acme/site-*, evil/x, acme/shop",
    ]


def test_a_list_that_is_none_takes_nobody_and_says_so() -> None:
    error = refusal({naming.ALLOW_ANNOTATION: "acme/*, `rm -rf`\n"})
    assert error.reason == "NamespaceNotOpen"
    assert "takes nobody until its annotation reviewtron.k8s.revelry.co/allow is right: '`rm -rf`' is no" in str(error)


def test_a_list_of_any_length_is_no_message() -> None:
    error = refusal({naming.ALLOW_ANNOTATION: ", ".join(["acme/site-*"] * 1000)})
    assert len(str(error)) < 300


def test_a_namespace_that_is_not_there() -> None:
    error = refusal(None)
    assert error.reason == "NamespaceNotFound"
    assert "`kubectl create namespace review-shop`, then `kubectl annotate namespace review-shop " in str(error)
