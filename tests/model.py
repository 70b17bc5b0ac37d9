"""A model of the watcher's core: random histories of what people, builds, engines and crashes do, and what must hold.

`python -m tests.model 10000` runs so many. Real are the decision, the queue, the journal, the status, the deletion and
all that the controller does around them; the cluster is in memory, the engine and the clock are the model's.

Held to: no commit is deployed over a newer one; no stack is worked on for two ReviewApps; a finalizer comes off only
when nothing is left; and when all calms down, each ReviewApp is ready or says why not, and nothing is left of others.
"""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from provisioner.errors import EngineFailed, EngineKilled, EngineTimeout, ReviewAppError
from provisioner.stack import OwnerIsDead, Stacks, UpdateResult
from stacks import naming
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests import samples
from tests.samples.memory import MemoryCluster
from tests.unit.watcher.leases import Clock
from tests.whole_watcher import NoRegistry
from watcher.cluster import DECLARED, DEPLOYMENTS, JOBS, NAMESPACES, REVIEW_APPS, SECRETS, Object, Resource, section
from watcher.controller import Controller
from watcher.leadership import Term
from watcher.observation import Observation

_NAMES = ("one", "two", "double")
# Two ReviewApps ask for one pull request.
_PULL_REQUESTS = {"one": "1", "two": "2", "double": "1"}
_NAMESPACE = "review-shop"
# Longer than any retry is put off.
_ROUND_SECONDS = 400.0
_CALM_ROUNDS = 8
_DONE = UpdateResult(changes={}, outputs={}, seconds=0.0, engine_runs=1)
_FAILURES: dict[str, Callable[[], ReviewAppError]] = {
    "fails": lambda: EngineFailed("up", 255, "it is the model's turn to fail"),
    "is killed": lambda: EngineKilled("up", 9),
    "takes too long": lambda: EngineTimeout("up", 60),
}


class Crash(BaseException):
    """The watcher is killed, right here."""


