"""Start and end the programs that a node consists of, and know them again later.

A program is recognised by its pid together with the boot and the moment at which it started, never by the
pid alone: pids are used again. Knows nothing about Kubernetes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from dev.cluster import layout

_RECORDS = layout.RUN / "parts"
_LOG_LINES = 15
_LOG_COLUMNS = 240
_POLL_SECONDS = 0.05
# What somebody's shell happens to have set must not decide how the node runs.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


class ClusterError(Exception):
    """The local cluster cannot be had; the text says which part is at fault and what to look at."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One program of the node.

    Attributes:
        name: names its log and its record.
        command: program and arguments.
        files: configuration files; where one has changed, the running program is not the one wanted.
    """

    name: str
    command: tuple[str, ...]
    files: tuple[Path, ...] = ()

    @property
    def log(self) -> Path:
        """What the program prints; the run before it is kept beside it as `.previous`."""
        return layout.LOGS / f"{self.name}.log"

    @property
    def recipe(self) -> str:
        """A digest of all that decides how the program runs."""
        digest = hashlib.sha256(repr(self.command).encode())
        for file in self.files:
            digest.update(file.read_bytes() if file.exists() else b"missing")
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Record:
    """What is written down about a started program, enough to know it again."""

    name: str
    pid: int
    started: int
    boot: str
    recipe: str

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return self.boot == _boot() and _started(self.pid) == self.started


def start(part: Part, membership: Path) -> Record:
    """Start the program in the node's network namespace and cgroup, in a session of its own, and record it.

    Args:
        part: what to start.
        membership: the `cgroup.procs` file of the cgroup that it joins before anything else.
    """
    layout.LOGS.mkdir(parents=True, exist_ok=True)
    _RECORDS.mkdir(parents=True, exist_ok=True)
    if part.log.exists():
        part.log.rename(part.log.with_suffix(".log.previous"))
    script = 'cd / && echo $$ > "$0" && exec "$@"'
    arguments = ["sh", "-c", script, str(membership), *layout.INSIDE, *part.command]
    log = os.open(part.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    # Not subprocess.Popen: the program outlives this process, which Popen warns of.
    pid = os.posix_spawnp(
        "sh",
        arguments,
        _ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
            # Whoever holds a lock while it starts the node must not go on holding it through the node.
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _descriptors() if descriptor > 2),
        ],
        setsid=True,
    )
    os.close(log)
    record = Record(part.name, pid, _started(pid) or 0, _boot(), part.recipe)
    temporary = _RECORDS / f".{part.name}"
    temporary.write_text(json.dumps(dataclasses.asdict(record)))
    temporary.rename(_RECORDS / f"{part.name}.json")
    return record


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - names are all that is there.


def records() -> dict[str, Record]:
    """What was recorded and not ended since, by part name; whether each is alive is another question."""
    found: dict[str, Record] = {}
    for file in sorted(_RECORDS.glob("*.json")):
        try:
            record = Record(**json.loads(file.read_text()))
        except (ValueError, TypeError):
            continue
        found[record.name] = record
    return found


def end(pids: Iterable[int], how: signal.Signals, seconds: float) -> set[int]:
    """Send the signal to each of the processes and wait for them to end; return those that did not in time."""
    identities = {pid: _started(pid) for pid in pids}
    for pid, started in identities.items():
        if started is not None:
            _send(pid, how)
    deadline = time.monotonic() + seconds
    while True:
        left = {pid for pid, started in identities.items() if started is not None and _started(pid) == started}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(_POLL_SECONDS)


def wait_until(part: Part, what: str, probe: Callable[[], bool], seconds: float, watched: Iterable[Record]) -> None:
    """Wait until the probe holds.

    Args:
        part: whose log explains a failure.
        what: what is waited for, as in "timed out waiting for …".
        probe: whether it has come; called over and over.
        seconds: the deadline.
        watched: programs that must stay alive meanwhile.

    Raises:
        ClusterError: the deadline has passed, or a watched program ended.
    """
    watched = list(watched)
    deadline = time.monotonic() + seconds
    while not probe():
        for record in watched:
            if not record.alive:
                raise ClusterError(f"{record.name} ended while {what} was waited for\n{log_tail(record.name)}")
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not after {seconds:g} s\n{log_tail(part.name)}")
        time.sleep(_POLL_SECONDS)


def log_tail(name: str) -> str:
    """The last lines of a part's log, or those from where it panicked; indented, under the log's path."""
    log = layout.LOGS / f"{name}.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    panics = [index for index, line in enumerate(lines) if line.startswith("panic:")]
    lines = lines[panics[-1] :][:_LOG_LINES] if panics else lines[-_LOG_LINES:]
    return "\n    ".join([f"  {log} ends with:", *(line[:_LOG_COLUMNS] for line in lines or ["(nothing)"])])


def _send(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return


def _started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None where it is gone or only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may itself hold spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return None
    return int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
