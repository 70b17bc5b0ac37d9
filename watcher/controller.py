"""The controller: gather what is, decide, act, report. A thin shell around `decide` and `status`.

Informers put names of ReviewApps on the queue; a few workers take them off, one name with one worker
at a time. A worker may be killed at any point: the journal says what was under way, and the next
worker that takes the name finishes it. Nothing here remembers what an event said.
"""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from typing import Any

import structlog

from provisioner.desired import stack_tags
from provisioner.errors import (
    ApplyRefused,
    EngineFailed,
    EngineInterrupted,
    EngineKilled,
    EngineTimeout,
    LockOwner,
    ReviewAppError,
)
from provisioner.review_app import Spec, Status, parse
from provisioner.settings import Settings
from provisioner.stack import Stacks, UpdateResult
from provisioner.warm_up import warm_up
from stacks import naming
from stacks.inputs import StackInputs
from watcher import decide as decisions
from watcher import own_namespaces
from watcher.app_namespaces import AppNamespaces, namespaces_of
from watcher.bindings import Bindings
from watcher.build_log import BuildLogs
from watcher.cluster import PODS, REVIEW_APPS, ApiRefused, Cluster, Object, section
from watcher.decide import Apply, Claim, Destroy, Failure, Refuse, View, Wait
from watcher.events import record
from watcher.journal import Entry, HostHeld, Journal, Phase, StackHeld
from watcher.lookups import look_up
from watcher.metrics import ENGINE_RUNS, ENGINE_SECONDS, FAILURES
from watcher.observation import Observation
from watcher.preconditions import (
    phase,
    refuse_foreign,
    require_build_secrets,
    require_namespaces,
)
from watcher.queue import WorkQueue
from watcher.registry import Registry
from watcher.status import changes, status
from watcher.superseded import end_superseded
from watcher.sweep import going, sweep
from watcher.turns import Turns

_log = structlog.get_logger()
_RESYNC_SECONDS = 600.0
# An operator of databases that is installed, or learns of a version, tells nobody.
_OPERATORS_SECONDS = 30.0
_SWEEP_AGAIN_SECONDS = 0.5


