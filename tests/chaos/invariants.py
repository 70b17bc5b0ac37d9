"""What has to be so whenever nothing was broken for a while, whatever was before: `wrong` says what is not.

Looks at cluster, state backend, journal and processes, each for itself, and asks no watcher.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from provisioner.errors import ReviewAppError
from stacks import naming
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests.chaos.engines import processes
from tests.chaos.load import Load, Open
from tests.chaos.replica import Replica
from tests.chaos.state import Key, State
from tests.e2e.pull_request import SYSTEM
from watcher.builds import is_of
from watcher.cluster import DECLARED, DEPLOYMENTS, PODS, REVIEW_APPS, SECRETS, Cluster, Object, section
from watcher.conditions import find_condition
from watcher.drift import drift, key_of
from watcher.informers import Informer

_ENDED_REASONS = {"CrashLoopBackOff", "Error"}


class Invariants:
    """What has to be so.

    Args:
        cluster: where; asked without a proxy.
        load: what was asked for.
        state: the state backend.
        replicas: the watchers.
        folder: their data folder.
        places: the namespaces in which they make something.
    """

    def __init__(
        self,
        cluster: Cluster,
        load: Load,
        state: State,
        replicas: Sequence[Replica],
        folder: Path,
        places: Sequence[str],
    ) -> None:
        self._cluster, self._load, self._state = cluster, load, state
        self._replicas, self._folder, self._places = replicas, folder, places

    def wrong(self) -> list[str]:
        """Return what is not as it has to be."""
        return sorted(self._wrong())

    def _wrong(self) -> Iterator[str]:
        listed = self._cluster.list(REVIEW_APPS)[0]
        review_apps = {item["metadata"]["name"]: item for item in listed}
        journal = self._journal()
        objects = self._objects()
        wanted = dict(self._load.open)
        for one in wanted.values():
            yield from _app(one, review_apps.get(one.pull_request.name))
            yield from self._stack(one, journal.get(one.pull_request.name), objects.get(one.pull_request.stack, []))
        names = {one.pull_request.name for one in wanted.values()}
        yield from (f"ReviewApp {name} is still there" for name in review_apps.keys() - names)
        yield from (f"the journal still has {name}" for name in journal.keys() - names)
        for stack in objects.keys() - wanted.keys():
            yield from (f"left of {stack}: {' '.join(key_of(item))}" for item in objects[stack])
        yield from (f"left: state of {stack}" for stack in {*self._state.stacks()} - wanted.keys())
        yield from (f"left: work folder {name}" for name in {*self._state.work_folders()} - wanted.keys())
        yield from (f"locked: {stack}" for stack in self._state.locks())
        yield from self._processes()

    def _stack(self, one: Open, entry: Object | None, items: list[Object]) -> Iterator[str]:
        """See that cluster, checkpoint and journal have the same objects, and those that the ReviewApp asks for."""
        name, stack = one.pull_request.name, one.pull_request.stack
        if entry is None:
            yield f"{name}: nothing in the journal"
            return
        if entry["phase"] != "applied":
            yield f"{name}: {entry['phase']}"
            return
        inputs = StackInputs.model_validate(entry["inputs"])
        if inputs.build is None or inputs.build.commit != one.newest.commit:
            yield f"{name}: another commit than the newest is asked for"
        declared = {key_of(manifest) for manifest in manifests(inputs)}
        may_be_gone: set[Key] = set()
        if inputs.build and is_of(inputs, inputs.build):
            may_be_gone = {("Job", inputs.build.namespace, inputs.build.job_name)}
        there = {key_of(item) for item in items if item["kind"] != "Pod"}
        yield from _differences(f"{name}: the cluster", declared, there, may_be_gone)
        try:
            yield from _differences(f"{name}: the checkpoint", declared, self._state.objects(stack), set())
            yield from (f"{name}: pending operation: {operation}" for operation in self._state.pending(stack))
        except (ValueError, TypeError, LookupError) as error:
            yield f"{name}: the checkpoint can't be read: {type(error).__name__}"
        yield from (f"{name}: {one}" for one in drift(inputs, items) if one.key[0] != "Pod")

    def _processes(self) -> Iterator[str]:
        """See that no engine and no plugin runs, and that each guard has a watcher."""
        watchers = {replica.pid for replica in self._replicas}
        for process in processes(self._folder):
            if process.kind != "guard":
                yield f"{process.kind} {process.pid} runs: {' '.join(process.words)[:100]}"
            elif process.starter not in watchers:
                yield f"guard {process.pid} of a watcher that is gone runs"

    def _journal(self) -> dict[str, Object]:
        found: dict[str, Object] = {}
        for secret in self._cluster.list(SECRETS, SYSTEM, label_selector=f"{naming.GROUP}/journal")[0]:
            try:
                entry = json.loads(base64.b64decode(secret["data"]["entry"]))
                found[entry["reviewApp"]] = entry
            except (KeyError, TypeError, ValueError):
                found[secret["metadata"]["name"]] = {"phase": "unreadable"}
        return found

    def _objects(self) -> dict[str, list[Object]]:
        """Return what carries the label of a stack, by stack; each with its kind."""
        found: dict[str, list[Object]] = {}
        for resource in (*DECLARED.values(), PODS):
            for item in self._cluster.list(resource, label_selector=naming.STACK_LABEL)[0]:
                if item["metadata"]["namespace"] not in self._places:
                    # Another test's, by an engine without a watcher.
                    continue
                item["kind"] = resource.kind
                found.setdefault(item["metadata"]["labels"][naming.STACK_LABEL], []).append(item)
        return found


def _differences(where: str, declared: set[Key], there: set[Key], may_be_gone: set[Key]) -> Iterator[str]:
    yield from (f"{where} lacks {' '.join(key)}" for key in declared - there - may_be_gone)
    yield from (f"{where} has {' '.join(key)} too" for key in there - declared)


def _app(one: Open, review_app: Object | None) -> Iterator[str]:
    """See that a ReviewApp is Ready with its newest commit, or says why that commit can't be."""
    name, newest = one.pull_request.name, one.newest
    if review_app is None:
        yield f"{name} is not there"
        return
    status = section(review_app, "status")
    conditions = {kind: find_condition(review_app, kind) or {} for kind in ("Built", "Available", "Ready")}
    said = {kind: condition.get("reason") for kind, condition in conditions.items()}
    if status.get("buildCommit") != newest.commit:
        yield f"{name} is at another commit than its newest: {said}"
    elif newest.kind == "broken" and said["Built"] != "BuildFailed":
        yield f"{name} should say that its build has failed: {said}"
    elif newest.kind == "crashing" and said["Ready"] not in _ENDED_REASONS:
        yield f"{name} should say that its app ends: {said}"
    elif newest.kind in {"ready", "built"}:
        if conditions["Ready"].get("status") != "True":
            yield f"{name} should be ready: {said}: {conditions['Ready'].get('message', '')[:200]}"
        elif newest.commit not in (one.pull_request.page() or ""):
            yield f"{name} is ready, and its page is not that of its newest commit"


