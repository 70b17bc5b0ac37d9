"""Programs are started, known again and ended; here with real processes, in no namespace of their own."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster import layout, processes
from dev.cluster.processes import ClusterError, Part, Record


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "INSIDE", ("env",))
    monkeypatch.setattr(layout, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(processes, "_RECORDS", tmp_path / "parts")


@pytest.fixture
def membership(tmp_path: Path) -> Path:
    return tmp_path / "cgroup.procs"


@pytest.fixture
def sleeper(membership: Path) -> Iterator[Record]:
    record = processes.start(Part("sleeper", ("sleep", "300")), membership)
    yield record
    processes.end([record.pid], signal.SIGKILL, 5)


def test_a_started_part_joins_its_cgroup_first_and_is_found_again(sleeper: Record, membership: Path) -> None:
    processes.wait_until(Part("sleeper", ()), "joined", membership.exists, 5, [sleeper])
    assert membership.read_text().strip() == str(sleeper.pid)
    assert processes.records() == {"sleeper": sleeper}
    assert sleeper.alive
    assert os.getsid(sleeper.pid) == sleeper.pid


def test_a_part_holds_no_lock_of_who_started_it(membership: Path, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        record = processes.start(Part("sleeper", ("sleep", "300")), membership)
        try:
            processes.wait_until(Part("sleeper", ()), "joined", membership.exists, 5, [record])
            inode = os.fstat(lock.fileno()).st_ino
            folder = Path(f"/proc/{record.pid}/fd")
            assert inode not in {path.stat().st_ino for path in folder.iterdir() if path.exists()}
        finally:
            processes.end([record.pid], signal.SIGKILL, 5)


def test_a_pid_used_again_is_not_the_part(sleeper: Record) -> None:
    stranger = dataclasses.replace(sleeper, started=sleeper.started - 1)
    before_a_reboot = dataclasses.replace(sleeper, boot="another")
    assert not stranger.alive
    assert not before_a_reboot.alive


def test_an_ended_part_is_not_alive_though_nobody_reaped_it(sleeper: Record) -> None:
    assert processes.end([sleeper.pid], signal.SIGTERM, 5) == set()
    assert not sleeper.alive


def test_what_ignores_the_signal_is_named() -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(300)"
    with subprocess.Popen(["python3", "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert processes.end([process.pid], signal.SIGTERM, 0.3) == {process.pid}
        assert processes.end([process.pid], signal.SIGKILL, 5) == set()


def test_waiting_ends_at_once_when_a_watched_part_dies_and_shows_its_log(membership: Path) -> None:
    part = Part("short", ("sh", "-c", "echo the disk is full; exit 3"))
    record = processes.start(part, membership)
    begun = time.monotonic()
    with pytest.raises(ClusterError, match=r"(?s)short ended.*the disk is full"):
        processes.wait_until(part, "it answers", lambda: False, 30, [record])
    assert time.monotonic() - begun < 10


def test_waiting_has_a_deadline(sleeper: Record) -> None:
    with pytest.raises(ClusterError, match=r"it answers: not after 0\.2 s"):
        processes.wait_until(Part("sleeper", ()), "it answers", lambda: False, 0.2, [sleeper])


def test_a_recipe_changes_with_the_command_and_with_a_file(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("a")
    part = Part("x", ("x", "--config", str(file)), (file,))
    first = part.recipe
    assert part.recipe == first
    assert dataclasses.replace(part, command=("x",)).recipe != first
    file.write_text("b")
    assert part.recipe != first


def test_the_log_of_the_run_before_is_kept(membership: Path) -> None:
    part = Part("twice", ("sh", "-c", "cat"))
    layout.LOGS.mkdir()
    part.log.write_text("the first run")
    processes.start(part, membership)
    assert (layout.LOGS / "twice.log.previous").read_text() == "the first run"


def test_the_end_of_a_log_is_shown_or_its_panic() -> None:
    layout.LOGS.mkdir()
    log = layout.LOGS / "etcd.log"
    log.write_text("\n".join(f"line {number}" for number in range(100)))
    assert processes.log_tail("etcd").splitlines()[-1].strip() == "line 99"
    log.write_text(
        "\n".join(["before", "panic: failed to open database", *(f"frame {number}" for number in range(100))])
    )
    assert "panic: failed to open database" in processes.log_tail("etcd")
    assert "(nothing)" in processes.log_tail("never-started")
