"""The controller: gather what is, decide, act, report. A thin shell around `decide` and `status`.

Informers put names of ReviewApps on the queue; a few workers take them off, one name with one worker
at a time. A worker may be killed at any point: the journal says what was under way, and the next
worker that takes the name finishes it. Nothing here remembers what an event said.
"""

from __future__ import annotations

import dataclasses
import re
import threading
import time

import structlog

from provisioner.errors import (
    ApplyRefused,
    ClusterUnreachable,
    ReviewAppError,
)
from provisioner.review_app import Spec, Status, parse
from provisioner.setting_types import LABEL
from provisioner.settings import Settings
from provisioner.stack import Stacks
from stacks import naming
from watcher import decide as decisions
from watcher.app_namespaces import AppNamespaces, namespaces_of
from watcher.bindings import Bindings
from watcher.build_log import BuildLogs
from watcher.cluster import NAMESPACES, REVIEW_APPS, ApiRefused, Cluster, Object, section
from watcher.decide import Abandon, Apply, Claim, Destroy, Refuse, Wait
from watcher.deletion import Deletion
from watcher.drift_watch import DriftWatch
from watcher.events import record
from watcher.journal import Journal
from watcher.leadership import NotLeading, Term
from watcher.lookups import look_up
from watcher.lost_states import Lacking, LostStates
from watcher.observation import Observation, asked_namespace
from watcher.queue import WorkQueue
from watcher.registry import Registry
from watcher.stack_work import StackWork
from watcher.status import changes, status
from watcher.turns import Turns
from watcher.updates import LONGEST_LOOK_SECONDS, Updates
from watcher.view import View

_log = structlog.get_logger()
_RESYNC_SECONDS = 600.0
# An operator of databases that is installed, or learns of a version, tells nobody.
_OPERATORS_SECONDS = 30.0
# An engine's time limit is for one run: to finish what was cut off and then update takes several.
_MOST_RUNS = 6
_OTHER_SECONDS = 120.0
_STOP_SECONDS = 20.0


