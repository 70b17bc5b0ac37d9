"""What an engine run reports of itself while it goes on: counts, outputs and errors.

Read from the engine's events, which saves the three further CLI runs that the Automation API makes for it.
"""

from __future__ import annotations

import threading
from typing import Any

from pulumi.automation import EngineEvent

from provisioner.failures import Diagnostic, plain

# https://github.com/pulumi/pulumi/blob/v3.274.1/pkg/resource/deploy/deployment_executor.go
_PENDING = "pending operations from previous deployment"
_STACK_TYPE = "pulumi:pulumi:Stack"


class EventStream:
    """The events of one engine run. `add` is called from the thread that receives them.

    Attributes:
        changes: number of resources by operation, in the engine's words.
        outputs: the stack's outputs by name; secret ones are masked.
        errors: what went wrong, in the order of its being reported.
        stack_is_new: whether the stack was made for the run.
        has_pending: whether the state has operations that an earlier run has begun and not ended.
    """

    def __init__(self) -> None:
        self.changes: dict[str, int] = {}
        self.outputs: dict[str, Any] = {}
        self.errors: list[Diagnostic] = []
        self.stack_is_new = False
        self.has_pending = False
        self._complete = threading.Event()

    def add(self, event: EngineEvent) -> None:
        """Take in one event."""
        diagnostic = event.diagnostic_event
        if diagnostic and diagnostic.severity == "error":
            self.errors.append(Diagnostic(plain(diagnostic.message), _resource(diagnostic.urn or "")))
        if diagnostic and _PENDING in diagnostic.message:
            self.has_pending = True
        outputs = event.res_outputs_event
        if outputs and outputs.metadata.type == _STACK_TYPE and outputs.metadata.new:
            self.outputs = dict(outputs.metadata.new.outputs or {})
        if event.summary_event:
            self.changes = {str(operation): count for operation, count in event.summary_event.resource_changes.items()}
        if event.cancel_event:
            self._complete.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the last event of the run; return whether it came."""
        return self._complete.wait(seconds)


def _resource(urn: str) -> str:
    """Return the name under which a resource was registered; empty for the stack itself and for what is no URN.

    https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
    """
    parts = urn.split("::", 3)
    return parts[3] if len(parts) == 4 and parts[2] != _STACK_TYPE else ""
