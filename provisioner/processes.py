"""What `/proc` says of processes: whether a lock's owner lives, and which provider plugins were left behind.

Linux only; elsewhere nothing is known, and so nothing is proven and nothing is ended. Ends only plugins that
were started from a folder the caller owns and whose engine is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

from provisioner.errors import LockOwner

ENGINE = "pulumi"
_PROC = Path("/proc")
# The boot time in /proc/stat has whole seconds, and so has a lock's time as the CLI prints it.
_CLOCK_TOLERANCE_SECONDS = 2.0


def started_at(pid: int) -> float | None:
    """Return when a process was started, in Unix time; None if there is none or this is not Linux."""
    fields = _status_fields(pid)
    boot = _boot_time()
    return None if fields is None or boot is None else boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def name(pid: int) -> str | None:
    """Return the name of a process's program, as the kernel keeps it; None if there is no such process."""
    with suppress(OSError):
        return (_PROC / str(pid) / "comm").read_text().strip()
    return None


def is_proven_dead(owner: LockOwner) -> bool:
    """Whether the process that wrote a lock is known to be gone.

    Only a process of this host can be judged: gone, not an engine, or started after the lock was written (its
    number was given to another). The host's name must be this process namespace's own, as a Pod's is without
    `hostNetwork`.
    """
    if owner.host != socket.gethostname() or not _PROC.is_dir():
        return False
    if name(owner.pid) != ENGINE:
        return True
    started = started_at(owner.pid)
    return started is None or started > owner.time.timestamp() + _CLOCK_TOLERANCE_SECONDS


def end_orphans(folder: Path, grace_seconds: float = 2.0) -> list[int]:
    """End the provider plugins below `folder` whose engine is gone; return their process ids.

    A plugin outlives an engine that was killed by a quarter of an hour and holds some 110 MiB.
    """
    orphans = [pid for pid in _processes() if _is_orphan(pid, folder)]
    ended = [pid for pid in orphans if _send(pid, folder, signal.SIGTERM)]
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and any(_is_orphan(pid, folder) for pid in ended):
        time.sleep(0.02)
    for pid in ended:
        _send(pid, folder, signal.SIGKILL)
    return ended


def _send(pid: int, folder: Path, number: signal.Signals) -> bool:
    # The descriptor pins the process: between the look and the signal its number cannot become another's.
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _is_orphan(pid, folder):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _processes() -> list[int]:
    with suppress(OSError):
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return []


def _is_orphan(pid: int, folder: Path) -> bool:
    program = _program(pid)
    if program is None or folder not in program.parents:
        return False
    fields = _status_fields(pid)
    return fields is not None and fields[0] != "Z" and name(int(fields[1])) != ENGINE


def _program(pid: int) -> Path | None:
    """Return the path by which a process's program was started; a link in it stays as it is."""
    with suppress(OSError):
        command = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0", 1)[0]
        return Path(os.fsdecode(command)) if command else None
    return None


def _status_fields(pid: int) -> list[str] | None:
    """Return the fields of `/proc/<pid>/stat` from the state on; https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html."""
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
