"""Updates that are cut off half way: what is left, and that it is finished and taken away again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.errors import EngineError, EngineInterrupted, EngineKilled, EngineTimeout, LockOwner, StackLocked
from provisioner.settings import Settings
from provisioner.stack import Stacks, UpdateResult
from provisioner.state_store import StateStore
from provisioner.workspace import prepare
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests.integration.conftest import MakeInputs, never
from tests.integration.half_done import HalfDone
from watcher.cluster import Object

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

Objects = Callable[[str], dict[str, Object]]


def processes(name: str, parent: int | None = None) -> list[int]:
    """The processes of a program, those of one parent if one is given."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == name:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z" and (parent is None or int(fields[1]) == parent):
                    found.append(int(entry.name))
        except OSError:
            continue
    return found


def plugins_of(folder: Path) -> list[int]:
    return [
        pid for pid in processes("pulumi-resource") if str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def until(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def locks(store: StateStore) -> list[str]:
    return store.keys(".pulumi/locks/")


@pytest.fixture
def folder(settings: Settings) -> Path:
    return settings.data_folder


@pytest.fixture
def own_engine() -> Engine:
    """An engine that may be stopped."""
    return Engine(timeout_seconds=60)


@contextmanager
def half_way(backend: Backend, inputs: StackInputs) -> Generator[Future[UpdateResult]]:
    """Run an update in another thread, up to where the first of its objects is there."""
    half_done = HalfDone()
    with ThreadPoolExecutor(1) as pool:
        update = pool.submit(Stacks(backend, half_done.program).up, inputs, 0)
        try:
            assert half_done.reached.wait(30)
            yield update
        finally:
            half_done.go_on.set()


def check_recovers(stacks: Stacks, inputs: StackInputs, objects: Objects) -> UpdateResult:
    """Finish the update, destroy the stack, and see that each did what it says."""
    result = stacks.recover(inputs, 0, never)
    assert len(objects(inputs.stack)) == len(manifests(inputs))
    stacks.destroy(inputs.stack, 0, never)
    assert objects(inputs.stack) == {}
    return result


@pytest.mark.every_backend
def test_engine_killed(
    backend: Backend, stacks: Stacks, make_inputs: MakeInputs, objects: Objects, folder: Path, store: StateStore
) -> None:
    inputs = make_inputs(build=False)
    with half_way(backend, inputs) as update:
        (pid,) = processes("pulumi", os.getpid())
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineKilled, match="signal 9"):
            update.result(30)
    assert len(locks(store)) == 1
    assert plugins_of(folder) == []
    with pytest.raises(StackLocked, match=f"process {pid} of ") as locked:
        stacks.up(inputs, 0)
    assert [owner.pid for owner in locked.value.owners] == [pid]
    assert check_recovers(stacks, inputs, objects).engine_runs == 3  # Locked, cancel, up.
    assert locks(store) == []


@contextmanager
def half_way_watcher(settings: Settings, inputs: StackInputs) -> Generator[subprocess.Popen[str]]:
    """Run an update in a process of its own, up to where the first of its objects is there."""
    command = [sys.executable, "-m", "tests.integration.half_done", str(settings.data_folder), settings.state_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdin
        assert watcher.stdout
        watcher.stdin.write(inputs.model_dump_json())
        watcher.stdin.close()
        assert watcher.stdout.readline() == "half done\n"
        yield watcher
        watcher.kill()


def test_watcher_killed(
    engine: Engine, make_inputs: MakeInputs, objects: Objects, folder: Path, store: StateStore, settings: Settings
) -> None:
    inputs = make_inputs(build=False)
    with half_way_watcher(settings, inputs) as watcher:
        (pid,) = processes("pulumi", watcher.pid)
        watcher.kill()
        until(lambda: pid not in processes("pulumi"), "the engine ends by itself")
    assert locks(store) == []
    assert plugins_of(folder) == []
    backend = Backend(settings, engine)
    assert check_recovers(Stacks(backend), inputs, objects).engine_runs == 1
    backend.close()


def test_watcher_and_engine_killed(
    engine: Engine, make_inputs: MakeInputs, objects: Objects, folder: Path, store: StateStore, settings: Settings
) -> None:
    inputs = make_inputs(build=False)
    with half_way_watcher(settings, inputs) as watcher:
        (pid,) = processes("pulumi", watcher.pid)
        os.kill(watcher.pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        watcher.kill()
    assert plugins_of(folder) != []
    backend = Backend(settings, engine)
    assert plugins_of(folder) == []
    assert len(locks(store)) == 1
    check_recovers(Stacks(backend), inputs, objects)
    backend.close()


def test_engine_hangs_after_its_watcher_was_killed(
    engine: Engine, make_inputs: MakeInputs, objects: Objects, folder: Path, settings: Settings
) -> None:
    inputs = make_inputs(build=False)
    with half_way_watcher(settings, inputs) as watcher:
        (pid,) = processes("pulumi", watcher.pid)
        os.kill(pid, signal.SIGSTOP)
        watcher.kill()
    assert pid in processes("pulumi")
    backend = Backend(settings, engine)
    assert pid not in processes("pulumi")
    assert plugins_of(folder) == []
    check_recovers(Stacks(backend), inputs, objects)
    backend.close()


def test_stop_ends_updates_in_order(
    own_engine: Engine,
    make_inputs: MakeInputs,
    objects: Objects,
    folder: Path,
    engine: Engine,
    store: StateStore,
    settings: Settings,
) -> None:
    inputs = make_inputs(build=False)
    backend = Backend(settings, own_engine)
    with half_way(backend, inputs) as update:
        began = time.monotonic()
        Stacks(backend).stop()
        assert time.monotonic() - began < 5
        with pytest.raises(EngineInterrupted):
            update.result(5)
    assert processes("pulumi", os.getpid()) == []
    assert plugins_of(folder) == []
    assert locks(store) == []
    with pytest.raises(EngineInterrupted):
        Stacks(backend).up(inputs, 0)
    again = Backend(settings, engine)
    assert check_recovers(Stacks(again), inputs, objects).engine_runs == 1
    again.close()


def test_time_limit(
    make_inputs: MakeInputs, objects: Objects, folder: Path, stacks: Stacks, store: StateStore, settings: Settings
) -> None:
    inputs = make_inputs(build=False)
    backend = Backend(settings, Engine(timeout_seconds=4))
    with half_way(backend, inputs) as update, pytest.raises(EngineTimeout, match="within 4 s"):
        update.result(30)
    assert processes("pulumi", os.getpid()) == []
    assert plugins_of(folder) == []
    assert locks(store) == []
    backend.close()
    check_recovers(stacks, inputs, objects)


def test_terminated_from_elsewhere(
    backend: Backend, stacks: Stacks, make_inputs: MakeInputs, objects: Objects, store: StateStore
) -> None:
    inputs = make_inputs(build=False)
    with half_way(backend, inputs) as update:
        (pid,) = processes("pulumi", os.getpid())
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(EngineInterrupted):
            update.result(30)
    assert locks(store) == []
    check_recovers(stacks, inputs, objects)


def test_plugin_killed(
    backend: Backend, stacks: Stacks, make_inputs: MakeInputs, objects: Objects, folder: Path, store: StateStore
) -> None:
    inputs = make_inputs(build=False)
    with half_way(backend, inputs) as update:
        for pid in plugins_of(folder):
            os.kill(pid, signal.SIGKILL)
    # The rest of the program met the gap.
    assert isinstance(update.exception(30), EngineError)
    assert locks(store) == []
    check_recovers(stacks, inputs, objects)


def test_a_living_owner_keeps_its_lock(
    backend: Backend, stacks: Stacks, make_inputs: MakeInputs, store: StateStore
) -> None:
    inputs = make_inputs(build=False)
    with half_way(backend, inputs) as update:
        with pytest.raises(StackLocked):
            stacks.recover(inputs, 1, lambda owner: True)  # Of this host, so it is not asked.
        with pytest.raises(StackLocked):
            stacks.destroy(inputs.stack, 1, lambda owner: True)
        assert len(locks(store)) == 1
        assert not update.done()
    assert update.result(30).changed
    stacks.destroy(inputs.stack, 0, never)


@pytest.mark.every_backend
def test_an_owner_on_another_host_is_the_callers_to_judge(
    stacks: Stacks, make_inputs: MakeInputs, store: StateStore
) -> None:
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    content = b'{"pid": 4, "username": "watcher", "hostname": "pod-b", "timestamp": "2026-11-20T10:00:00.5Z"}'
    lock = f".pulumi/locks/organization/reviewapp/{inputs.stack}/of-another.json"
    store.write(lock, content)
    asked: list[LockOwner] = []

    def refuse(owner: LockOwner) -> bool:
        asked.append(owner)
        return False

    with pytest.raises(StackLocked, match="process 4 of watcher@pod-b"):
        stacks.recover(inputs, 0, refuse)
    assert [(owner.host, owner.pid) for owner in asked] == [("pod-b", 4)]
    assert locks(store) == [lock]
    assert not stacks.recover(inputs, 0, lambda owner: owner.host == "pod-b").changed
    assert locks(store) == []
    store.write(lock, content)
    stacks.destroy(inputs.stack, 0, lambda owner: True)
    assert locks(store) == []


@pytest.mark.every_backend
def test_killed_while_the_stack_was_created(
    stacks: Stacks, make_inputs: MakeInputs, store: StateStore, objects: Objects, settings: Settings, engine: Engine
) -> None:
    prepare(settings, engine)
    inputs = make_inputs(build=False)
    owner = {"pid": 4194304, "username": "u", "hostname": os.uname().nodename, "timestamp": "2026-11-20T10:00:00Z"}
    store.write(f".pulumi/locks/organization/reviewapp/{inputs.stack}/first.json", json.dumps(owner).encode())
    with pytest.raises(StackLocked):
        stacks.up(inputs, 0)
    check_recovers(stacks, inputs, objects)


def killed_half_way(stacks: Stacks, inputs: StackInputs, objects: Objects) -> BaseException | None:
    """Destroy a stack, and kill the engine when the first object has gone; return what came of it."""
    with ThreadPoolExecutor(1) as pool:
        destroy = pool.submit(stacks.destroy, inputs.stack, 0, never)
        until(lambda: destroy.done() or len(objects(inputs.stack)) < len(manifests(inputs)), "an object goes")
        for pid in processes("pulumi", os.getpid()):
            os.kill(pid, signal.SIGKILL)
        return destroy.exception(30)


def test_engine_killed_while_it_destroys(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, store: StateStore
) -> None:
    inputs = make_inputs(build=False)
    error = None
    for _ in range(5):
        # It may end before it is met.
        if error is None:
            stacks.up(inputs, 0)
            error = killed_half_way(stacks, inputs, objects)
    assert isinstance(error, EngineKilled)
    stacks.destroy(inputs.stack, 0, never)
    assert objects(inputs.stack) == {}
    assert [key for key in store.keys(".pulumi/") if inputs.stack in key] == []


def test_engines_of_several_hosts_at_one_stack(
    settings: Settings, engine: Engine, make_inputs: MakeInputs, objects: Objects, store: StateStore, tmp_path: Path
) -> None:
    inputs, count = make_inputs(build=False), 3
    backends = [
        Backend(
            settings.model_copy(update={"data_folder": tmp_path / str(n), "backend_url": settings.state_url}), engine
        )
        for n in range(count)
    ]
    hosts = [Stacks(backend) for backend in backends]
    prepare(settings, engine)
    hosts[0].up(inputs, 0)
    begin = threading.Barrier(count, timeout=60)

    def update(host: int) -> bool:
        begin.wait()
        try:
            hosts[host].up(make_inputs(build=False, port=5001 + host), 0)
        except StackLocked:
            return False
        return True

    with ThreadPoolExecutor(count) as pool:
        # Whoever meets another's lock gives way; two that meet both do.
        list(pool.map(update, range(count)))
    assert locks(store) == []
    last = make_inputs(build=False, port=6000)
    hosts[1].up(last, 0)
    assert not hosts[2].up(last, 0).changed
    assert len(objects(inputs.stack)) == len(manifests(inputs))
    hosts[0].destroy(inputs.stack, 0, never)
    assert objects(inputs.stack) == {}
    for backend in backends:
        backend.close()
