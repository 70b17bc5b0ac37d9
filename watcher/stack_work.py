"""What the engine does for one review app's stack, with the journal written before and after it.

Each step may be cut off at any point: the journal says what was under way. When to do what is the controller's
business, and so is telling of it.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterable
from typing import Any

import structlog

from provisioner import role_clearing
from provisioner.desired import stack_tags
from provisioner.errors import (
    ApplyRefused,
    EngineError,
    EngineFailed,
    EngineInterrupted,
    EngineKilled,
    EngineTimeout,
    LockOwner,
)
from provisioner.review_app import parse
from provisioner.settings import Settings
from provisioner.stack import Stacks, UpdateResult
from stacks.inputs import StackInputs
from watcher import lock_owners, own_namespaces
from watcher.abandonment import let_go
from watcher.app_namespaces import AppNamespaces
from watcher.cluster import Cluster, Object, section
from watcher.decide import Apply, Destroy
from watcher.journal import Entry, Journal, Phase
from watcher.leadership import Term
from watcher.metrics import ENGINE_RUNS, ENGINE_SECONDS
from watcher.preconditions import phase, require_namespaces
from watcher.sweep import clear_undeclared, going, sweep
from watcher.view import View

_log = structlog.get_logger()


@dataclasses.dataclass(frozen=True)
class _Places:
    """Namespaces where a stack may have objects.

    Attributes:
        there: where what it has can be taken away.
        going: which are on their way out, with all that is in them.
        refused: why there is no right to do so in others.
    """

    there: list[str] = dataclasses.field(default_factory=list[str])
    going: list[str] = dataclasses.field(default_factory=list[str])
    refused: list[ApplyRefused] = dataclasses.field(default_factory=list[ApplyRefused])


class StackWork:
    """Updates and destroys stacks, for as long as a watcher leads.

    Args:
        cluster: where their objects are.
        settings: the installation's.
        stacks: the engine.
        journal: what each stack was last asked to declare.
        places: the namespaces of apps.
        term: our time in office.
    """

    def __init__(
        self, cluster: Cluster, settings: Settings, stacks: Stacks, journal: Journal, places: AppNamespaces, term: Term
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._stacks = stacks
        self._journal = journal
        self._places = places
        self._term = term

    def update(self, view: View, action: Apply, slot: int) -> UpdateResult:
        """Bring a stack to its inputs, and say by its tags what it is for.

        Raises:
            EngineError: it did not end well.
        """
        inputs = action.inputs
        if action.unfinished == inputs:
            result = self._recover(view.entry, inputs, slot)
        else:
            result = self._count("up", self._stacks.up(inputs, slot))
            if result.stack_is_new:
                self._clear_undeclared(view.entry, inputs)
        tags = stack_tags(parse(section(view.review_app, "spec")), inputs)
        self._stacks.tag(inputs.stack, tags, slot)
        return result

    def finish(self, entry: Entry | None, unfinished: StackInputs, slot: int) -> bool:
        """Finish an update that was cut off, so that the state knows every object that it made; return whether it does.

        Where that can't be done, what it made is left to the new inputs, or to the sweep.
        """
        try:
            require_namespaces(self._cluster, unfinished)
            self._recover(entry, unfinished, slot)
        except (ApplyRefused, EngineFailed, EngineKilled, EngineTimeout) as error:
            _log.warning("not_finished", stack=unfinished.stack, error=str(error))
            return False
        return True

    def note(self, view: View, inputs: StackInputs, phase: Phase, *, and_before: bool) -> Entry:
        """Write down what the stack is asked to declare, and where it may have objects now `and_before`."""
        before = view.entry.namespaces if view.entry and and_before else ()
        namespaces = {inputs.namespace, self._settings.build_namespace, *before}
        host = socket.gethostname()
        entry = Entry(view.name, phase, inputs, tuple(sorted(namespaces)), host)
        if view.entry and phase == "applying":
            earlier = view.entry.begun(phase, host).earlier_hosts
            entry = dataclasses.replace(entry, earlier_hosts=earlier)
        self._journal.write(entry)
        return entry

    def destroy(self, name: str, action: Destroy, slot: int) -> list[str]:
        """Destroy a stack and sweep after it; return what of its kinds is still on its way out."""
        entry = self._journal.get(name)
        if action.stack is None:
            return []
        places = self._look_at(action.namespaces, name, entry)
        if places.refused:
            raise places.refused[0]
        there = places.there
        if not action.engine_done:
            if action.unfinished:
                self.finish(entry, action.unfinished, slot)
            if entry:
                self._journal.write(entry.begun("destroying", socket.gethostname()))
            # The engine would wait for what is on its way out, a worker with it, for as long as somebody's finalizer
            # holds it; an operator's does for as long as that does not run.
            holds = entry and (entry.phase == "destroying" or _has_operator(entry.inputs))
            if holds and (left := self._sweep(action.stack, there)):
                return left
            # With a namespace went the rights in it, so that an engine would fail on what went with it too. What is
            # left in the others, the sweep finds.
            run = self._stacks.destroy if len(there) == len(action.namespaces) else self._stacks.forget
            try:
                result = self._count("destroy", run(action.stack, slot, self._is_dead))
            except (EngineFailed, EngineTimeout) as error:
                if not (left := self._sweep(action.stack, there)):
                    raise
                _log.warning("destroy_waits", review_app=name, stack=action.stack, left=left, error=str(error))
                return left
            if entry:
                # What the state did not know, or no engine could delete.
                role_clearing.clear(entry.inputs)
                self._journal.write(entry.ended("destroyed"))
            _log.info("destroyed", review_app=name, stack=action.stack, **figures(result))
        own = set(own_namespaces.remove(self._cluster, action.stack, there))
        left = [f"Namespace {place}" for place in sorted(own)]
        left += self._sweep(action.stack, [place for place in there if place not in own])
        return left + going(self._cluster, action.stack, places.going)

    def _recover(self, entry: Entry | None, inputs: StackInputs, slot: int) -> UpdateResult:
        result = self._count("recover", self._stacks.recover(inputs, slot, self._is_dead))
        # The state may have been lost in what was cut off.
        self._clear_undeclared(entry, inputs)
        return result

    def _clear_undeclared(self, entry: Entry | None, inputs: StackInputs) -> None:
        """Delete what a stack has of former inputs: its state, where it was made anew, does not know of that."""
        if entry is None:
            return
        there = [place for place in entry.namespaces if phase(self._cluster, place) == "there"]
        if cleared := clear_undeclared(self._cluster, inputs, there, self._settings.build_namespace):
            _log.warning("undeclared_removed", stack=inputs.stack, what=cleared)

    def clear_unnoted(self, review_app: Object | None) -> list[str]:
        """Delete the namespace of an app that came no further; return what is still on its way out."""
        return self._places.clear_unnoted(review_app, self._journal)

    def _sweep(self, stack: str, namespaces: Iterable[str]) -> list[str]:
        return sweep(self._cluster, stack, namespaces, self._settings.build_namespace)

    def abandon(self, name: str, stack: str, namespaces: Iterable[str], slot: int) -> tuple[list[str], list[str]]:
        """Leave all that a stack has where it is, and forget its state; return what was kept, and what went wrong.

        Raises:
            ClusterUnreachable, EngineInterrupted, NotLeading: call it again.
        """
        places = self._look_at(namespaces, name, self._journal.get(name))
        refused = [str(error) for error in places.refused]
        kept, others = let_go(self._cluster, stack, places.there, self._settings.build_namespace)
        try:
            self._count("forget", self._stacks.forget(stack, slot, self._is_dead))
        except EngineInterrupted:
            raise
        except EngineError as error:
            refused.append(f"its state: {error}")
        return kept, refused + others

    def _look_at(self, namespaces: Iterable[str], name: str, entry: Entry | None) -> _Places:
        """Look up where a stack may have objects, and have the rights to take them away."""
        places = _Places()
        for place in namespaces:
            match phase(self._cluster, place):
                case "there":
                    try:
                        if self._places.may_clear(name, place, entry):
                            places.there.append(place)
                    except ApplyRefused as error:
                        places.refused.append(error)
                case "going":
                    places.going.append(place)
                case "gone":
                    pass
        return places

    def _count(self, operation: str, result: UpdateResult) -> UpdateResult:
        ENGINE_SECONDS.labels(operation).observe(result.seconds)
        ENGINE_RUNS.labels(operation).inc(result.engine_runs)
        return result

    def _is_dead(self, owner: LockOwner) -> bool:
        entries = self._journal.all()
        hosts = {host for entry in entries for host in (entry.host, *entry.earlier_hosts)} - {socket.gethostname()}
        return lock_owners.is_dead(self._cluster, self._settings.namespace, hosts, self._term, owner)


def _has_operator(inputs: StackInputs) -> bool:
    """Whether an operator runs something of a stack."""
    return inputs.database is not None and inputs.database.api_version != ""


def figures(result: UpdateResult) -> dict[str, Any]:
    """Return what a log line says of an update or a destroy."""
    return {"changes": dict(result.changes), "seconds": round(result.seconds, 2), "engine_runs": result.engine_runs}
