"""The runs of the CLI for one stack: each a method, its failure classified. Which to make, and when, is `stack`'s."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from pulumi import automation

from provisioner.backend import StackProject
from provisioner.engine import CommandFailed
from provisioner.errors import EngineError, EngineTimeout, StackLocked, StackNotFound
from provisioner.event_stream import EventStream
from provisioner.failures import classify
from provisioner.preview.model import Preview
from provisioner.preview.steps import Steps
from stacks.inputs import StackInputs

_ALREADY_EXISTS = "already exists"
# The events come in before the CLI ends; this only bounds the wait for our own threads to have read them.
_LAST_EVENT_SECONDS = 5.0
# All that we go by are the events.
_QUIET: Final[dict[str, Any]] = {"suppress_outputs": True, "suppress_progress": True, "color": "never"}

OnEvent = Callable[[automation.EngineEvent], None]
Program = Callable[[StackInputs], None]
"""What a stack declares, from its inputs."""


class StackRuns:
    """Runs the CLI for one stack. Each method raises EngineError where its run did not end well.

    Args:
        project: the stack's.
        program: what it declares.
        end_orphans: ends what a run that was cut off has left running.
    """

    def __init__(self, project: StackProject, program: Program, end_orphans: Callable[[], object]) -> None:
        self.project = project
        self._program = program
        self._end_orphans = end_orphans

    def create(self) -> bool:
        """Make the stack; return whether there was none."""
        try:
            self.project.create()
        except CommandFailed as failed:
            if _ALREADY_EXISTS not in failed.result.stderr:
                raise self._error("stack init", failed) from None
            return False
        return True

    def clear_pending(self) -> None:
        """Take the operations that were begun and not ended off the state."""
        try:
            self.project.clear_pending()
        except CommandFailed as failed:
            raise self._error("stack import", failed) from None

    def discard(self) -> None:
        """Remove a stack whose state can't be read; what it has stays where it is."""
        try:
            self.project.clear()
        except CommandFailed as failed:
            raise self._error("stack import", failed) from None
        self.remove(forget=True)

    def update(self, inputs: StackInputs) -> EventStream:
        """Make the cluster what `inputs` say."""

        def up(pulumi: automation.Stack, on_event: OnEvent) -> None:
            pulumi.up(program=lambda: self._program(inputs), on_event=on_event, show_secrets=False, **_QUIET)

        return self._run("up", up)

    def preview(self, inputs: StackInputs, *, is_new: bool) -> Preview:
        """Return what an update would do, of a stack that is there or of one that `is_new`."""
        steps = Steps()

        def preview(pulumi: automation.Stack, on_event: OnEvent) -> None:
            def on_step(event: automation.EngineEvent) -> None:
                steps.add(event)
                on_event(event)

            pulumi.preview(program=lambda: self._program(inputs), on_event=on_step, **_QUIET)

        self._run("preview", preview)
        return Preview(inputs.stack, is_new, steps.changes, steps.unchanged)

    def destroy(self) -> EventStream:
        """Delete all that the state knows."""

        def destroy(pulumi: automation.Stack, on_event: OnEvent) -> None:
            pulumi.destroy(on_event=on_event, show_secrets=False, **_QUIET)

        return self._run("destroy", destroy)

    def remove_locks(self, locked: StackLocked) -> None:
        """Remove the locks that an update has met, whoever holds them."""
        try:
            self.project.cancel()
        except CommandFailed as failed:
            error = self._error("cancel", failed)
            if not isinstance(error, StackNotFound):
                raise error from None
            # Killed while the stack was being created: there is a lock, and nothing else.
            if self.project.files is None:
                raise locked from None
            self.project.files.remove_locks()

    def remove(self, *, forget: bool = False) -> None:
        """Remove the empty stack; to `forget` is to do so whatever it has, which stays where it is."""
        try:
            self.project.remove_stack(forget=forget)
        except CommandFailed as failed:
            raise self._error("stack rm", failed) from None

    def _run(self, command: str, action: Callable[[automation.Stack, OnEvent], None]) -> EventStream:
        events = EventStream()
        try:
            action(_Pulumi(self.project.stack, self.project.workspace), events.add)
        except CommandFailed as failed:
            raise self._error(command, failed, events) from None
        except EngineTimeout:
            self._end_orphans()
            raise
        events.wait(_LAST_EVENT_SECONDS)
        return events

    def _error(self, command: str, failed: CommandFailed, events: EventStream | None = None) -> EngineError:
        if failed.result.code < 0:
            self._end_orphans()
        errors = events.errors if events else ()
        return classify(self.project.stack, command, failed.result.code, failed.result.stderr, errors)


class _Pulumi(automation.Stack):
    """The Automation API's stack without the runs that select it before an update and ask for its result after."""

    def __init__(self, name: str, workspace: automation.LocalWorkspace) -> None:
        # Not super().__init__(): it runs `stack select`. Every command here names its stack.
        self.name = name
        self.workspace = workspace

    def __repr__(self) -> str:
        return str(self)

    def outputs(self) -> automation.OutputMap:
        return {}

    def info(self, show_secrets: bool = True) -> automation.UpdateSummary:  # noqa: ARG002 - upstream's signature.
        return automation.UpdateSummary(
            kind="update", start_time=datetime.now(UTC), message="", environment={}, config={}, result="succeeded"
        )
