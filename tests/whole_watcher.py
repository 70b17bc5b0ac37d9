"""The whole watcher in memory: its controller, workers, informers and journal, without cluster, registry and engine.

In the engine's place is one that writes down what it is told, and puts the objects that a stack declares into memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import structlog

from provisioner.rules import named_objects
from provisioner.settings import Settings
from provisioner.stack import OwnerIsDead, Stacks, UpdateResult
from stacks import naming
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests import samples
from tests.samples.memory import MemoryCluster
from watcher.cluster import CONFIG_MAPS, DECLARED, NAMESPACES, REVIEW_APPS, SECRETS, Object, Resource, section
from watcher.controller import Controller
from watcher.leadership import Term
from watcher.observation import Observation, asked_app, asked_namespace, asked_stack

_DEADLINE_SECONDS = 60.0
_POLL_SECONDS = 0.01
_CATALOGUE = Resource("catalog.kubedb.com/v1alpha1", "PostgresVersion", "postgresversions", namespaced=False)
_DONE = UpdateResult(changes={}, outputs={}, seconds=0.0, engine_runs=1)


class RecordingStacks(Stacks):
    """An engine that does at once what it is asked for."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self.updates: dict[str, StackInputs] = {}
        """What each stack was last told to declare."""
        self.destroyed: set[str] = set()

    def up(self, inputs: StackInputs, slot: int) -> UpdateResult:
        self.updates[inputs.stack] = inputs
        for manifest in manifests(inputs):
            resource = DECLARED[manifest["apiVersion"], manifest["kind"]]
            self._cluster.apply(resource, manifest["metadata"]["namespace"], manifest, inputs.stack)
        return _DONE

    def recover(self, last_inputs: StackInputs, slot: int, owner_is_dead: OwnerIsDead) -> UpdateResult:
        return self.up(last_inputs, slot)

    def destroy(self, stack: str, slot: int, owner_is_dead: OwnerIsDead) -> UpdateResult:
        self.destroyed.add(stack)
        for resource in DECLARED.values():
            for item in self._cluster.list(resource, label_selector=f"{naming.STACK_LABEL}={stack}")[0]:
                self._cluster.delete(resource, item["metadata"]["namespace"], item["metadata"]["name"])
        return _DONE

    def forget(self, stack: str, slot: int, owner_is_dead: OwnerIsDead) -> UpdateResult:
        return _DONE

    def tag(self, stack: str, tags: Any, slot: int) -> None:
        pass

    def stop(self) -> None:
        pass


