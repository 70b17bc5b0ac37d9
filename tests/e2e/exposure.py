"""Where a secret of a running installation could come to light: what processes are called with, say, show and keep."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.e2e.pull_request import PullRequest
from tests.planted import planted_in
from watcher.cluster import DEPLOYMENTS, EVENTS, JOBS, PODS, STATEFUL_SETS, Cluster, Object

FORMATS = ("text", "json", "markdown")
_PAUSE_SECONDS = 0.1


class Exposure:
    """Everything that could be read, by where it stands; `texts` grows until it is looked through."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}
        self._ended = threading.Event()

    @contextmanager
    def of_processes(self) -> Generator[None]:
        """Gather, as long as the block lasts, what all processes of this machine are called with, as `ps` shows it.

        The node's containers are among them, where the cluster is the local one.
        """
        thread = threading.Thread(target=self._gather_processes)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _gather_processes(self) -> None:
        seen: set[bytes] = set()
        while not self._ended.wait(_PAUSE_SECONDS):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    seen.add((process / "cmdline").read_bytes())
            self.texts["ps"] = b"\n".join(seen)

    def add_objects(self, cluster: Cluster, namespaces: Iterable[str]) -> None:
        """Add what is there of Pods, of what makes them, and of Events."""
        for namespace in namespaces:
            for resource in (PODS, JOBS, DEPLOYMENTS, STATEFUL_SETS, EVENTS):
                for item in cluster.list(resource, namespace)[0]:
                    self._add(f"{resource.kind} {namespace}/{item['metadata']['name']}", item)

    def add_status(self, pull_request: PullRequest) -> None:
        """Add the status of a ReviewApp; its spec is what somebody wrote."""
        self._add(f"status of {pull_request.name}", pull_request.status())

    def add_previews(self, environment: dict[str, str], review_app: Object) -> None:
        """Add what `reviewapp preview` prints of a ReviewApp, in each of its formats.

        Args:
            environment: with the settings of the watcher.
            review_app: what is previewed.
        """

        def run(output: str) -> tuple[str, bytes]:
            command = [sys.executable, "-m", "watcher", "preview", "-f", "-", "--format", output]
            given = json.dumps(review_app).encode()
            done = subprocess.run(command, env=environment, input=given, capture_output=True, timeout=120, check=False)
            assert done.returncode == 0, done.stderr
            return f"preview as {output}", done.stdout + done.stderr

        with ThreadPoolExecutor(len(FORMATS)) as pool:
            self.texts |= dict(pool.map(run, FORMATS))

    def add_files(self, folder: Path) -> None:
        """Add every file below a folder whose programs may still run: the watcher's log, state, work folders."""
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink():
                    self.texts[str(path)] = path.read_bytes()

    def of(self, secrets: dict[str, str]) -> list[tuple[str, str]]:
        """Return place and name of every secret that stands in anything gathered."""
        return [(place, name) for place, text in self.texts.items() for name in planted_in(text, secrets)]

    def _add(self, place: str, item: Any) -> None:
        # An object is looked at more than once: all that it ever said counts.
        self.texts[place] = self.texts.get(place, b"") + json.dumps(item, ensure_ascii=False).encode()
