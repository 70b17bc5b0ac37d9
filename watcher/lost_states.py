"""Stacks whose state was lost or damaged: their last update is taken for one that was cut off, and so finished.

The state is read when an engine works with it, which for an app that nobody pushes to is never. Until then nothing
would say that it is gone, and what a stack has of former inputs, which only its state knew, would stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import structlog

from watcher.cluster import Cluster, Object
from watcher.events import record
from watcher.journal import Journal
from watcher.status import Event

_log = structlog.get_logger()

Lacking = Callable[[Iterable[str]], Iterable[str]]
"""Returns which of these stacks have no state that can be worked with."""


class LostStates:
    """Looks at the state of stacks. Safe from any thread.

    Args:
        cluster: where Events are written.
        journal: what the stacks were last asked to declare.
        look_at: has a ReviewApp looked at, by its name.
    """

    def __init__(self, cluster: Cluster, journal: Journal, look_at: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._journal = journal
        self._look_at = look_at
        self._found: set[str] = set()

    def look(self, lacking: Lacking) -> None:
        """Look at the state of each stack that is up to date; have a ReviewApp looked at where there is none."""
        applied = {entry.inputs.stack: entry.review_app for entry in self._journal.all() if entry.phase == "applied"}
        for stack in lacking(sorted(applied)):
            self._found.add(applied[stack])
            self._look_at(applied[stack])

    def settle(self, review_app: Object) -> None:
        """Have the journal say of a stack without a state that its update is not finished; nothing of another one.

        Its caller holds the ReviewApp's name, as from the work queue.

        Raises:
            JournalChanged, ApiRefused, ClusterUnreachable: it could not be written.
        """
        name = review_app["metadata"]["name"]
        if name not in self._found:
            return
        entry = self._journal.get(name)
        # Where an update has come first, it has done the same.
        if entry and entry.phase == "applied":
            self._journal.write(dataclasses.replace(entry, phase="applying"))
            message = f"the state of stack {entry.inputs.stack} was lost or damaged: it is made anew from what is there"
            record(self._cluster, review_app, Event("Warning", "StateLost", message))
            _log.warning("state_lost", review_app=name, stack=entry.inputs.stack)
        self._found.discard(name)