class Engine(Stacks):
    """An engine whose state knows what it has made, but for the last object before it was cut off."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self.state: dict[str, dict[tuple[str, str, str], Resource]] = {}
        self.deployed: dict[str, int] = {}
        """The newest commit that each stack has run, as a number."""
        self.runs_for: Callable[[], str] = lambda: ""
        self.owners: dict[str, str] = {}
        self.next: list[tuple[str, int]] = []
        """What comes of the next runs, and after how many objects."""

    def up(self, inputs: StackInputs, slot: int) -> UpdateResult:
        owner = self.owners.setdefault(inputs.stack, self.runs_for())
        assert owner == self.runs_for(), f"{inputs.stack} is {owner}'s, and is updated for {self.runs_for()}"
        if inputs.workload.replicas:
            number = int(inputs.workload.commit, 16)
            assert number >= self.deployed.get(inputs.stack, 0), "an older commit is deployed over a newer one"
            self.deployed[inputs.stack] = number
        known = self.state.setdefault(inputs.stack, {})
        wanted = {self._key(manifest): manifest for manifest in manifests(inputs)}
        outcome, after = self.next.pop(0) if self.next else ("", 0)
        for number, (key, manifest) in enumerate(wanted.items()):
            resource = DECLARED[manifest["apiVersion"], manifest["kind"]]
            self._cluster.apply(resource, key[1], manifest, inputs.stack)
            if outcome and number >= after:
                self._end(outcome)
            known[key] = resource
        for key in known.keys() - wanted.keys():
            self._cluster.delete(known.pop(key), key[1], key[2])
        return _DONE

    def recover(self, last_inputs: StackInputs, slot: int, owner_is_dead: OwnerIsDead) -> UpdateResult:
        return self.up(last_inputs, slot)

    def destroy(self, stack: str, slot: int, owner_is_dead: OwnerIsDead) -> UpdateResult:
        assert self.owners.get(stack, self.runs_for()) == self.runs_for()
        known = self.state.get(stack, {})
        outcome, after = self.next.pop(0) if self.next else ("", 0)
        for number, key in enumerate(list(known)):
            self._cluster.delete(known.pop(key), key[1], key[2])
            if outcome and number >= after:
                self._end(outcome)
        return self.forget(stack, slot, owner_is_dead)

    def forget(self, stack: str, slot: int, owner_is_dead: OwnerIsDead) -> UpdateResult:
        for mine in (self.state, self.owners, self.deployed):
            mine.pop(stack, None)
        return _DONE

    def tag(self, stack: str, tags: Any, slot: int) -> None:
        pass

    def stop(self) -> None:
        pass

    def _end(self, outcome: str) -> None:
        if outcome == "crash":
            raise Crash
        raise _FAILURES[outcome]()

    def _key(self, manifest: Any) -> tuple[str, str, str]:
        return manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]


class Histories(RuleBasedStateMachine):
    """What can happen, one thing after the other."""

    @initialize()
    def begin(self) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self.clock = Clock()
        self.clock.now = 1e9
        self.cluster = MemoryCluster()
        self.engine = Engine(self.cluster)
        self.settings = samples.settings(drift="ignore")
        for name in (_NAMESPACE, self.settings.build_namespace):
            annotations = {naming.ALLOW_ANNOTATION: "*/*"}
            self.cluster.create(NAMESPACES, None, {"metadata": {"name": name, "annotations": annotations}})
        self.commits = itertools.count(1)
        self.kept: set[str] = set()
        self.start()

    @rule(name=st.sampled_from(_NAMES))
    def open_or_push(self, name: str) -> None:
        commit = f"{next(self.commits):040x}"
        found = self.cluster.get(REVIEW_APPS, None, name)
        if found:
            self.cluster.patch(REVIEW_APPS, None, name, {"spec": {"commitHash": commit}})
            return
        config = {"namespace": _NAMESPACE, "applicationPort": 8080}
        spec = {
            "repoOwner": "acme",
            "repo": "shop",
            "branch": "main",
            "pr": _PULL_REQUESTS[name],
            "commitHash": commit,
            "tarballUrl": "https://example.com/a.tar.gz",
            "config": config,
        }
        self.cluster.create(REVIEW_APPS, None, {"metadata": {"name": name}, "spec": spec})

    @rule(name=st.sampled_from(_NAMES))
    def close(self, name: str) -> None:
        self.cluster.delete(REVIEW_APPS, None, name)

    @rule(name=st.sampled_from(_NAMES), paused=st.booleans())
    def pause(self, name: str, paused: bool) -> None:
        annotations = {naming.PAUSED_ANNOTATION: "true" if paused else None}
        if self.cluster.get(REVIEW_APPS, None, name):
            self.cluster.patch(REVIEW_APPS, None, name, {"metadata": {"annotations": annotations}})

    @rule(what=st.sampled_from(["Complete", "Failed"]))
    def a_build_ends(self, what: str) -> None:
        for job in self.cluster.list(JOBS)[0]:
            if not section(job, "status").get("conditions"):
                status = {"conditions": [{"type": what, "status": "True"}]}
                self.cluster.patch(JOBS, job["metadata"]["namespace"], job["metadata"]["name"], {"status": status})
                return

    @rule(
        outcomes=st.lists(st.tuples(st.sampled_from([*_FAILURES, "crash"]), st.integers(0, 8)), min_size=1, max_size=3)
    )
    def the_next_engines(self, outcomes: list[tuple[str, int]]) -> None:
        self.engine.next += outcomes

    @rule(name=st.sampled_from(_NAMES), outcome=st.sampled_from([*_FAILURES, "crash"]), after=st.integers(0, 3))
    def open_cut_off_and_close(self, name: str, outcome: str, after: int) -> None:
        self.open_or_push(name)
        self.engine.next = [(outcome, after), ("fails", 0)]
        self.news_comes_in()
        self.a_worker_works(2, informed=True)
        self.close(name)
        self.a_worker_works(2, informed=True)

    @rule()
    def restart(self) -> None:
        self.start()

    @rule(seconds=st.sampled_from([1, 30, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def news_comes_in(self) -> None:
        for informer in self.observation.informers:
            informer._list()  # pyright: ignore[reportPrivateUsage]

    @rule(times=st.integers(1, 6), informed=st.booleans())
    def a_worker_works(self, times: int, informed: bool) -> None:
        if informed:
            self.news_comes_in()
        for _ in range(times):
            if not self.work():
                return

    @invariant()
    def what_is_gone_has_left_nothing(self) -> None:
        if not hasattr(self, "cluster"):
            return
        there = {item["metadata"]["name"] for item in self.cluster.list(REVIEW_APPS)[0]}
        asked = {naming.stack_name("acme", "shop", _PULL_REQUESTS[name]) for name in there}
        for stack in self.labelled() - asked:
            raise AssertionError(f"nobody asks for {stack}, and something of it is left")

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        self.engine.next.clear()
        self.calm_down()
        for item in self.cluster.list(REVIEW_APPS)[0]:
            ready = next(c for c in section(item, "status")["conditions"] if c["type"] == "Ready")
            assert item["metadata"].get("deletionTimestamp") is None, "a delete has not ended"
            assert ready["status"] == "True" or (ready["reason"] and ready["message"]), ready
            # What else there is to say of it: somebody paused it, a build failed, or another one has its pull request.
            assert ready["reason"] in {"Ready", "Paused", "BuildFailed", "InvalidSpec"}, ready
        for name in _NAMES:
            self.cluster.delete(REVIEW_APPS, None, name)
        self.calm_down()
        assert self.cluster.list(REVIEW_APPS)[0] == []
        assert self.labelled() == set()
        assert self.engine.state == {}
        assert self.cluster.list(SECRETS, self.settings.namespace)[0] == [], "the journal is not empty"

    def start(self) -> None:
        """Start a watcher anew, as after a crash: what it had in memory is gone."""
        self.observation = Observation(self.cluster, None, self.settings, self._changed, self._part_changed)
        with patch("watcher.controller.Registry", NoRegistry):
            term = Term(self.clock, float("inf"))
            self.controller = Controller(self.cluster, self.settings, self.engine, self.observation, term)
        self.queue = self.controller._queue  # pyright: ignore[reportPrivateUsage]
        self.queue._clock = self.clock  # pyright: ignore[reportPrivateUsage]
        self.news_comes_in()
        self.controller._workers = []  # pyright: ignore[reportPrivateUsage]
        self.controller.start()

    def work(self) -> bool:
        """Take the next ReviewApp off the queue and do what is to be done; return whether there was one."""
        with self.queue._changed:  # pyright: ignore[reportPrivateUsage]
            self.queue._take_due()  # pyright: ignore[reportPrivateUsage]
        if not len(self.queue):
            return False
        name = self.queue.get() or ""
        self.engine.runs_for = lambda: name
        time = SimpleNamespace(time=self.clock, monotonic=self.clock)
        try:
            with patch("watcher.controller.time", time), patch("watcher.updates.time", time):
                self.controller._reconcile(name, 0)  # pyright: ignore[reportPrivateUsage]
        except Crash:
            self.start()
            return True
        except ReviewAppError:
            self.queue.retry(name)
        self.queue.done(name)
        return True

    def calm_down(self) -> None:
        """Let builds end well, Deployments get ready, and the watcher work until it has nothing to do."""
        for _ in range(_CALM_ROUNDS):
            self.a_build_ends("Complete")
            self._deployments_get_ready()
            self.news_comes_in()
            while self.work():
                pass
            self.clock.now += _ROUND_SECONDS

    def labelled(self) -> set[str]:
        """Return the stacks of which something is there."""
        found = [item for resource in DECLARED.values() for item in self.cluster.list(resource)[0]]
        return {stack for item in found if (stack := section(item, "metadata", "labels").get(naming.STACK_LABEL))}

    def _deployments_get_ready(self) -> None:
        for item in self.cluster.list(DEPLOYMENTS)[0]:
            replicas = item["spec"]["replicas"]
            counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), replicas)
            status: Object = {"observedGeneration": item["metadata"]["generation"], **counts}
            self.cluster.patch(DEPLOYMENTS, item["metadata"]["namespace"], item["metadata"]["name"], {"status": status})

    def _changed(self, name: str) -> None:
        if hasattr(self, "controller"):
            self.controller.look_at(name)

    def _part_changed(self, stack: str) -> None:
        if hasattr(self, "controller"):
            self.controller.part_changed(stack)


def run(histories: int, steps: int = 40) -> None:
    """Run so many random histories.

    Raises:
        AssertionError: one of them broke what must hold; the shortest is printed.
    """
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    chosen = settings(max_examples=histories, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(Histories, settings=chosen)


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
    sys.stdout.write("no history broke what must hold\n")
