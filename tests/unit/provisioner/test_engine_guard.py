"""The guard: when it asks engines to end, when it ends them; and a real guard of a process that is paused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from provisioner.engine_guard import ASK_SECONDS, END_SECONDS, EngineGuard, Guard, boot_clock
from provisioner.processes import ENGINE, STARTER_VARIABLE, engines_of


class Sent:
    def __init__(self) -> None:
        self.signals: list[signal.Signals] = []

    def __call__(self, number: signal.Signals) -> int:
        self.signals.append(number)
        return 1


def test_it_asks_once_then_ends_as_often_as_it_looks() -> None:
    sent = Sent()
    guard = Guard(sent)
    guard.until = 10.0
    assert guard.look(1.0) == 10 - ASK_SECONDS - 1
    assert sent.signals == []
    for now in (10 - ASK_SECONDS, 10 - ASK_SECONDS + 0.1):
        guard.look(now)
    assert sent.signals == [signal.SIGTERM]
    for now in (10 - END_SECONDS, 11.0, 500.0):
        guard.look(now)
    assert sent.signals[1:] == [signal.SIGKILL] * 3


def test_a_later_time_lets_them_go_on() -> None:
    sent = Sent()
    guard = Guard(sent)
    guard.until = 10.0
    guard.look(9.9)
    guard.until = 20.0
    assert guard.look(10.0) > 0
    assert len(sent.signals) == 1


def test_one_that_wakes_up_too_late_does_not_ask() -> None:
    sent = Sent()
    guard = Guard(sent)
    guard.until = 10.0
    guard.look(3_600.0)
    assert sent.signals == [signal.SIGKILL]


# A watcher with one engine: a process of that name which takes no notice of SIGTERM.
_WATCHER = """\
import os, subprocess, sys, time
from pathlib import Path
from provisioner.engine_guard import EngineGuard, boot_clock
engine = subprocess.Popen(
    ["/bin/sh", "-c", "trap '' TERM; exec " + sys.argv[1] + " 60"],
    env={sys.argv[2]: str(os.getpid())},
    start_new_session=True,
)
while Path(f"/proc/{engine.pid}/comm").read_text().strip() != Path(sys.argv[1]).name:
    time.sleep(0.01)
guard = EngineGuard(Path("/nowhere"))
guard.allow(boot_clock() + float(sys.argv[3]))
print(guard.pid, flush=True)
engine.wait()
time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that sleeps under the engine's name."""
    return Path(shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / ENGINE))


@pytest.fixture
def watcher(program: Path) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _WATCHER, str(program), STARTER_VARIABLE, "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()
        for pid in engines_of(process.pid):
            os.kill(pid, signal.SIGKILL)


def until_no_engine(starter: int, seconds: float) -> float:
    began = time.monotonic()
    while engines_of(starter):
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_engines_of_a_paused_or_killed_watcher_end_before_their_time_does(
    watcher: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert watcher.stdout
    guard = int(watcher.stdout.readline())
    began = time.monotonic()
    assert len(engines_of(watcher.pid)) == 1
    watcher.send_signal(number)
    until_no_engine(watcher.pid, 10)
    assert 2 < time.monotonic() - began < 4
    if number == signal.SIGKILL:
        # It outlives neither.
        deadline = time.monotonic() + 10
        while Path(f"/proc/{guard}").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not Path(f"/proc/{guard}").exists()


def test_a_guard_that_is_killed_is_started_again(tmp_path: Path) -> None:
    guard = EngineGuard(tmp_path)
    assert guard.pid is None
    guard.allow(boot_clock() + 60)
    first = guard.pid
    assert first
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while guard.pid == first:
        assert time.monotonic() < deadline
        guard.allow(boot_clock() + 60)
    guard.close()
    assert guard.pid is None
