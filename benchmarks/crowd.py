"""`python -m benchmarks.crowd`: many review apps at once, against `kubectl apply` of the same objects in one file.

`python -m dev benchmark crowd --apps 1000` gives it a cluster and images. Builds wait for their turn,
so that what is measured is the watcher and its engines: how long, how many processes, how much memory, and how long
somebody waits who comes when half of them are done.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.table import Table

from benchmarks.installed import NAMESPACE, installed
from dev.console import Step, console, fail
from dev.sample import Sample
from provisioner.desired import stack_inputs
from provisioner.review_app import parse
from provisioner.settings import Settings
from stacks.review_app import manifests
from watcher.cluster import REVIEW_APPS, SERVICES, Cluster

_FIRST = 20_000
_DEADLINE_SECONDS = 7_200.0
_POLL_SECONDS = 1.0
_MEBIBYTE = 1024


class Processes:
    """The watcher and what it has started, looked at again and again until `stop`."""

    def __init__(self, watcher: int) -> None:
        self.most_engines = 0
        self.most_mebibytes = 0
        """Of all together; what they share is counted once, by its proportional set size."""
        self._watcher = watcher
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Look no more; return the most that the watcher alone has had, in MiB."""
        self._stopped.set()
        self._thread.join()
        for line in Path(f"/proc/{self._watcher}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) // _MEBIBYTE
        return 0

    def _run(self) -> None:
        while not self._stopped.wait(_POLL_SECONDS / 2):
            parents: dict[int, int] = {}
            names: dict[int, str] = {}
            for entry in Path("/proc").iterdir():
                try:
                    name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                    parents[int(entry.name)], names[int(entry.name)] = int(rest.split()[1]), name
                except (OSError, ValueError):
                    continue
            family = {self._watcher}
            while more := {pid for pid, parent in parents.items() if parent in family} - family:
                family |= more
            self.most_engines = max(self.most_engines, sum(names.get(pid) == "pulumi" for pid in family))
            self.most_mebibytes = max(self.most_mebibytes, sum(map(_kibibytes, family)) // _MEBIBYTE)


class Crowd:
    """So many review apps on one cluster, with a watcher of its own."""

    def __init__(self, cluster: Cluster, sample: Sample, apps: int) -> None:
        self._cluster = cluster
        self._sample = sample
        self._apps = apps
        self._settings = Settings(app_domain="review.example.com", passphrase=SecretStr("only for the benchmark"))  # pyright: ignore[reportCallIssue]

    def run(self, watcher: int) -> Table:
        """Measure; return the figures as a table. `watcher` is its process id."""
        numbers = range(_FIRST, _FIRST + self._apps)
        processes = Processes(watcher)
        with Step(f"{self._apps} ReviewApps at once") as step:
            began = time.monotonic()
            for number in numbers:
                self._open(number)
            opened = time.monotonic() - began
            self._until_services(self._apps // 2, step)
            late = time.monotonic()
            self._open(_FIRST - 1)
            self._until(lambda: self._has_service(f"shop-{_FIRST - 1}"), step, lambda: "the one that came late")
            waited = time.monotonic() - late
            self._until_services(self._apps + 1, step)
            seconds = time.monotonic() - began
        with Step("all of them closed") as step:
            began = time.monotonic()
            for number in (_FIRST - 1, *numbers):
                self._cluster.delete(REVIEW_APPS, None, f"crowd-{number}")
            self._until(lambda: not self._left(), step, lambda: f"{self._left()} left")
            closed = time.monotonic() - began
        alone = processes.stop()
        with Step("kubectl apply of the same objects") as step:
            applied = self._applied(list(numbers))
        table = Table(f"{self._apps} review apps", "")
        for label, figure in (
            ("ReviewApps created", f"{opened:.0f} s"),
            ("all objects of all there", f"{seconds:.0f} s, {seconds / self._apps:.2f} s each"),
            ("kubectl apply of the same", f"{applied:.0f} s (ours takes {seconds / applied:.2f} times as long)"),
            ("who came at half of them waited", f"{waited:.0f} s"),
            ("all of them gone again", f"{closed:.0f} s"),
            ("most engines at once", str(processes.most_engines)),
            ("most memory of the watcher", f"{alone} MiB"),
            ("with engines and plugins", f"{processes.most_mebibytes} MiB"),
        ):
            table.add_row(label, figure)
        return table

    def _spec(self, number: int) -> dict[str, Any]:
        return self._sample.spec(f"{number:040x}", NAMESPACE, str(number))

    def _open(self, number: int) -> None:
        body = {"apiVersion": REVIEW_APPS.api_version, "kind": REVIEW_APPS.kind}
        named = {"metadata": {"name": f"crowd-{number}"}, "spec": self._spec(number)}
        self._cluster.create(REVIEW_APPS, None, body | named)

    def _applied(self, numbers: list[int]) -> float:
        declared: list[Any] = []
        for number in numbers:
            inputs = stack_inputs(parse(self._spec(number)), self._settings, previous=None, built=False, tls=None)
            # Of all but one, the build waits for its turn.
            declared += [manifest for manifest in manifests(inputs) if manifest["kind"] != "Job"]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": declared}))
            file.flush()
            began = time.monotonic()
            _kubectl("apply", "-f", file.name)
            seconds = time.monotonic() - began
            _kubectl("delete", "--wait=false", "-f", file.name)
        return seconds

    def _until_services(self, number: int, step: Step) -> None:
        self._until(lambda: self._services() >= number, step, lambda: f"{self._services()} there")

    def _services(self) -> int:
        return len(self._cluster.list(SERVICES, NAMESPACE)[0])

    def _has_service(self, name: str) -> bool:
        return self._cluster.get(SERVICES, NAMESPACE, name) is not None

    def _left(self) -> int:
        return len(self._cluster.list(REVIEW_APPS)[0])

    def _until(self, true: Callable[[], bool], step: Step, so_far: Callable[[], str]) -> None:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not true():
            if time.monotonic() > deadline:
                fail(f"not within {_DEADLINE_SECONDS:g} s: {so_far()}", "see the watcher's log")
            step.progress(so_far())
            time.sleep(_POLL_SECONDS)


def _kibibytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _kubectl(*arguments: str) -> None:
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=3600, check=False)
    if done.returncode:
        fail(f"kubectl {arguments[0]}: {done.stderr[-500:]}", "see whether the cluster is up")


def main(apps: Annotated[int, typer.Option(min=2, help="How many review apps.")] = 100) -> None:
    """Measure how many review apps fare at once; to be run by `python -m dev benchmark crowd`."""
    with installed(maximum_builds="1") as found:
        console.print(Crowd(found.cluster, found.sample, apps).run(found.watcher.pid))


if __name__ == "__main__":
    typer.run(main)
