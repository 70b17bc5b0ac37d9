"""A small process that ends the engines of a watcher whose time is over, also while that watcher itself is paused.

The watcher tells it, line by line on its stdin, until when its engines may run. Shortly before that the guard asks
them to end, and then it ends them, as often as it finds any, until it hears of a later time. It lives as long as the
watcher does, and after it for as long as engines of it are left. Knows nothing of Leases or stacks.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from provisioner import processes

ASK_SECONDS = 2.0
"""So long before their time is over engines get SIGTERM, by which they end in order."""
END_SECONDS = 0.75
"""So long before it they get SIGKILL."""
_LOOK_SECONDS = 0.25
_LONGEST_WAIT_SECONDS = 60.0
_CLOSE_SECONDS = 5.0


def boot_clock() -> float:
    """Return seconds of a clock that nobody sets, and that goes on while the machine sleeps, where there is such.

    All processes of a machine read the same.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class EngineGuard:
    """The guard of this process's engines; safe to use from several threads.

    Args:
        homes: the folder of the PULUMI_HOMEs, below which their plugins are.
    """

    def __init__(self, homes: Path) -> None:
        self._homes = homes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    @property
    def pid(self) -> int | None:
        """Its process id; None while there is none."""
        return self._process.pid if self._process else None

    def allow(self, until: float) -> None:
        """Let engines run until then, by `boot_clock`; start the guard if it is not there, or no more."""
        line = f"{until}\n".encode()
        with self._lock:
            if self._process and self._process.poll() is None:
                # It can have died a moment ago.
                with suppress(BrokenPipeError):
                    os.write(self._pipe, line)
                    return
            self._start()
            os.write(self._pipe, line)

    def close(self) -> None:
        """Let the guard end, when no engine runs any more."""
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            os.close(self._pipe)
        try:
            process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        if self._process:
            os.close(self._pipe)
        source, self._pipe = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "provisioner.engine_guard", str(os.getpid()), str(self._homes)],
                stdin=source,
                stdout=subprocess.DEVNULL,
                # Our credentials are none of its business.
                env={"PYTHONPATH": str(Path(__file__).parents[1])},
                # What stops or ends the watcher's group must not stop the guard.
                start_new_session=True,
            )
        finally:
            os.close(source)


class Guard:
    """What the guard does at each look, by the time that is left.

    Args:
        send: sends a signal to each engine, and returns how many there were.
    """

    def __init__(self, send: Callable[[signal.Signals], int]) -> None:
        self.until = float("inf")
        self._send = send
        self._asked_before = 0.0

    def look(self, now: float) -> float:
        """Do what is to be done now; return the seconds until the next look."""
        left = self.until - now
        if left > ASK_SECONDS:
            return min(left - ASK_SECONDS, _LONGEST_WAIT_SECONDS)
        if left <= END_SECONDS:
            self._send(signal.SIGKILL)
        elif self._asked_before != self.until:
            # A second SIGTERM would make an engine exit at once, and leave its lock.
            self._asked_before = self.until
            self._send(signal.SIGTERM)
        return _LOOK_SECONDS


def main() -> None:
    """Guard the engines of the process that the first argument names, below the folder that the second does."""
    starter, homes = int(sys.argv[1]), Path(sys.argv[2])
    guard = Guard(lambda number: len(processes.end_engines_of(starter, homes, number)))
    source = sys.stdin.fileno()
    pending = b""
    is_open = True
    while is_open or processes.engines_of(starter):
        wait = guard.look(boot_clock())
        if not is_open:
            time.sleep(min(wait, _LOOK_SECONDS))
            continue
        if select.select([source], [], [], wait)[0]:
            read = os.read(source, 4096)
            is_open = bool(read)
            *lines, pending = (pending + read).split(b"\n")
            if lines:
                guard.until = float(lines[-1])


if __name__ == "__main__":
    main()
