from __future__ import annotations

from typing import Any

import pytest

from provisioner.ownership import Ownership, ownership
from stacks.naming import STACK_LABEL

STACK = "acme.shop.7"
APPLIED = {"manager": STACK, "operation": "Apply"}


def live(label: str | None = STACK, *fields: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"labels": {STACK_LABEL: label} if label else {}, "managedFields": list(fields)}}


def test_absent() -> None:
    assert ownership(None, STACK) is Ownership.ABSENT


def test_ours() -> None:
    assert ownership(live(STACK, {"manager": "kubectl-edit", "operation": "Update"}, APPLIED), STACK) is Ownership.OURS


@pytest.mark.parametrize(
    "item",
    [
        live(),
        live(None, APPLIED),
        live("acme.shop.8", APPLIED),
        live(STACK, {"manager": "acme.shop.8", "operation": "Apply"}),
        live(STACK, {"manager": STACK, "operation": "Update"}),
        {"metadata": {}},
        {"metadata": {"labels": None, "managedFields": None}},
        {},
    ],
    ids=["label only", "manager only", "other label", "other manager", "updated", "bare", "null", "empty"],
)
def test_foreign(item: dict[str, Any]) -> None:
    assert ownership(item, STACK) is Ownership.FOREIGN
