"""The end of a review app: what it has is taken down, or left on request, and then its finalizer comes off.

The finalizer comes off last, and only when nothing is left that is the stack's. What stands in the way is said on the
ReviewApp, each time it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from provisioner.errors import EngineInterrupted, ReviewAppError
from stacks import naming
from watcher.abandonment import has_let_go
from watcher.cluster import REVIEW_APPS, Cluster, Object, section
from watcher.decide import Abandon, Destroy
from watcher.events import record
from watcher.journal import Journal, JournalChanged
from watcher.leadership import NotLeading
from watcher.observation import Observation
from watcher.queue import WorkQueue
from watcher.stack_work import StackWork
from watcher.status import Event
from watcher.view import View

_log = structlog.get_logger()
# What goes by itself takes a moment. What does not is held by somebody's finalizer, or by a node that is away.
_LONGEST_LOOK_SECONDS = 15.0
_MOST_NAMED = 5


Report = Callable[[View, ReviewAppError | None, str | None], None]
"""Writes what is known of a ReviewApp into its status: an error, or what its deletion waits for."""
Forget = Callable[[str, str | None], None]
"""Forgets a ReviewApp, by its name, and the stack that it had."""


class Deletion:
    """Takes review apps down. Its callers hold the name that they ask about, as from the work queue."""

    def __init__(
        self,
        cluster: Cluster,
        observation: Observation,
        journal: Journal,
        engine: StackWork,
        queue: WorkQueue,
        *,
        report: Report,
        forget: Forget,
    ) -> None:
        self._cluster = cluster
        self._observation = observation
        self._journal = journal
        self._engine = engine
        self._queue = queue
        self._report = report
        self._forget = forget
        # UIDs by name of ReviewApps that were let go, until the informer has seen them go.
        self._released: dict[str, str] = {}
        # Names of those whose destroy has failed, and that say why.
        self._failed: set[str] = set()

    def has_released(self, review_app: Object) -> bool:
        """Whether this ReviewApp was let go, and is still seen."""
        return self._released.get(review_app["metadata"]["name"]) == review_app["metadata"]["uid"]

    def gone(self, name: str) -> None:
        """Take notice of a ReviewApp that is no more."""
        self._released.pop(name, None)
        self._failed.discard(name)

    def without_review_app(self, name: str, action: Destroy, slot: int) -> None:
        """Take down what a ReviewApp had that went without its finalizer."""
        if self._destroy(name, action, slot):
            self._queue.retry(name, _LONGEST_LOOK_SECONDS)
        else:
            self._queue.forget(name)
            self._forget(name, action.stack)

    def step(self, view: View, action: Destroy | Abandon, slot: int) -> None:
        """Do what is to be done now for a ReviewApp that is to have nothing any more.

        Raises:
            ReviewAppError: it did not go well; the ReviewApp says so.
        """
        if isinstance(action, Abandon):
            self._abandon(view, action, slot)
            return
        # Where it waits already, it says for what: to say something else each time would be news to us each time.
        waits = view.name in self._failed or (view.entry and view.entry.phase == "destroying")
        if not action.engine_done and not waits:
            self._report(view, None, "the stack is being destroyed")
        try:
            left = self._destroy(view.name, action, slot)
        except (EngineInterrupted, NotLeading, JournalChanged):
            raise
        except ReviewAppError as error:
            self._failed.add(view.name)
            self._report(view, error, None)
            raise
        self._failed.discard(view.name)
        if left:
            named = sorted(left)[:_MOST_NAMED]
            more = f" and {len(left) - len(named)} more" if len(left) > len(named) else ""
            self._report(view, None, f"waiting until these are gone: {', '.join(named)}{more}")
            self._queue.retry(view.name, _LONGEST_LOOK_SECONDS)
            return
        if view.deleting:
            self._release(view.review_app)
        # Only now: should the release fail, the journal knows that the engine need not run again.
        self._forget(view.name, action.stack)
        if not view.deleting:
            self._queue.forget(view.name)
            self._queue.add(view.name)

    def _destroy(self, name: str, action: Destroy, slot: int) -> list[str]:
        """Destroy the stack and sweep after it; return what is still on its way out."""
        if action.stack is None:
            return self._engine.clear_unnoted(self._observation.review_app(name))
        left = self._engine.destroy(name, action, slot)
        pods = self._observation.pods(action.stack) if action.stack else []
        if pods and action.stack and has_let_go(self._cluster, action.stack, action.namespaces):
            return left
        return left + [f"Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods]

    def _abandon(self, view: View, action: Abandon, slot: int) -> None:
        kept: list[str] = []
        refused: list[str] = []
        if action.stack:
            kept, refused = self._engine.abandon(view.name, action.stack, action.namespaces, slot)
        message = f"{len(kept)} objects are left where they are, with the label {naming.ORPHANED_LABEL}={action.stack}"
        if refused:
            message += f"; these could not be let go of: {'; '.join(refused[:_MOST_NAMED])}"
        record(self._cluster, view.review_app, Event("Warning" if refused else "Normal", "Orphaned", message))
        _log.warning("orphaned", review_app=view.name, stack=action.stack, kept=kept, refused=refused)
        self._release(view.review_app)
        self._forget(view.name, action.stack)

    def _release(self, review_app: Object) -> None:
        name, uid = review_app["metadata"]["name"], review_app["metadata"]["uid"]
        # As last seen: a status that we wrote meanwhile has made it another version.
        metadata = section(self._observation.review_app(name) or {}, "metadata")
        finalizers: list[str] = metadata.get("finalizers", [])
        if metadata.get("uid") != uid or naming.FINALIZER not in finalizers:
            return
        others = [finalizer for finalizer in finalizers if finalizer != naming.FINALIZER]
        body = {"metadata": {"finalizers": others, "resourceVersion": metadata["resourceVersion"]}}
        self._cluster.patch(REVIEW_APPS, None, name, body)
        self._released[name] = uid
        self._queue.forget(name)
