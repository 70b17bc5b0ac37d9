"""The way of one stack to its inputs: what must hold first, the engine, and what is kept of a failure.

What stands in the way and can be asked for is asked for every few seconds, and the engine is not run before it has
gone. What can't be seen from outside is tried again, later each time.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import structlog

from provisioner.errors import ClusterUnreachable, EngineInterrupted, EngineMissing, ReviewAppError
from provisioner.review_app import parse
from watcher import decide as decisions
from watcher.app_namespaces import AppNamespaces
from watcher.cluster import Cluster
from watcher.correction import restore
from watcher.decide import Apply
from watcher.journal import HostHeld, JournalChanged, StackHeld
from watcher.leadership import NotLeading
from watcher.metrics import FAILURES
from watcher.obstacles import refuse_standing, stands
from watcher.preconditions import refuse_foreign, require_build_secrets, require_kinds
from watcher.queue import WorkQueue
from watcher.stack_work import StackWork, figures
from watcher.superseded import end_superseded
from watcher.view import Failure, View

_log = structlog.get_logger()
LONGEST_LOOK_SECONDS = 20.0
"""The longest time between two looks at what stands in the way of an update."""


class Updates:
    """Brings stacks to their inputs. Its callers hold the name that they ask about, as from the work queue.

    Args:
        cluster: where.
        places: the namespaces of apps.
        engine: what updates stacks.
        queue: where a name that failed comes back from.
        report: writes what is known of a ReviewApp into its status.
    """

    def __init__(
        self,
        cluster: Cluster,
        places: AppNamespaces,
        engine: StackWork,
        queue: WorkQueue,
        *,
        report: Callable[[View], None],
    ) -> None:
        self._cluster = cluster
        self._places = places
        self._engine = engine
        self._queue = queue
        self._report = report
        self._failures: dict[str, Failure] = {}

    def failure(self, name: str) -> Failure | None:
        """Return how the last update of a ReviewApp's stack failed, if it did."""
        return self._failures.get(name)

    def forget(self, name: str) -> None:
        """Forget how it failed."""
        self._failures.pop(name, None)

    def step(self, view: View, action: Apply, slot: int) -> ReviewAppError | None:
        """Update the stack; return why it could not be, if so.

        Raises:
            EngineInterrupted, NotLeading: the watcher is stopping, or leads no more.
            JournalChanged: another has written the journal.
        """
        is_seen = True
        try:
            self._require(view, action)
            is_seen = False
            self._update(view, action, slot)
        except (EngineInterrupted, NotLeading, JournalChanged):
            raise
        except StackHeld as held:
            return decisions.refuse_second(view, held.holder)
        except HostHeld as held:
            return decisions.refuse_host(view, held.holder)
        except ReviewAppError as error:
            self._fail(view, action, error, is_seen or self._can_see(action, error))
            return error
        self.forget(view.name)
        return None

    def _can_see(self, action: Apply, error: ReviewAppError) -> bool:
        """Whether the next look shows, before an engine runs, that what an engine failed at still stands."""
        is_missed = isinstance(error, ClusterUnreachable | EngineMissing)
        return is_missed or stands(self._cluster, action.inputs, error)

    def _require(self, view: View, action: Apply) -> None:
        end_superseded(self._cluster, view.jobs, action.inputs)
        self._places.take(view.name, action.inputs, parse(view.review_app["spec"]))
        require_build_secrets(view.lookups.missing)
        if view.failure and view.failure.is_seen and view.failure.digest == action.inputs.digest():
            refuse_standing(self._cluster, action.inputs, view.failure.error)
        require_kinds(self._cluster, action.inputs)
        absent = refuse_foreign(self._cluster, action.inputs)
        if view.entry:
            restore(self._cluster, view.entry.inputs, absent)

    def _update(self, view: View, action: Apply, slot: int) -> None:
        finished = True
        if action.unfinished and action.unfinished != action.inputs:
            finished = self._engine.finish(view.entry, action.unfinished, slot)
        # What was cut off may have left objects where the last inputs had them.
        entry = self._engine.note(view, action.inputs, "applying", and_before=True)
        # Said before the engine runs: it is what people see first.
        self._report(dataclasses.replace(view, entry=entry))
        result = self._engine.update(view, action, slot)
        self._places.leave_others(view.entry, action.inputs)
        self._engine.note(view, action.inputs, "applied", and_before=not finished)
        _log.info("updated", review_app=view.name, stack=action.inputs.stack, **figures(result))

    def _fail(self, view: View, action: Apply, error: ReviewAppError, is_seen: bool) -> None:
        delay = self._queue.retry(view.name, LONGEST_LOOK_SECONDS if is_seen else None)
        before, tries = self._failures.get(view.name), self._queue.failures(view.name)
        self._failures[view.name] = Failure(action.inputs.digest(), error, time.time() + delay, tries, is_seen)
        if before is None or str(before.error) != str(error):
            FAILURES.labels(error.reason).inc()
            _log.warning("update_failed", review_app=view.name, stack=action.inputs.stack, error=str(error))
