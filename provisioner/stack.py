"""Bring a review app's stack to what its inputs say, or to nothing, with as few engine runs as that takes.

Level-triggered: each method can be killed at any moment and called again. Says that an update has failed, and why;
when to try again is its caller's business.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from provisioner import processes, role_clearing
from provisioner.backend import Backend, StackProject
from provisioner.errors import (
    ApplyRefused,
    LockOwner,
    StackLocked,
    StackNotFound,
    StateDamaged,
    WorkFolderUnusable,
)
from provisioner.event_stream import EventStream
from provisioner.preview.model import Preview
from provisioner.stack_files import Repair
from provisioner.stack_runs import Program, StackRuns
from stacks import review_app
from stacks.inputs import StackInputs

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

    def __init__(self, backend: Backend, program: Program = review_app.declare) -> None:
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
                return self._runs(project).preview(inputs, is_new=False)
            except StackNotFound:
                pass
        with self._backend.passing_project(inputs.stack, slot, empty_backend=True) as project:
            runs = self._runs(project)
            runs.create()
            return runs.preview(inputs, is_new=True)

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
        try:
            events = action()
        except OSError as error:
            raise WorkFolderUnusable(str(error)) from None
        return UpdateResult(
            changes=events.changes,
            outputs=events.outputs,
            seconds=time.monotonic() - began,
            engine_runs=self._backend.engine.runs_of_this_thread - runs,
            stack_is_new=events.stack_is_new,
        )

    def _up(self, inputs: StackInputs, slot: int) -> EventStream:
        runs = self._runs(self._backend.project(inputs.stack, slot))
        repair = _repair(runs.project)
        is_new = repair == "nothing" and runs.create()
        try:
            events = self._update(runs, inputs)
        except (StackNotFound, StateDamaged) as error:
            if isinstance(error, StateDamaged):
                runs.discard()
            is_new = runs.create()
            events = self._update(runs, inputs)
        events.stack_is_new = is_new or repair == "copy"
        if events.has_pending:
            # All of them were of these inputs, or of some before that nothing is left of: each was just seen to.
            runs.clear_pending()
        return events

    def _update(self, runs: StackRuns, inputs: StackInputs) -> EventStream:
        cleared: set[str] = set()
        while True:
            try:
                return runs.update(inputs)
            except ApplyRefused as refused:
                # Each of them once.
                if refused.target in cleared or not role_clearing.clear_unknown(inputs, refused):
                    raise
                cleared.add(refused.target)

    def _destroy(self, stack: str, slot: int) -> EventStream:
        runs = self._runs(self._backend.project(stack, slot))
        _repair(runs.project)
        events = EventStream()
        try:
            events = runs.destroy()
            runs.remove()
        except StackNotFound:
            pass
        except StateDamaged:
            runs.discard()
        runs.project.remove_folder()
        return events

    def _forget(self, stack: str, slot: int) -> EventStream:
        runs = self._runs(self._backend.project(stack, slot))
        try:
            runs.remove(forget=True)
        except StackNotFound:
            pass
        except StateDamaged:
            runs.discard()
        runs.project.remove_folder()
        return EventStream()

    def _runs(self, project: StackProject) -> StackRuns:
        return StackRuns(project, self._program, self._backend.end_orphans)

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
            self._runs(self._backend.project(stack, slot)).remove_locks(locked)
        return action()


def _repair(project: StackProject) -> Repair:
    """Make the state such that the engine can work with it, as far as that is seen without a run of the CLI."""
    if project.files:
        return project.files.repair()
    return "whole" if project.seems_to_exist else "nothing"


def _is_dead(owner: LockOwner, owner_is_dead: OwnerIsDead) -> bool:
    return processes.is_proven_dead(owner) if owner.host == socket.gethostname() else owner_is_dead(owner)
