"""Run a Pulumi program against the SDK's mocks, and record what it asks the engine to register."""

# The SDK's mocks carry hardly any types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from pulumi.runtime import mocks
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import run_in_stack

# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/sig/sig.go
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"


@dataclasses.dataclass(frozen=True)
class Registration:
    """One resource as the engine is asked for it.

    Attributes:
        urn: its URN, in the mocks' project `project`.
        kind: its type token.
        name: its name in the program.
        inputs: its input properties, secrets in the clear.
        secrets: names of the properties that are marked secret as a whole.
        depends_on: names of the resources that it comes after.
        protected: whether the engine refuses to delete it.
    """

    urn: str
    kind: str
    name: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    depends_on: frozenset[str]
    protected: bool = False


Computed = Callable[[str, str, dict[str, Any]], dict[str, Any]]
"""What a provider would answer beyond the inputs of a resource: by its type token, its name and those."""


class _NoProvider(mocks.Mocks):
    def __init__(self, computed: Computed) -> None:
        self._computed = computed

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        return {}, None

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs: dict[str, Any] = args.inputs
        return f"id-of-{args.name}", inputs | self._computed(args.typ, args.name, inputs)


class _Monitor(mocks.MockMonitor):
    def __init__(self, provider: _NoProvider) -> None:
        super().__init__(provider)
        self.registrations: list[Registration] = []
        self.outputs: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name of the call.
        response = super().RegisterResource(request)
        if request.custom:
            properties: dict[str, Any] = json_format.MessageToDict(request.object)
            registration = Registration(
                urn=response.urn,
                kind=request.type,
                name=request.name,
                inputs={key: _clear(value) for key, value in properties.items()},
                secrets=frozenset(key for key, value in properties.items() if _is_secret(value)),
                depends_on=frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
                protected=request.protect,
            )
            self.registrations.append(registration)
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        self.outputs = json_format.MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET


def _clear(value: Any) -> Any:
    return value["value"] if _is_secret(value) else value


def _nothing(_kind: str, _name: str, _inputs: dict[str, Any]) -> dict[str, Any]:
    return {}


def run(
    program: Callable[[], None], stack: str = "stack", computed: Computed = _nothing
) -> tuple[dict[str, Registration], dict[str, Any]]:
    """Run a program; return its registrations by name, in their order, and its outputs.

    It runs in a thread and a context of its own, so that nothing of the mocks outlives it.
    """
    registrations, outputs = run_all(program, stack, computed)
    return {registration.name: registration for registration in registrations}, outputs


def run_all(
    program: Callable[[], None], stack: str = "stack", computed: Computed = _nothing
) -> tuple[list[Registration], dict[str, Any]]:
    """Do what `run` does, for a program that gives resources of different types the same name."""
    provider = _NoProvider(computed)
    monitor = _Monitor(provider)
    failures: list[BaseException] = []

    async def with_mocks() -> None:
        mocks.set_mocks(provider, stack=stack, monitor=monitor)
        # `set_mocks` makes a stack of its own, `run_in_stack` the one that the outputs belong to.
        set_root_resource(None)  # pyright: ignore[reportArgumentType]
        await run_in_stack(program)

    def in_thread() -> None:
        try:
            asyncio.run(with_mocks())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread.
            failures.append(error)

    thread = threading.Thread(target=contextvars.Context().run, args=(in_thread,))
    thread.start()
    thread.join(timeout=60)
    if failures:
        raise failures[0]
    assert not thread.is_alive()
    return monitor.registrations, monitor.outputs