class Controller:
    """Brings every stack to what its ReviewApp asks for, for as long as it runs."""

    def __init__(self, cluster: Cluster, settings: Settings, stacks: Stacks) -> None:
        self._cluster = cluster
        self._settings = settings
        self._stacks = stacks
        self._journal = Journal(cluster, settings.namespace)
        self._registry = Registry(cluster, settings, _registry_silent)
        self._bindings = Bindings(cluster, settings.namespace)
        self._places = AppNamespaces(cluster, settings, self._bindings)
        self._logs = BuildLogs(cluster)
        self._queue = WorkQueue()
        self._failures: dict[str, Failure] = {}
        # UIDs by name of ReviewApps that were let go, until the informer has seen them go.
        self._released: dict[str, str] = {}
        self._observation = Observation(cluster, settings.tls_secret, settings, self._queue.add, self._part_changed)
        self.informers = self._observation.informers
        self._turns = Turns(settings.maximum_builds, lambda: self._observation.builds(self._journal))
        self._workers = [
            threading.Thread(target=self._work, args=(slot,), name=f"worker-{slot}") for slot in range(settings.workers)
        ]

    @property
    def workers_alive(self) -> bool:
        """Whether every worker runs."""
        return all(worker.is_alive() for worker in self._workers)

    def start(self) -> None:
        """Load the journal, fill the informers, then let the workers go.

        Raises:
            ReviewAppError: the cluster does not answer, or a list did not come in time.
        """
        self._journal.load()
        self._bindings.tidy(self._in_use())
        self._observation.start()
        for entry in self._journal.all():
            self._queue.add(entry.review_app)
        warm_up()
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """End running engines gracefully, let the workers finish what they hold, and return."""
        self._observation.stop()
        self._queue.close()
        self._stacks.stop()
        for worker in self._workers:
            worker.join()

    def _part_changed(self, stack: str) -> None:
        holder = self._journal.holder(stack)
        if holder:
            self._queue.add(holder)
        for waiting in self._turns.news():
            self._queue.add(waiting)

    def _work(self, slot: int) -> None:
        while (name := self._queue.get()) is not None:
            is_stuck = True
            try:
                is_stuck = self._reconcile(name, slot) is not None
            except ReviewAppError as error:
                delay = self._queue.retry(name)
                _log.warning("reconcile_failed", review_app=name, error=str(error), again_in=round(delay, 1))
            finally:
                self._bindings.release(name, self._in_use())
                self._turns.settle(name, self._journal.get(name), is_stuck=is_stuck)
                for waiting in self._turns.news():
                    if waiting != name:
                        self._queue.add(waiting)
                self._queue.done(name)

    def _reconcile(self, name: str, slot: int) -> ReviewAppError | None:
        """Take the next step for a ReviewApp; return why it can't come further for now, if so."""
        review_app = self._observation.review_app(name)
        if review_app is None:
            self._released.pop(name, None)
            self._failures.pop(name, None)
            entry = self._journal.get(name)
            if entry and self._destroy(name, decisions.decide_orphan(entry), slot):
                self._queue.add_after(name, _SWEEP_AGAIN_SECONDS)
            elif entry:
                self._forget(name, entry.inputs.stack)
            return None
        if self._released.get(name) == review_app["metadata"]["uid"]:
            return None
        view = self._view(review_app)
        action = decisions.decide(view, self._settings, time.time())
        error = view.failure.error if view.failure else None
        if isinstance(action, Claim):
            self._claim(review_app)
            return None
        if isinstance(action, Destroy):
            self._delete(view, action, slot)
            return None
        if isinstance(action, Apply):
            error = self._apply(view, action, slot)
            view = self._view(review_app)
        elif isinstance(action, Refuse):
            error = action.error
        elif isinstance(action, Wait):
            self._queue.add_after(name, action.until - time.time())
        else:
            self._failures.pop(name, None)
            error = None
            if view.entry and not view.deleting:
                self._places.refresh(view.entry, parse(view.review_app["spec"]))
        if error is None:
            self._queue.forget(name)
        if not view.deleting or view.claimed:
            self._report(view, error)
        may_change = isinstance(action, Refuse) and view.lookups.operators is not None
        self._queue.add_after(name, _OPERATORS_SECONDS if may_change else _RESYNC_SECONDS)
        return error

    def _view(self, review_app: Object) -> View:
        view = self._observation.view(review_app, self._journal, self._failures.get(review_app["metadata"]["name"]))
        if view.deleting or not view.claimed:
            return view
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

    def _apply(self, view: View, action: Apply, slot: int) -> ReviewAppError | None:
        """Update the stack; return why it could not be, if so.

        Raises:
            EngineInterrupted: the watcher is stopping.
        """
        name = view.name
        try:
            end_superseded(self._cluster, view.jobs, action.inputs)
            self._places.take(view.name, action.inputs, parse(view.review_app["spec"]))
            require_build_secrets(view.lookups.missing)
            refuse_foreign(self._cluster, action.inputs)
            finished = True
            if action.unfinished and action.unfinished != action.inputs:
                finished = self._finish(action.unfinished, slot)
            # What was cut off may have left objects where the last inputs had them.
            entry = self._note(view, action.inputs, "applying", and_before=True)
            # Said before the engine runs: it is what people see first.
            self._report(dataclasses.replace(view, entry=entry), None)
            result = self._update(action, slot)
            self._places.leave_others(view.entry, action.inputs)
            self._tag(view, action.inputs, slot)
            self._note(view, action.inputs, "applied", and_before=not finished)
        except EngineInterrupted:
            raise
        except StackHeld as held:
            return decisions.refuse_second(view, held.holder)
        except HostHeld as held:
            return decisions.refuse_host(view, held.holder)
        except ReviewAppError as error:
            delay = self._queue.retry(name)
            self._failures[name] = Failure(action.inputs.digest(), error, time.time() + delay)
            FAILURES.labels(error.reason).inc()
            _log.warning("update_failed", review_app=name, stack=action.inputs.stack, error=str(error))
            return error
        self._failures.pop(name, None)
        _log.info("updated", review_app=name, stack=action.inputs.stack, **_figures(result))
        return None

    def _update(self, action: Apply, slot: int) -> UpdateResult:
        if action.unfinished == action.inputs:
            return self._count("recover", self._stacks.recover(action.inputs, slot, self._is_dead))
        return self._count("up", self._stacks.up(action.inputs, slot))

    def _tag(self, view: View, inputs: StackInputs, slot: int) -> None:
        tags = stack_tags(parse(section(view.review_app, "spec")), inputs)
        self._stacks.tag(inputs.stack, tags, slot)

    def _finish(self, unfinished: StackInputs, slot: int) -> bool:
        """Finish an update that was cut off, so that the state knows every object that it made; return whether it does.

        Where that can't be done, what it made is left to the new inputs, or to the sweep.
        """
        try:
            require_namespaces(self._cluster, unfinished)
            self._count("recover", self._stacks.recover(unfinished, slot, self._is_dead))
        except (ApplyRefused, EngineFailed, EngineKilled, EngineTimeout) as error:
            _log.warning("not_finished", stack=unfinished.stack, error=str(error))
            return False
        return True

    def _delete(self, view: View, action: Destroy, slot: int) -> None:
        if not action.engine_done:
            self._report(view, None, deleting="the stack is being destroyed")
        try:
            left = self._destroy(view.name, action, slot)
        except EngineInterrupted:
            raise
        except ReviewAppError as error:
            self._report(view, error)
            raise
        if left:
            self._report(view, None, deleting=f"waiting until these are gone: {', '.join(sorted(left)[:5])}")
            self._queue.add_after(view.name, _SWEEP_AGAIN_SECONDS)
            return
        if view.deleting:
            self._release(view.review_app)
        # Only now: should the release fail, the journal knows that the engine need not run again.
        self._forget(view.name, action.stack)
        if not view.deleting:
            self._queue.add(view.name)

    def _destroy(self, name: str, action: Destroy, slot: int) -> list[str]:
        """Destroy the stack and sweep after it; return what is still on its way out."""
        entry = self._journal.get(name)
        if action.stack is None:
            return self._places.clear_unnoted(self._observation.review_app(name), self._journal)
        phases = {place: phase(self._cluster, place) for place in action.namespaces}
        there = [place for place in phases if phases[place] == "there" and self._places.may_clear(name, place, entry)]
        if not action.engine_done:
            if action.unfinished:
                self._finish(action.unfinished, slot)
            if entry:
                self._journal.write(dataclasses.replace(entry, phase="destroying", host=socket.gethostname()))
            # With a namespace went the rights in it, so that an engine would fail on what went with it too. What is
            # left in the others, the sweep finds.
            run = self._stacks.destroy if len(there) == len(action.namespaces) else self._stacks.forget
            result = self._count("destroy", run(action.stack, slot, self._is_dead))
            if entry:
                self._journal.write(dataclasses.replace(entry, phase="destroyed"))
            _log.info("destroyed", review_app=name, stack=action.stack, **_figures(result))
        own = set(own_namespaces.remove(self._cluster, action.stack, there))
        shared = [place for place in there if place not in own]
        left = [f"Namespace {place}" for place in sorted(own)]
        left += sweep(self._cluster, action.stack, shared, self._settings.build_namespace)
        left += going(self._cluster, action.stack, [place for place in phases if phases[place] == "going"])
        return left + [
            f"Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for pod in self._observation.pods(action.stack)
        ]

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

    def _forget(self, name: str, stack: str | None) -> None:
        """Forget a stack of which nothing is left; look at the ReviewApps that wait for it, or its host, to be free."""
        self._failures.pop(name, None)
        waiting = set(self._observation.asking_for(stack) if stack else ())
        entry = self._journal.get(name)
        if entry:
            self._journal.remove(name)
            waiting |= set(self._observation.asking_for_host(entry.inputs.name))
        self._bindings.release(name, self._in_use(), namespaces_of(entry) if entry else ())
        for other in waiting - {name}:
            self._queue.add(other)

    def _count(self, operation: str, result: UpdateResult) -> UpdateResult:
        ENGINE_SECONDS.labels(operation).observe(result.seconds)
        ENGINE_RUNS.labels(operation).inc(result.engine_runs)
        return result

    def _note(self, view: View, inputs: StackInputs, phase: Phase, *, and_before: bool) -> Entry:
        """Write down what the stack is asked to declare, and where it may have objects now `and_before`."""
        before = view.entry.namespaces if view.entry and and_before else ()
        namespaces = {inputs.namespace, self._settings.build_namespace, *before}
        entry = Entry(view.name, phase, inputs, tuple(sorted(namespaces)), socket.gethostname())
        self._journal.write(entry)
        return entry

    def _in_use(self) -> set[str]:
        """Return the namespaces where stacks may have objects, and that of builds, whose rights are not bound here."""
        return {self._settings.build_namespace}.union(*(namespaces_of(entry) for entry in self._journal.all()))

    def _is_dead(self, owner: LockOwner) -> bool:
        """Whether a lock's owner was a watcher whose Pod is gone. A lock of anybody else is never judged."""
        if not any(entry.host == owner.host for entry in self._journal.all()) or owner.host == socket.gethostname():
            return False
        return self._cluster.get(PODS, self._settings.namespace, owner.host) is None

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


def _figures(result: UpdateResult) -> dict[str, Any]:
    return {"changes": dict(result.changes), "seconds": round(result.seconds, 2), "engine_runs": result.engine_runs}
