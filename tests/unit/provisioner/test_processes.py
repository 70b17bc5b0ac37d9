"""With real processes: copies of `sleep` under the names that the engine and its plugin have."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner import processes
from provisioner.errors import LockOwner
from provisioner.processes import STARTER_VARIABLE, end_orphans, is_proven_dead

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE_SECONDS", 0.1)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A program called pulumi."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    shutil.copy(shutil.which("sleep") or "", program)
    return program


@pytest.fixture
def running(engine: Path) -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen([engine, "60"]) as process:
        # For a moment after the start the kernel still has the starter's name for it.
        while Path(f"/proc/{process.pid}/comm").read_text() != "pulumi\n":
            time.sleep(0.01)
        yield process
        process.kill()


def owner(pid: int, *, host: str | None = None, written: datetime | None = None) -> LockOwner:
    return LockOwner("root", host or socket.gethostname(), pid, written or datetime.now(UTC))


def test_a_running_engine_lives(running: subprocess.Popen[bytes]) -> None:
    assert not is_proven_dead(owner(running.pid))
    assert not is_proven_dead(owner(running.pid, written=datetime.now(UTC) + timedelta(hours=1)))


def test_an_ended_engine_is_dead_reaped_or_not(running: subprocess.Popen[bytes]) -> None:
    running.kill()
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
    assert is_proven_dead(owner(running.pid))
    running.wait()
    assert is_proven_dead(owner(running.pid))


def test_a_number_that_another_program_has_is_dead() -> None:
    assert is_proven_dead(owner(os.getpid()))


def test_a_number_that_a_later_engine_has_is_dead(running: subprocess.Popen[bytes]) -> None:
    assert is_proven_dead(owner(running.pid, written=datetime.now(UTC) - timedelta(minutes=1)))


def test_nothing_is_known_of_another_host() -> None:
    assert not is_proven_dead(owner(4_194_304, host="elsewhere"))


def orphan(command: list[str], folder: Path, **environment: str) -> int:
    """Start a process whose starter ends at once; return its id."""
    null = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
    code = f"import subprocess, sys; print(subprocess.Popen(sys.argv[1:], {null}).pid)"
    starter = [sys.executable, "-c", code, *command]
    return int(subprocess.check_output(starter, text=True, cwd=folder, env=os.environ | environment))


def lives(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def has_ended(pid: int) -> bool:
    """Whether it ends now: for a moment a process has neither a program any more nor the state of one that ended."""
    deadline = time.monotonic() + 5
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not lives(pid)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    work, homes = tmp_path / "work", tmp_path / "engine"
    (work / "acme.shop.7").mkdir(parents=True)
    (homes / "0" / "plugins").mkdir(parents=True)
    return work, homes


def test_orphaned_engines_and_plugins_end(engine: Path, folders: tuple[Path, Path]) -> None:
    work, homes = folders
    plugin = homes / "0" / "plugins" / "pulumi-resource-kubernetes"
    plugin.symlink_to(shutil.which("sleep") or "")
    pids = [
        orphan([str(engine), "60"], work / "acme.shop.7", **{STARTER_VARIABLE: str(os.getpid())}),
        orphan([str(plugin), "60"], work),
    ]
    assert all(lives(pid) for pid in pids)
    assert sorted(end_orphans(work, homes)) == sorted(pids)
    assert all(has_ended(pid) for pid in pids)


def test_an_engine_that_ignores_the_first_signal_ends(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.3)
    work, homes = folders
    stubborn = tmp_path / "pulumi"
    shutil.copy(shutil.which("sh") or "", stubborn)
    command = [str(stubborn), "-c", "trap '' TERM; while :; do sleep 0.05; done"]
    pid = orphan(command, work / "acme.shop.7", **{STARTER_VARIABLE: str(os.getpid())})
    time.sleep(0.2)
    assert end_orphans(work, homes) == [pid]
    assert has_ended(pid)


def test_others_are_left_alone(engine: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    work, homes = folders
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ours = subprocess.Popen(
        [engine, "60"], cwd=work / "acme.shop.7", env=os.environ | {STARTER_VARIABLE: str(os.getpid())}
    )
    time.sleep(0.2)
    strangers = [
        orphan([str(engine), "60"], elsewhere, **{STARTER_VARIABLE: str(os.getpid())}),
        orphan([str(engine), "60"], work / "acme.shop.7"),
        orphan(["sleep", "60"], work / "acme.shop.7", **{STARTER_VARIABLE: str(os.getpid())}),
        ours.pid,
    ]
    try:
        assert end_orphans(work, homes) == []
        assert all(lives(pid) for pid in strangers)
    finally:
        for pid in strangers:
            os.kill(pid, signal.SIGKILL)
        ours.wait()