class Controller:
    """Brings every stack to what its ReviewApp asks for, for as long as one term lasts.

    Args:
        cluster: where; its writes end with the term.
        settings: the installation's.
        stacks: the engine; its runs end with the term.
        observation: the local view, filled. Whoever keeps it says here what has changed.
        term: our time in office.
    """

    def __init__(
        self, cluster: Cluster, settings: Settings, stacks: Stacks, observation: Observation, term: Term
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._stacks = stacks
        self._observation = observation
        self._journal = Journal(cluster, settings.namespace)
        self._registry = Registry(cluster, settings, _registry_silent)
        self._bindings = Bindings(cluster, settings.namespace)
        self._places = AppNamespaces(cluster, settings, self._bindings)
        self._engine = StackWork(cluster, settings, stacks, self._journal, self._places, term)
        self._logs = BuildLogs(cluster)
        self._queue = WorkQueue()
        self._turns = Turns(settings.maximum_builds, lambda: observation.builds(self._journal))
        self._workers = [
            threading.Thread(target=self._work, args=(slot,), name=f"worker-{slot}", daemon=True)
            for slot in range(settings.workers)
        ]
        self._updates = Updates(
            cluster, self._places, self._engine, self._queue, report=lambda view: self._report(view, None)
        )
        self._deletion = Deletion(
            cluster, observation, self._journal, self._engine, self._queue, report=self._report, forget=self._forget
        )
        self._drifts = DriftWatch(
            cluster, settings.drift, self.part_changed, self._queue.add_after, self._bindings.take
        )
        # What each worker has taken, and when by time.monotonic.
        self._held: dict[int, tuple[str, float]] = {}
        self._lost_states = LostStates(cluster, self._journal, self._queue.add)

    def problems(self, now: float) -> list[str]:
        """Return what is wrong with the workers; `now` is monotonic time in seconds."""
        found = ["a worker has died"] if any(w.ident and not w.is_alive() for w in self._workers) else []
        longest = self._settings.engine_timeout_seconds * _MOST_RUNS + _OTHER_SECONDS
        return found + [
            f"a worker has been at {name} for {now - since:.0f} s"
            for name, since in list(self._held.values())
            if now - since > longest
        ]

    def start(self) -> None:
        """Load the journal, have every ReviewApp looked at, and let the workers go.

        Raises:
            ReviewAppError: the cluster does not answer.
        """
        self._journal.load()
        self._bindings.tidy(self._in_use())
        self._follow()
        for name in {*self._observation.names(), *(entry.review_app for entry in self._journal.all())}:
            self._queue.add(name)
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """End running engines gracefully, let the workers finish what they hold, and return."""
        self._queue.close()
        self._drifts.stop()
        self._stacks.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for worker in self._workers:
            if worker.ident:
                worker.join(max(0.0, deadline - time.monotonic()))
        if left := [name for name, _ in list(self._held.values())]:
            # What they would write yet, the end of the term keeps back.
            _log.warning("workers_left", review_apps=left)

    def stacks(self) -> set[str]:
        """Return the names of the stacks that the journal has, or that ReviewApps ask for."""
        return {entry.inputs.stack for entry in self._journal.all()} | self._observation.stacks_asked_for()

    def look_at_states(self, lacking: Lacking) -> None:
        """Have what was lost of stacks' states made anew; errors as from `lacking`."""
        self._lost_states.look(lacking)

    def look_at(self, name: str) -> None:
        """Have a ReviewApp looked at: it has changed, or what it depends on has."""
        self._queue.add(name)

    def part_changed(self, stack: str) -> None:
        """Have a stack's ReviewApp looked at, and whose turn it is to build now."""
        holder = self._journal.holder(stack)
        if holder:
            self._queue.add(holder)
        for waiting in self._turns.news():
            self._queue.add(waiting)

    def _work(self, slot: int) -> None:
        while (name := self._queue.get()) is not None:
            is_stuck = True
            self._held[slot] = (name, time.monotonic())
            try:
                is_stuck = self._reconcile(name, slot) is not None
            except ReviewAppError as error:
                # An API server that is away, or overloaded, is back sooner than what an engine fails at is mended.
                is_away = isinstance(error, ApiRefused | ClusterUnreachable)
                delay = self._queue.retry(name, LONGEST_LOOK_SECONDS if is_away else None)
                _log.warning("reconcile_failed", review_app=name, error=str(error), again_in=round(delay, 1))
            finally:
                self._bindings.release(name, self._in_use())
                self._follow()
                self._turns.settle(name, self._journal.get(name), is_stuck=is_stuck)
                for waiting in self._turns.news():
                    if waiting != name:
                        self._queue.add(waiting)
                self._queue.done(name)
                self._held.pop(slot, None)

    def _reconcile(self, name: str, slot: int) -> ReviewAppError | None:
        """Take the next step for a ReviewApp; return why it can't come further for now, if so."""
        review_app = self._observation.review_app(name)
        if review_app is None:
            self._deletion.gone(name)
            self._updates.forget(name)
            if entry := self._journal.get(name):
                self._deletion.without_review_app(name, decisions.decide_orphan(entry), slot)
            return None
        if self._deletion.has_released(review_app):
            return None
        if naming.ADOPTED_ANNOTATION in section(review_app, "metadata", "annotations") and not self._journal.get(name):
            self._journal.learn(name)
        self._lost_states.settle(review_app)
        view = self._view(review_app)
        action = decisions.decide(view, self._settings, time.time())
        error = view.failure.error if view.failure else None
        if isinstance(action, Claim):
            self._claim(review_app)
            return None
        if isinstance(action, Destroy | Abandon):
            self._deletion.step(view, action, slot)
            return None
        if isinstance(action, Apply):
            error = self._updates.step(view, action, slot)
            view = self._view(review_app)
        elif isinstance(action, Refuse):
            error = action.error
        elif isinstance(action, Wait):
            self._queue.add_after(name, action.until - time.time())
        else:
            self._updates.forget(name)
            error = None
            if view.entry and not view.deleting:
                self._places.refresh(view.entry, parse(view.review_app["spec"]))
                error = self._correct(view)
        if error is None:
            self._queue.forget(name)
        if not view.deleting or view.claimed:
            self._report(view, error)
        may_change = isinstance(action, Refuse) and view.lookups.operators is not None
        self._queue.add_after(name, _OPERATORS_SECONDS if may_change else _RESYNC_SECONDS)
        return error

    def _view(self, review_app: Object) -> View:
        view = self._observation.view(review_app, self._journal, self._updates.failure(review_app["metadata"]["name"]))
        if view.deleting or not view.claimed:
            return view
        name = asked_namespace(review_app)
        if view.namespace is None and name and re.fullmatch(LABEL, name):
            # One that was made a moment ago may not have been heard of yet.
            view = dataclasses.replace(view, namespace=self._cluster.get(NAMESPACES, None, name))
        lookups = look_up(self._cluster, view, self._settings, self._registry, self._may_read, self._turns, self._logs)
        return dataclasses.replace(view, lookups=lookups)

    def _may_read(self, view: View, spec: Spec) -> bool:
        """Whether a ReviewApp may have Secrets of its namespace read for it; have the right to do so, then."""
        if decisions.refusal(view, spec, self._settings):
            return False
        try:
            self._bindings.take(view.name, spec.config.namespace)
        except ApplyRefused:
            # An update says so.
            return False
        return True

    def _claim(self, review_app: Object) -> None:
        metadata = review_app["metadata"]
        finalizers = [*metadata.get("finalizers", []), naming.FINALIZER]
        # With its version, so that another's finalizer written meanwhile is not lost.
        body = {"metadata": {"finalizers": finalizers, "resourceVersion": metadata["resourceVersion"]}}
        self._observation.remember(self._cluster.patch(REVIEW_APPS, None, metadata["name"], body))
        self._queue.add(metadata["name"])

    def _correct(self, view: View) -> ReviewAppError | None:
        """See to what was changed of a stack by hand; return why it can't be put right, if so."""
        try:
            self._drifts.step(view)
        except NotLeading:
            raise
        except ReviewAppError as error:
            self._queue.retry(view.name)
            return error
        return None

    def _forget(self, name: str, stack: str | None) -> None:
        """Forget a stack that is no more; look at the ReviewApps that wait for it, or its host, to be free."""
        self._updates.forget(name)
        waiting = set(self._observation.asking_for(stack) if stack else ())
        entry = self._journal.get(name)
        if entry:
            self._journal.remove(name)
            waiting |= set(self._observation.asking_for_host(entry.inputs.name))
        self._bindings.release(name, self._in_use(), namespaces_of(entry) if entry else ())
        for other in waiting - {name}:
            self._queue.add(other)

    def _follow(self) -> None:
        """Follow the namespaces of apps of which something is there."""
        self._drifts.follow({entry.inputs.namespace for entry in self._journal.all() if entry.phase == "applied"})

    def _in_use(self) -> set[str]:
        """Return the namespaces where stacks may have objects, and that of builds, whose rights are not bound here."""
        return {self._settings.build_namespace}.union(*(namespaces_of(entry) for entry in self._journal.all()))

    def _report(self, view: View, error: ReviewAppError | None, deleting: str | None = None) -> None:
        review_app = view.review_app
        old = Status.read(review_app.get("status"))
        new = status(view, time.time(), error, deleting)
        if new == old:
            return
        name = view.name
        body = {"status": new.model_dump(mode="json", by_alias=True)}
        try:
            answer = self._cluster.patch(REVIEW_APPS, None, name, body, subresource="status")
        except ApiRefused as refused:
            if refused.status == 404:
                return
            raise
        self._observation.remember(answer)
        review_app["status"] = answer["status"]
        for event in changes(old, new):
            record(self._cluster, review_app, event)


def _registry_silent(image: str, reason: str) -> None:
    _log.warning("registry_not_asked", image=image, error=reason)
