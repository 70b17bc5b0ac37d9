"""`python -m benchmarks.builds`: from commit to Ready, for a build from nothing, a changed line, and what is there.

Each round is a repository of its own, so that nothing of another is in the registry. The build sleeps for three seconds
and writes 20 MB in its first step, which is what the layers of an earlier build save.
"""

from __future__ import annotations

import os
import statistics
import time
import uuid
from typing import Any

from rich.table import Table

from benchmarks.installed import NAMESPACE, installed
from dev.console import Step, console, fail
from dev.sample import Sample
from dev.target import BASE_IMAGE
from watcher.cluster import REVIEW_APPS, Cluster, Object, section
from watcher.conditions import condition

_ROUNDS = 5
_DEADLINE_SECONDS = 120.0
_POLL_SECONDS = 0.02
_DOCKERFILE = """FROM {base}
RUN sleep 3 && dd if=/dev/urandom of=/ballast bs=1M count=20
COPY start.sh /start.sh
COPY www /www
CMD ["sh", "/start.sh"]
"""


class Builds:
    """Rounds on one cluster, whose watcher runs."""

    def __init__(self, cluster: Cluster, sample: Sample) -> None:
        self._cluster = cluster
        self._sample = sample

    def run(self) -> Table:
        """Measure every kind of build; return the figures as a table."""
        files = {"Dockerfile": _DOCKERFILE.replace("{base}", os.environ[BASE_IMAGE])}
        pairs = [tuple(self._sample.commit(f"{text} {uuid.uuid4()}", files) for text in "ab") for _ in range(_ROUNDS)]
        self._sample.serve()
        found: list[tuple[float, float, float]] = []
        with Step(f"from commit to Ready: from nothing, one line changed, already there; {_ROUNDS} rounds") as step:
            for number, (first, second) in enumerate(pairs):
                step.progress(f"round {number + 1}")
                found.append(self._round(f"bench-{uuid.uuid4().hex[:6]}", first, second))
        table = Table("from commit to Ready", "median", "lowest", "highest", "against a build from nothing")
        cold, cached, existing = (list(values) for values in zip(*found, strict=True))
        for label, values in (("from nothing", cold), ("one line changed", cached), ("already there", existing)):
            ratio = statistics.median(values) / statistics.median(cold)
            figures = (statistics.median(values), min(values), max(values))
            table.add_row(label, *(f"{figure:.2f} s" for figure in figures), f"{ratio:.2f}")
        return table

    def _round(self, repository: str, first: str, second: str) -> tuple[float, float, float]:
        spec = self._sample.spec(first, NAMESPACE, "1") | {"repo": repository}
        document: dict[str, Any] = {
            "apiVersion": REVIEW_APPS.api_version,
            "kind": REVIEW_APPS.kind,
            "metadata": {"name": repository},
            "spec": spec,
        }
        began = time.perf_counter()
        self._cluster.create(REVIEW_APPS, None, document)
        cold = self._until_ready(repository, first, began)
        seconds: list[float] = []
        for commit in (second, first):
            began = time.perf_counter()
            change = {"spec": {"commitHash": commit, "tarballUrl": self._sample.url(commit)}}
            self._cluster.patch(REVIEW_APPS, None, repository, change)
            seconds.append(self._until_ready(repository, commit, began))
        self._cluster.delete(REVIEW_APPS, None, repository)
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while self._cluster.get(REVIEW_APPS, None, repository):
            if time.monotonic() > deadline:
                fail(f"{repository} does not go", "see the watcher's log")
            time.sleep(_POLL_SECONDS)
        cached, existing = seconds
        return cold, cached, existing

    def _until_ready(self, name: str, commit: str, began: float) -> float:
        while not _is_ready(self._cluster.get(REVIEW_APPS, None, name) or {}, commit):
            if time.perf_counter() - began > _DEADLINE_SECONDS:
                fail(f"{name} was not ready with {commit} within {_DEADLINE_SECONDS:g} s", "see the watcher's log")
            time.sleep(_POLL_SECONDS)
        return time.perf_counter() - began


def _is_ready(review_app: Object, commit: str) -> bool:
    return section(review_app, "status").get("buildCommit") == commit and condition(review_app, "Ready") == "True"


def main() -> None:
    """Measure on the cluster of KUBECONFIG."""
    with installed() as found:
        console.print(Builds(found.cluster, found.sample).run())


if __name__ == "__main__":
    main()
