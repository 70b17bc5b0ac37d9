"""A watcher as a process of its own, which tests can stop, kill and start again, and what it says and leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from dev.installation import Installation
from tests.e2e.waiting import until

_STOP_SECONDS = 30.0


class RunningWatcher:
    """The one watcher of the tests. Its settings are the same at each start, save what `start` is given."""

    def __init__(self, installation: Installation, settings: dict[str, str]) -> None:
        self._installation = installation
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = installation.folder
        self.log = installation.log
        self.temporary_folder = self.folder / "temporary"
        self.temporary_folder.mkdir(exist_ok=True)
        self.host = ""
        """What it takes its machine's name to be, if not that which it has."""
        self.url = ""
        """Address of its health and metrics."""
        self.server = ""
        """Address of the API server that it is given at its next start, in place of the cluster's own."""

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that shares its settings."""
        return self._installation.environment(**self.settings)

    def start(self, **settings: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(self.temporary_folder))
            self._process = self._installation.start_watcher(self.server, self.host, **(self.settings | settings))
        self.url = self._installation.url

    def stop(self) -> int:
        """End it with SIGTERM, and return its exit code."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """End it with SIGKILL: it can't do anything any more, and neither can it tell its engines."""
        assert self._process
        self._process.kill()
        self._process.wait(_STOP_SECONDS)

    def pause(self) -> None:
        """Stop it by SIGSTOP, as a machine that stalls does; its engines go on."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    @property
    def leads(self) -> bool:
        """Whether it says that it is the one that acts."""
        with suppress(httpx.HTTPError):
            return "reviewapp_is_leader 1.0" in httpx.get(f"{self.url}/metrics", timeout=2).text
        return False

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def said(self, event: str, review_app: str) -> list[dict[str, Any]]:
        """Return the log's lines of an event about a ReviewApp."""
        found: list[dict[str, Any]] = []
        for line in self.log.read_text().splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if (entry["event"], entry.get("review_app")) == (event, review_app):
                    found.append(entry)
        return found

    def engine_runs(self, review_app: str) -> list[int]:
        """Return how often the engine ran for each update of a ReviewApp's stack so far."""
        return [entry["engine_runs"] for entry in self.said("updated", review_app)]

    def until_updated(self, review_app: str) -> None:
        """Wait until an update of a ReviewApp's stack has ended well."""
        until(lambda: self.engine_runs(review_app), f"the stack of {review_app} is up to date")

    def engines(self) -> list[int]:
        """Return the process ids of its engines and their plugins, whether or not their watcher is still there."""
        processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [int(process.name) for process in processes if self._is_engine(process)]

    def _is_engine(self, process: Path) -> bool:
        with suppress(OSError):
            program = Path(os.fsdecode((process / "cmdline").read_bytes().split(b"\0", 1)[0]))
            return self.folder / "work" in (process / "cwd").readlink().parents or self.folder in program.parents
        return False
