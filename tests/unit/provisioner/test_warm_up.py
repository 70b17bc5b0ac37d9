from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from provisioner.warm_up import FULL_INPUTS, warm_up
from stacks.registration import CUSTOM_KINDS, KINDS
from stacks.review_app import manifests

# Found only once the interpreter ends, like the loop of a program whose engine was told to stop.
_LEFT_OPEN = """
import asyncio
from provisioner.warm_up import warm_up

class Left:
    def __init__(self): self.me, self.loop = self, {loop}

class Failing:
    def __del__(self): raise ValueError("of our own")

warm_up()
left = Left()
{rest}
"""


def test_the_full_inputs_declare_every_kind() -> None:
    assert {(manifest["apiVersion"], manifest["kind"]) for manifest in manifests(FULL_INPUTS)} == {
        kind for kind in KINDS if kind not in CUSTOM_KINDS
    }


def test_the_full_inputs_leave_nothing_out() -> None:
    # A stack has an Ingress or a Gateway's route; and what another operator made, or its own.
    document = FULL_INPUTS.model_dump_json(
        exclude={"route": {"gateway"}, "workload": {"adopted"}, "database": {"adopted"}}
    )
    assert "null" not in document
    assert "[]" not in document
    assert "{}" not in document


def test_later_programs_do_not_see_the_mocks() -> None:
    warm_up()
    assert pulumi.runtime.settings.get_monitor() is None
    assert pulumi.runtime.get_root_resource() is None


def _errors(loop: str, rest: str) -> str:
    program = _LEFT_OPEN.format(loop=loop, rest=rest)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr


def test_a_loop_of_the_sdk_says_nothing() -> None:
    assert _errors("asyncio.new_event_loop()", "left.loop._ssock.close(); del left") == ""


def test_what_else_fails_is_told() -> None:
    assert "ValueError: of our own" in _errors("Failing()", "del left")


@pytest.mark.parametrize(
    ("name", "is_told"),
    [("run_in_stack", False), ("run_pulumi_func", False), ("BaseEventLoop.__del__", False), ("something_else", True)],
)
def test_which_unraisable_errors_are_told_of(monkeypatch: pytest.MonkeyPatch, name: str, is_told: bool) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    warm_up()
    unraisable: Any = SimpleNamespace(object=SimpleNamespace(__qualname__=name))
    sys.unraisablehook(unraisable)
    assert bool(told) == is_told
