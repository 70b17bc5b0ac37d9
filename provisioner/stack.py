"""Bring a review app's stack to what its inputs say, or to nothing, with as few engine runs as that takes.

Level-triggered: each method can be killed at any moment and called again. Says that an update has failed, and why;
when to try again is its caller's business.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pulumi import automation

from provisioner import processes
from provisioner.backend import Backend, StackProject
from provisioner.engine import CommandFailed
from provisioner.errors import (
    EngineError,
    EngineTimeout,
    LockOwner,
    StackLocked,
    StackNotFound,
    StateDamaged,
)
from provisioner.event_stream import EventStream
from provisioner.failures import classify
from provisioner.preview.model import Preview
from provisioner.preview.steps import Steps
from provisioner.stack_files import Repair
from stacks import review_app
from stacks.inputs import StackInputs

_ALREADY_EXISTS = "already exists"
# The events come in before the CLI ends; this only bounds the wait for our own threads to have read them.
_LAST_EVENT_SECONDS = 5.0

OnEvent = Callable[[automation.EngineEvent], None]
OwnerIsDead = Callable[[LockOwner], bool]
"""Whether the process of another host that wrote a lock is proven to be gone."""


@dataclass(frozen=True)
class UpdateResult:
    """What an update or a destroy did.

    Attributes:
        changes: number of resources by operation, in the engine's words: `create`, `update`, `delete`, `replace`,
            `same`. The stack itself counts as a resource.
        outputs: the stack's outputs by name; empty after a destroy.
        seconds: how long it took, all engine runs included.
        engine_runs: how often the CLI was run for it.
        stack_is_new: whether the stack was made for it: there was none, or its state was lost or damaged. It then may
            not know all that it had declared before, and the new inputs do not.
    """

    changes: Mapping[str, int]
    outputs: Mapping[str, Any]
    seconds: float
    engine_runs: int
    stack_is_new: bool = False

    @property
    def changed(self) -> bool:
        """Whether any resource was made, changed or deleted."""
        return any(count for operation, count in self.changes.items() if operation != "same")


class Stacks:
    """The review apps' stacks in a backend.

    Different stacks can be worked on at once by different threads; one stack by one thread. Each concurrent caller
    names a `slot` of its own, a small number that stands for its PULUMI_HOME.

    Args:
        backend: where the state is.
        program: what a stack declares, from its inputs.
    """

    def __init__(self, backend: Backend, program: Callable[[StackInputs], None] = review_app.declare) -> None:
        self._backend = backend
        self._program = program

    def up(self, inputs: StackInputs, slot: int) -> UpdateResult:
        """Make the cluster what `inputs` say, and the stack before that if there is none.

        One engine run for a stack that is there, two for a new one.

        Raises:
            StateTampered: the state is that of another stack.
            EngineError: the update did not end well. If the engine was cut off, the state may not know all that was
                made: finish it by `recover`, or by `up` with the same inputs, before a `destroy` or other inputs.
        """
        return self._measured(lambda: self._up(inputs, slot))

    def tag(self, stack: str, tags: Mapping[str, str], slot: int) -> None:
        """Say by tags what a stack is, for `pulumi stack ls --tag`, where that takes no run of the CLI for each.

        Raises:
            StateUnreachable: the backend can't be written.
        """
        if files := self._backend.project(stack, slot).files:
            files.tag(tags)

    def preview(self, inputs: StackInputs, slot: int) -> Preview:
        """Return what `up` with these inputs would do. Changes nothing, and takes no lock.

        It sees the stack's state, and asks the API server by dry runs. One engine run; two more where there is no
        such stack. Where no API server answers, the provider tries until the time limit, or goes by the state alone
        and does not say so: look first whether one does.

        Raises:
            EngineError: the update would not begin, or the API server would refuse an object.
        """
        with self._backend.passing_project(inputs.stack, slot) as project:
            if project.files:
                project.files.require_whole()
            try:
                return self._preview(project, inputs, is_new=False)
            except StackNotFound:
                pass
        with self._backend.passing_project(inputs.stack, slot, empty_backend=True) as project:
            self._create(project)
            return self._preview(project, inputs, is_new=True)

    def recover(self, last_inputs: StackInputs, slot: int, owner_is_dead: OwnerIsDead) -> UpdateResult:
        """Finish an update that did not end well: take away a dead owner's lock, and apply the inputs it had.

        Whether an owner on this host is dead is seen here; `owner_is_dead` is asked about those of other hosts, and
        must say True only with proof, since an engine that lives would go on beside ours.

        Raises:
            StackLocked: an owner is alive, or not known to be dead.
            EngineError: as from `up`.
        """
        action = partial(self._up, last_inputs, slot)
        return self._measured(lambda: self._past_dead_locks(last_inputs.stack, slot, action, owner_is_dead))

    def destroy(self, stack: str, slot: int, owner_is_dead: OwnerIsDead) -> UpdateResult:
        """Delete all that the state knows, and the stack with it. Needs no inputs; fine if there is no such stack.

        A lock is treated as by `recover`. Objects that the state does not know stay: let `recover` finish an update
        that was cut off first. A damaged state knows none.

        Raises:
            StackLocked: an owner is alive, or not known to be dead.
            EngineError: the destroy did not end well; call it again.
        """
        action = partial(self._destroy, stack, slot)
        return self._measured(lambda: self._past_dead_locks(stack, slot, action, owner_is_dead))

    def forget(self, stack: str, slot: int, owner_is_dead: OwnerIsDead) -> UpdateResult:
        """Remove the stack, and leave what it has where it is. For a destroy that nobody can make any more.

        A lock is treated as by `recover`.

        Raises:
            StackLocked: an owner is alive, or not known to be dead.
            EngineError: it could not be removed; call it again.
        """
        action = partial(self._forget, stack, slot)
        return self._measured(lambda: self._past_dead_locks(stack, slot, action, owner_is_dead))

    def stop(self) -> None:
        """End all engine runs, gracefully where they let us, and refuse new ones. Returns when none is left."""
        self._backend.engine.stop()
        self._backend.close()

    def _measured(self, action: Callable[[], EventStream]) -> UpdateResult:
        began, runs = time.monotonic(), self._backend.engine.runs_of_this_thread
        events = action()
        return UpdateResult(
            changes=events.changes,
            outputs=events.outputs,
            seconds=time.monotonic() - began,
            engine_runs=self._backend.engine.runs_of_this_thread - runs,
            stack_is_new=events.stack_is_new,
        )

    def _up(self, inputs: StackInputs, slot: int) -> EventStream:
        project = self._backend.project(inputs.stack, slot)
        repair = _repair(project)
        is_new = repair == "nothing" and self._create(project)
        try:
            events = self._update(project, inputs)
        except (StackNotFound, StateDamaged) as error:
            if isinstance(error, StateDamaged):
                self._discard(project)
            is_new = self._create(project)
            events = self._update(project, inputs)
        events.stack_is_new = is_new or repair == "copy"
        if events.has_pending:
            # All of them were of these inputs, or of some before that nothing is left of: each was just seen to.
            self._clear_pending(project)
        return events

    def _create(self, project: StackProject) -> bool:
        """Make the stack; return whether there was none."""
        try:
            project.create()
        except CommandFailed as failed:
            if _ALREADY_EXISTS not in failed.result.stderr:
                raise self._error(project, "stack init", failed) from None
            return False
        return True

    def _clear_pending(self, project: StackProject) -> None:
        try:
            project.clear_pending()
        except CommandFailed as failed:
            raise self._error(project, "stack import", failed) from None

    def _discard(self, project: StackProject) -> None:
        """Remove a stack whose state can't be read; what it has stays where it is."""
        try:
            project.clear()
        except CommandFailed as failed:
            raise self._error(project, "stack import", failed) from None
        self._remove(project, forget=True)

    def _update(self, project: StackProject, inputs: StackInputs) -> EventStream:
        def up(pulumi: automation.Stack, on_event: OnEvent) -> None:
            pulumi.up(
                program=lambda: self._program(inputs),
                on_event=on_event,
                show_secrets=False,
                suppress_outputs=True,
                suppress_progress=True,
                color="never",
            )

        return self._run(project, "up", up)

    def _preview(self, project: StackProject, inputs: StackInputs, *, is_new: bool) -> Preview:
        steps = Steps()

        def preview(pulumi: automation.Stack, on_event: OnEvent) -> None:
            def on_step(event: automation.EngineEvent) -> None:
                steps.add(event)
                on_event(event)

            pulumi.preview(
                program=lambda: self._program(inputs),
                on_event=on_step,
                suppress_outputs=True,
                suppress_progress=True,
                color="never",
            )

        self._run(project, "preview", preview)
        return Preview(inputs.stack, is_new, steps.changes, steps.unchanged)

    def _destroy(self, stack: str, slot: int) -> EventStream:
        def destroy(pulumi: automation.Stack, on_event: OnEvent) -> None:
            pulumi.destroy(
                on_event=on_event,
                show_secrets=False,
                suppress_outputs=True,
                suppress_progress=True,
                color="never",
            )

        project = self._backend.project(stack, slot)
        _repair(project)
        events = EventStream()
        try:
            events = self._run(project, "destroy", destroy)
            self._remove(project)
        except StackNotFound:
            pass
        except StateDamaged:
            self._discard(project)
        project.remove_folder()
        return events

    def _forget(self, stack: str, slot: int) -> EventStream:
        project = self._backend.project(stack, slot)
        try:
            self._remove(project, forget=True)
        except StackNotFound:
            pass
        except StateDamaged:
            self._discard(project)
        project.remove_folder()
        return EventStream()

    def _remove(self, project: StackProject, *, forget: bool = False) -> None:
        try:
            project.remove_stack(forget=forget)
        except CommandFailed as failed:
            raise self._error(project, "stack rm", failed) from None

    def _run(
        self, project: StackProject, command: str, action: Callable[[automation.Stack, OnEvent], None]
    ) -> EventStream:
        events = EventStream()
        try:
            action(_Pulumi(project.stack, project.workspace), events.add)
        except CommandFailed as failed:
            raise self._error(project, command, failed, events) from None
        except EngineTimeout:
            self._backend.end_orphans()
            raise
        events.wait(_LAST_EVENT_SECONDS)
        return events

    def _error(
        self, project: StackProject, command: str, failed: CommandFailed, events: EventStream | None = None
    ) -> EngineError:
        if failed.result.code < 0:
            self._backend.end_orphans()
        errors = events.errors if events else ()
        return classify(project.stack, command, failed.result.code, failed.result.stderr, errors)

    def _past_dead_locks(
        self, stack: str, slot: int, action: Callable[[], EventStream], owner_is_dead: OwnerIsDead
    ) -> EventStream:
        self._backend.end_orphans()
        try:
            return action()
        except StackLocked as locked:
            # A lock without a known owner is nobody's to judge. While a dead owner's lock is there nobody else can
            # take the stack, so what is removed is what was judged, as long as one watcher at a time does this.
            if not locked.owners or not all(_is_dead(owner, owner_is_dead) for owner in locked.owners):
                raise
            self._remove_locks(self._backend.project(stack, slot), locked)
        return action()

    def _remove_locks(self, project: StackProject, locked: StackLocked) -> None:
        try:
            project.cancel()
        except CommandFailed as failed:
            error = self._error(project, "cancel", failed)
            if not isinstance(error, StackNotFound):
                raise error from None
            # Killed while the stack was being created: there is a lock, and nothing else.
            if project.files is None:
                raise locked from None
            project.files.remove_locks()


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


def _repair(project: StackProject) -> Repair:
    """Make the state such that the engine can work with it, as far as that is seen without a run of the CLI."""
    if project.files:
        return project.files.repair()
    return "whole" if project.seems_to_exist else "nothing"


def _is_dead(owner: LockOwner, owner_is_dead: OwnerIsDead) -> bool:
    return processes.is_proven_dead(owner) if owner.host == socket.gethostname() else owner_is_dead(owner)