class NoRegistry:
    """A registry that has nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def digest(self, image: str) -> None:
        """Return nothing."""


class WholeWatcher:
    """A running watcher, and what it works with."""

    def __init__(self, settings: Settings, open_namespaces: Iterable[str]) -> None:
        self.settings = settings
        self.cluster = MemoryCluster({"kubedb.com/v1": ("postgreses",), "postgresql.cnpg.io/v1": ("clusters",)})
        self.stacks = RecordingStacks(self.cluster)
        self.cluster.create(_CATALOGUE, None, {"metadata": {"name": "16.4"}})
        for name in open_namespaces:
            annotations = {naming.ALLOW_ANNOTATION: "*/*"}
            self.cluster.create(NAMESPACES, None, {"metadata": {"name": name, "annotations": annotations}})
        home = samples.spec().config.namespace
        for named in named_objects(samples.spec()):
            resource = SECRETS if named.kind == "Secret" else CONFIG_MAPS
            self.cluster.create(resource, home, {"metadata": {"name": named.name}, "data": {}})
        self._there_before = {*self.cluster.objects}
        self.observation = Observation(
            self.cluster,
            settings.tls_secret,
            settings,
            self._changed,
            lambda stack: self.controller.part_changed(stack),
        )
        term = Term(time.monotonic, float("inf"))
        self.controller = Controller(self.cluster, settings, self.stacks, self.observation, term)
        self.tracebacks: list[str] = []

    def _changed(self, name: str) -> None:
        self.controller.look_at(name)

    def live(self, specs: dict[str, Any]) -> tuple[int, int]:
        """Open a ReviewApp for each spec, look at all, close all; return how many were accepted and refused.

        Raises:
            AssertionError: something is out of bounds.
        """
        cluster, stacks = self.cluster, self.stacks
        stacks.updates.clear()
        stacks.destroyed.clear()
        cluster.written.clear()
        for name, spec in specs.items():
            cluster.create(REVIEW_APPS, None, {"metadata": {"name": name}, "spec": spec})
        self._until(lambda: all(self._is_settled(name) for name in specs), "each ReviewApp has been looked at")
        verdicts = {name: section(self._review_app(name), "status")["conditions"][0] for name in specs}
        accepted = {name for name, verdict in verdicts.items() if verdict["status"] == "True"}
        self._check(specs, accepted)
        for name in specs:
            cluster.delete(REVIEW_APPS, None, name)
        self._until(lambda: not any(cluster.get(REVIEW_APPS, None, name) for name in specs), "each ReviewApp is gone")
        self._until(lambda: not self._left(), "nothing is left of them")
        cluster.clear_events()
        return len(accepted), len(specs) - len(accepted)

    def _check(self, specs: dict[str, Any], accepted: set[str]) -> None:
        """See that the engine ran for nobody who was refused, and that nothing is where nobody was let in."""
        asked = {asked_stack({"spec": specs[name]}) for name in accepted}
        updates = self.stacks.updates
        assert updates.keys() <= asked, updates.keys() - asked
        ours = {*self.settings.own_namespaces}
        apps = {inputs.namespace for inputs in updates.values()}
        if self.settings.namespace_mode == "per-app":
            # They are made, and the rights taken, before it is seen that something else is not there.
            apps |= {naming.own_namespace(app) for name in accepted if (app := asked_app({"spec": specs[name]}))}
            apps |= {home for name in accepted if (home := asked_namespace({"spec": specs[name]}))}
        assert not [name for name in apps if name in ours or name.startswith("kube-")]
        places = apps | {self.settings.build_namespace}
        for resource, namespace in self.cluster.written:
            if (resource, namespace) in {("secrets", self.settings.namespace), ("events", "default")}:
                continue
            assert namespace in places or not namespace, (resource, namespace)
            assert namespace or resource in {REVIEW_APPS.plural, NAMESPACES.plural}, resource
        assert self.tracebacks == []
        assert self.controller.problems(time.monotonic()) == []

    def _is_settled(self, name: str) -> bool:
        found = self._review_app(name)
        conditions = section(found, "status").get("conditions")
        if not conditions:
            return False
        stack = asked_stack(found)
        ready = conditions[-1]
        # Of an accepted one, the engine has run, or something that the config names is not there.
        return (
            conditions[0]["status"] == "False" or stack in self.stacks.updates or ready["reason"].endswith("NotFound")
        )

    def _left(self) -> list[tuple[str, str, str]]:
        objects = dict(self.cluster.objects)
        return [key for key in objects if key not in self._there_before and key[0] != "events"]

    def _review_app(self, name: str) -> Object:
        return self.cluster.get(REVIEW_APPS, None, name) or {}

    def _until(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not done():
            assert self.tracebacks == [], self.tracebacks
            assert time.monotonic() < deadline, f"not in time: {what}"
            time.sleep(_POLL_SECONDS)


@contextmanager
def whole_watcher(settings: Settings, open_namespaces: Iterable[str]) -> Generator[WholeWatcher]:
    """Run a watcher in which each namespace of these takes every repository."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with patch("watcher.controller.Registry", NoRegistry):
        watcher = WholeWatcher(settings, open_namespaces)
    before = threading.excepthook

    def note(found: Any) -> None:
        watcher.tracebacks.append(repr(found.exc_value))
        before(found)

    threading.excepthook = note
    watcher.observation.start()
    watcher.controller.start()
    try:
        yield watcher
    finally:
        watcher.controller.stop()
        watcher.observation.stop()
        threading.excepthook = before
        structlog.reset_defaults()
