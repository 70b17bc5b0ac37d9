"""A watcher that is started again whenever it ends, as a kubelet does with a container, and asked whether it lives."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx

from dev.installation import WatcherCommand
from provisioner.processes import engines_of

_AGAIN_SECONDS = 0.3
_POLL_SECONDS = 0.05
_STOP_SECONDS = 40.0
# As the watcher's Deployment has them.
_PROBE_SECONDS = 15.0
_PROBE_FAILURES = 4


class Replica:
    """One of the watchers.

    Args:
        host: what it takes its machine's name to be.
        command: how it is started.
    """

    def __init__(self, host: str, command: WatcherCommand) -> None:
        self.host = host
        self.starts = 0
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=host, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Its process id; 0 while it does not run."""
        process = self._process
        return process.pid if process and process.poll() is None else 0

    @property
    def is_ready(self) -> bool:
        return self._command.is_ready

    @property
    def is_paused(self) -> bool:
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        return False

    @property
    def leads(self) -> bool:
        """Whether it says that it is the one that acts; one that is paused says nothing."""
        if self.is_paused:
            return False
        with suppress(httpx.HTTPError):
            return "reviewapp_is_leader 1.0" in httpx.get(f"{self._command.url}/metrics", timeout=1).text
        return False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if pid := self.pid:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def engines(self) -> list[int]:
        """Return the engines that it has started."""
        return engines_of(self.pid) if self.pid else []

    def stop(self) -> int:
        """End it with SIGTERM for good; return its exit code."""
        self._stopped.set()
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        self._thread.join(_STOP_SECONDS)
        assert self._process
        if self._process.poll() is None:
            self._process.kill()
        return self._process.wait()

    def _run(self) -> None:
        # What is started here is told to end when this thread does.
        while not self._stopped.is_set():
            self._process = self._command.start()
            self.starts += 1
            self._watch(self._process)
            self._stopped.wait(_AGAIN_SECONDS)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for its end; bring it about if it is dead but does not know."""
        failures, due = 0, time.monotonic() + _PROBE_SECONDS
        while process.poll() is None:
            time.sleep(_POLL_SECONDS)
            if time.monotonic() < due or self._stopped.is_set():
                continue
            due += _PROBE_SECONDS
            failures = 0 if self._is_alive() else failures + 1
            if failures >= _PROBE_FAILURES:
                process.kill()

    def _is_alive(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self._command.url}/livez", timeout=5).is_success
        return False