class Deployed:
    """Which commits Deployments have had, as they come: none may be older than one that was there before.

    Args:
        cluster: where.
        load: knows which version each commit is.
    """

    def __init__(self, cluster: Cluster, load: Load) -> None:
        self.wrong: list[str] = []
        self._load = load
        self._newest: dict[str, int] = {}
        self._lock = threading.Lock()
        self._informer = Informer(cluster, DEPLOYMENTS, self._changed, naming.STACK_LABEL)
        self._informer.start()

    def stop(self) -> None:
        self._informer.stop()

    def _changed(self, item: Any) -> None:
        metadata = item["metadata"]
        commit = section(metadata, "annotations").get(naming.COMMIT_ANNOTATION)
        one = self._load.open.get(section(metadata, "labels").get(naming.STACK_LABEL, ""))
        if one is None or not item["spec"].get("replicas"):
            return
        number = next((version.number for version in [*one.versions] if version.commit == commit), None)
        if number is None:
            return
        with self._lock:
            newest = self._newest.get(metadata["name"], number)
            if number < newest:
                self.wrong.append(f"{one.pull_request.name}: version {number} came after version {newest}")
            self._newest[metadata["name"]] = max(number, newest)


def settled(invariants: Invariants) -> list[str]:
    """Return what is wrong now; that nobody can be asked is wrong too."""
    try:
        return invariants.wrong()
    except ReviewAppError as error:
        return [f"cluster or state backend do not answer: {error}"]
