"""What `/proc` says of processes: whether a lock's owner lives, and which engines and plugins were left behind.

Linux only; elsewhere nothing is known, and so nothing is proven and nothing is ended. Ends only what works in a
folder that the caller owns, and whose starter is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from provisioner.errors import LockOwner

ENGINE = "pulumi"
STARTER_VARIABLE = "REVIEWAPP_STARTED_BY"
"""In an engine's environment: the process that started it, and so its parent for as long as that one lives."""

_PROC = Path("/proc")
# The boot time in /proc/stat has whole seconds, and so has a lock's time as the CLI prints it.
_CLOCK_TOLERANCE_SECONDS = 2.0
# An engine that lost its program ends by itself, in order and unlocked, in well under a second.
_PATIENCE_SECONDS = 2.0
_GRACE_SECONDS = 3.0


def is_proven_dead(owner: LockOwner) -> bool:
    """Whether the process that wrote a lock is known to be gone.

    Only a process of this host can be judged: gone, not an engine, or started after the lock was written (its
    number was given to another). The host's name must be this process namespace's own, as a Pod's is without
    `hostNetwork`.
    """
    if owner.host != socket.gethostname() or not _PROC.is_dir():
        return False
    if _name(owner.pid) != ENGINE or _parent(owner.pid) is None:
        return True
    started = _started_at(owner.pid)
    return started is None or started > owner.time.timestamp() + _CLOCK_TOLERANCE_SECONDS


def end_orphans(work: Path, homes: Path) -> list[int]:
    """End the engines that work below `work`, and the plugins below `homes`, whose starter is gone.

    A plugin outlives an engine that was killed by a quarter of an hour and holds some 110 MiB.

    Returns:
        The process ids of what had to be ended. Takes no time where there is nothing to end, and some seconds at
        most.
    """
    engines = _end(lambda pid: _is_orphan_engine(pid, work), _PATIENCE_SECONDS)
    return engines + _end(lambda pid: _is_orphan_plugin(pid, homes, engines), 0.0)


def engines_of(starter: int) -> list[int]:
    """Return the engines that a process has started, whether or not it lives."""
    return [pid for pid in _processes() if _is_engine_of(pid, starter)]


def end_engines_of(starter: int, homes: Path, number: signal.Signals) -> list[int]:
    """Send a signal to the engines that a process has started, whether or not it lives; return their process ids.

    With SIGKILL, which gives them no time to do so themselves, their plugins below `homes` are ended too.
    """
    engines = engines_of(starter)
    for pid in engines:
        _send(pid, number, lambda pid: _is_engine_of(pid, starter))
    if number == signal.SIGKILL:
        _wait_for(engines, lambda pid: _is_engine_of(pid, starter), _GRACE_SECONDS)
        _end(lambda pid: _is_orphan_plugin(pid, homes, engines), 0.0)
    return engines


def _end(is_orphan: Callable[[int], bool], patience_seconds: float) -> list[int]:
    ended = _wait_for([pid for pid in _processes() if is_orphan(pid)], is_orphan, patience_seconds)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in ended:
            _send(pid, number, is_orphan)
        _wait_for(ended, is_orphan, _GRACE_SECONDS)
    return ended


def _wait_for(pids: list[int], is_orphan: Callable[[int], bool], seconds: float) -> list[int]:
    """Wait until the processes are gone, for at most `seconds`; return those that are not."""
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in pids if is_orphan(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _send(pid: int, number: signal.Signals, is_orphan: Callable[[int], bool]) -> None:
    # The descriptor pins the process: between the look and the signal its number cannot become another's.
    with suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if is_orphan(pid):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _processes() -> list[int]:
    with suppress(OSError):
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return []


def _is_orphan_engine(pid: int, work: Path) -> bool:
    with suppress(OSError):
        if _name(pid) != ENGINE or work not in (_PROC / str(pid) / "cwd").readlink().parents:
            return False
        starter = _starter(pid)
        return starter is not None and _parent(pid) not in {None, starter}
    return False


def _is_engine_of(pid: int, starter: int) -> bool:
    with suppress(OSError):
        return _name(pid) == ENGINE and _starter(pid) == starter and _parent(pid) is not None
    return False


def _starter(pid: int) -> int | None:
    """Return which process started an engine; None for what is no engine of ours."""
    variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    starter = next((v.partition(b"=")[2] for v in variables if v.startswith(f"{STARTER_VARIABLE}=".encode())), b"")
    return int(starter) if starter.isdigit() else None


def _is_orphan_plugin(pid: int, homes: Path, ended: list[int]) -> bool:
    with suppress(OSError):
        # The path by which it was started; a link in it stays as it is.
        program = Path(os.fsdecode((_PROC / str(pid) / "cmdline").read_bytes().split(b"\0", 1)[0]))
        parent = _parent(pid)
        if homes not in program.parents or parent is None:
            return False
        # An engine that was just ended can still be its parent for a moment, and still have its name.
        return parent in ended or _name(parent) != ENGINE
    return False


def _name(pid: int) -> str | None:
    """Return the name of a process's program, as the kernel keeps it; None if there is no such process."""
    with suppress(OSError):
        return (_PROC / str(pid) / "comm").read_text().strip()
    return None


def _parent(pid: int) -> int | None:
    """Return the parent of a process; None if it is gone, or has ended and is only not yet reaped."""
    fields = _status_fields(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[1])


def started_ticks(pid: int) -> int | None:
    """Return when a process was started, in clock ticks since the host was; None if there is no such process."""
    fields = _status_fields(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def _started_at(pid: int) -> float | None:
    """Return when a process was started, in Unix time; None if there is no such process."""
    fields = _status_fields(pid)
    boot = _boot_time()
    return None if fields is None or boot is None else boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _status_fields(pid: int) -> list[str] | None:
    """Return the fields of `/proc/<pid>/stat` from the state on.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    with suppress(OSError):
        # The program's name is in brackets and can hold anything, brackets and blanks too.
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return None


def _boot_time() -> int | None:
    with suppress(OSError):
        for line in (_PROC / "stat").read_text().splitlines():
            if line.startswith("btime "):
                return int(line.split()[1])
    return None
