"""`python -m benchmarks`: the watcher against `kubectl apply` of the same objects, on the same cluster.

Three figures, each a median of several rounds:
from ReviewApp created to all its objects there, from Job success to scaled up, and the engine runs that a
status-only change causes. Rounds of both sides alternate, so that whatever else the machine does hits both.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from rich.table import Table

from benchmarks.builds import Builds
from benchmarks.installed import NAMESPACE, installed
from dev.console import Step, console, fail
from dev.installation import Installation
from dev.sample import Sample
from provisioner.desired import stack_inputs
from provisioner.review_app import parse
from provisioner.settings import Settings
from stacks.manifest import Manifest
from stacks.review_app import manifests
from watcher.cluster import DECLARED, DEPLOYMENTS, JOBS, REVIEW_APPS, Cluster
from watcher.conditions import condition, job_state

_ROUNDS = 7
_BUILD_ROUNDS = 5
_QUIET_SECONDS = 3.0
_DEADLINE_SECONDS = 120.0
_POLL_SECONDS = 0.005


class Benchmark:
    """One run on one cluster, with a watcher of its own."""

    def __init__(self, cluster: Cluster, installation: Installation, sample: Sample) -> None:
        self._cluster = cluster
        self._installation = installation
        self._sample = sample
        self._settings = Settings(app_domain="review.example.com", passphrase=SecretStr("only for the benchmark"))  # pyright: ignore[reportCallIssue]
        self._pull_request = 1_000

    def run(self) -> Table:
        """Measure everything; return the figures as a table."""
        watcher_seconds: list[float] = []
        kubectl_seconds: list[float] = []
        with Step(f"ReviewApp created to all objects there, against kubectl apply, {_ROUNDS} rounds") as step:
            for number in range(_ROUNDS + 1):
                step.progress(f"round {number}")
                pair = self._created(), self._applied()
                if number:  # The first round fills caches on both sides.
                    watcher_seconds.append(pair[0])
                    kubectl_seconds.append(pair[1])
        with Step(f"Job success to scaled up, {_BUILD_ROUNDS} real builds"):
            scaled_seconds = [self._scaled_up() for _ in range(_BUILD_ROUNDS)]
        with Step("a status-only change"):
            runs = self._status_only()
        return _table(watcher_seconds, kubectl_seconds, scaled_seconds, runs)

    def _next(self) -> tuple[str, dict[str, Any], list[Manifest]]:
        """Return a name, a spec and the declared objects of a pull request that was not there yet."""
        self._pull_request += 1
        commit = f"{self._pull_request:040x}"
        spec = self._sample.spec(commit, NAMESPACE, str(self._pull_request))
        inputs = stack_inputs(parse(spec), self._settings, previous=None, built=False, tls=None)
        return f"benchmark-{self._pull_request}", spec, manifests(inputs)

    def _created(self) -> float:
        name, spec, declared = self._next()
        began = time.perf_counter()
        self._cluster.create(REVIEW_APPS, None, _review_app(name, spec))
        _until(lambda: self._all_there(declared), f"all objects of {name}")
        seconds = time.perf_counter() - began
        self._delete(name)
        return seconds

    def _applied(self) -> float:
        _, _, declared = self._next()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "objects.json"
            file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": declared}))
            began = time.perf_counter()
            subprocess.run(["kubectl", "apply", "-f", file], check=True, capture_output=True, timeout=60)
            _until(lambda: self._all_there(declared), "all applied objects")
            seconds = time.perf_counter() - began
            subprocess.run(
                ["kubectl", "delete", "--wait=true", "-f", file], check=True, capture_output=True, timeout=60
            )
        return seconds

    def _scaled_up(self) -> float:
        self._pull_request += 1
        commit = self._sample.commit(f"benchmark {self._pull_request}")
        self._sample.serve()
        name = f"benchmark-{self._pull_request}"
        spec = self._sample.spec(commit, NAMESPACE, str(self._pull_request))
        inputs = stack_inputs(parse(spec), self._settings, previous=None, built=False, tls=None)
        self._cluster.create(REVIEW_APPS, None, _review_app(name, spec))
        if inputs.build is None:
            fail("no build is declared", "this is a bug of the benchmark")
        namespace, job = inputs.build.namespace, inputs.build.job_name
        _until(lambda: job_state(self._cluster.get(JOBS, namespace, job)) == "succeeded", f"Job {job} to succeed")
        began = time.perf_counter()
        _until(lambda: self._replicas(inputs.name) == 1, f"{name} to be scaled up")
        seconds = time.perf_counter() - began
        self._delete(name)
        return seconds

    def _status_only(self) -> float:
        """Return how many engine runs a change of the status alone causes."""
        name, spec, declared = self._next()
        self._cluster.create(REVIEW_APPS, None, _review_app(name, spec))
        _until(lambda: self._all_there(declared), f"all objects of {name}")
        _until(lambda: condition(self._cluster.get(REVIEW_APPS, None, name) or {}, "Built") is not None, "a status")
        time.sleep(_QUIET_SECONDS)
        before = self._engine_runs()
        self._cluster.patch(REVIEW_APPS, None, name, {"status": {"appStatus": "touched"}}, subresource="status")
        time.sleep(_QUIET_SECONDS)
        runs = self._engine_runs() - before
        self._delete(name)
        return runs

    def _engine_runs(self) -> float:
        text = httpx.get(f"{self._installation.url}/metrics", timeout=5).raise_for_status().text
        lines = [line for line in text.splitlines() if line.startswith("reviewapp_engine_runs_total")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def _all_there(self, declared: list[Manifest]) -> bool:
        return all(
            self._cluster.get(
                DECLARED[item["apiVersion"], item["kind"]], item["metadata"]["namespace"], item["metadata"]["name"]
            )
            for item in declared
        )

    def _replicas(self, name: str) -> int | None:
        deployment = self._cluster.get(DEPLOYMENTS, NAMESPACE, name)
        return deployment["spec"]["replicas"] if deployment else None

    def _delete(self, name: str) -> None:
        self._cluster.delete(REVIEW_APPS, None, name)
        _until(lambda: self._cluster.get(REVIEW_APPS, None, name) is None, f"{name} to be gone")


def _until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            fail(f"waited {_DEADLINE_SECONDS:g} s in vain for {what}", "see the watcher's log")
        time.sleep(_POLL_SECONDS)


def _review_app(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": REVIEW_APPS.api_version,
        "kind": REVIEW_APPS.kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def _table(watcher: list[float], kubectl: list[float], scaled: list[float], runs: float) -> Table:
    table = Table("figure", "median", "lowest", "highest", "against kubectl apply")
    ratio = statistics.median(watcher) / statistics.median(kubectl)
    for label, values, against in (
        ("kubectl apply of the same objects", kubectl, "1"),
        ("ReviewApp created to all objects there", watcher, f"{ratio:.2f}"),
        ("Job success to scaled up", scaled, ""),
    ):
        figures = (statistics.median(values), min(values), max(values))
        table.add_row(label, *(f"{figure:.2f} s" for figure in figures), against)
    table.add_row("engine runs of a status-only change", f"{runs:g}", "", "", "")
    return table


def main() -> None:
    """Measure on the cluster of KUBECONFIG."""
    with installed() as found:
        console.print(Benchmark(found.cluster, found.installation, found.sample).run())
        console.print(Builds(found.cluster, found.sample).run())


if __name__ == "__main__":
    main()
