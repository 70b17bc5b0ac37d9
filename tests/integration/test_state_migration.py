"""Fifty stacks from a folder to PostgreSQL, to S3 and back, each time broken off in the middle: all is as it was."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.inventory import stack_names
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.state_copy import StateMoved, by_stack, compare
from provisioner.state_store import StateStore, open_store
from stacks.inputs import StackInputs
from tests.integration.conftest import MakeInputs, never
from tests.state_servers import S3_CREDENTIALS, StateServers

pytestmark = [pytest.mark.engine, pytest.mark.cluster, pytest.mark.postgres]

STACKS = int(os.environ.get("REVIEWAPP_TEST_STACKS", "50"))
COMMAND = [sys.executable, "-m", "watcher", "state", "migrate"]


@pytest.fixture
def inputs(
    stacks: Stacks,
    store: StateStore,
    make_inputs: MakeInputs,
    give: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> StackInputs:
    """What one stack declares, which the engine made; and the others, which have its state under their names."""
    inputs = make_inputs("1000", build=False)
    stacks.up(inputs, 0)
    stacks.tag(inputs.stack, {"owner": "acme", "pull-request": "1000"}, 0)
    for key in by_stack(store)[inputs.stack]:
        for number in range(1001, 1000 + STACKS):
            content = store.read(key) or b""
            store.write(key.replace("1000", str(number)), content.replace(b"1000", str(number).encode()))
    give()
    for name, value in S3_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return inputs


def everything(store: StateStore) -> dict[str, bytes | None]:
    return {key: store.read(key) for keys in by_stack(store).values() for key in keys}


def broken_off(source: str, target: str) -> None:
    """Begin to move, and kill that half-way."""
    first = subprocess.Popen([*COMMAND, source, target], stdout=subprocess.PIPE, text=True)
    assert first.stdout
    assert any(line.startswith(f"{STACKS // 2}/{STACKS} ") for line in first.stdout)
    first.send_signal(signal.SIGKILL)
    first.wait(30)


def moved(source: str, target: str) -> str:
    done = subprocess.run([*COMMAND, source, target], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_and_back(
    settings: Settings,
    store: StateStore,
    inputs: StackInputs,
    engine: Engine,
    state_servers: StateServers,
    tmp_path: Path,
) -> None:
    before = everything(store)
    assert len(by_stack(store)) == STACKS
    places = [settings.state_url, str(state_servers.new("postgres")), str(state_servers.new("s3")), settings.state_url]
    for source, target in itertools.pairwise(places):
        here, there = open_store(source), open_store(target)
        assert here
        assert there
        broken_off(source, target)
        # All is where it was, and nobody works on the half that is elsewhere.
        assert everything(here) == before
        backends = [
            Backend(settings.model_copy(update={"data_folder": tmp_path / name, "backend_url": url}), engine)
            for name, url in (("here", source), ("there", target))
        ]
        backends[0].require_here()
        with pytest.raises(StateMoved, match="not all brought here"):
            backends[1].require_here()

        output = moved(source, target)
        assert f"{STACKS // 4}/{STACKS} acme.shop.{999 + STACKS // 4}: was there already" in output
        assert f"{STACKS}/{STACKS} acme.shop.{999 + STACKS}: copied" in output
        assert f"{STACKS} stacks are in " in output
        assert everything(there) == before
        assert compare(here, there) == STACKS
        backends[1].require_here()
        with pytest.raises(StateMoved, match="set backend_url to that"):
            backends[0].require_here()
        for backend in backends:
            backend.close()
        # What is left there is out of date by the time that the stacks come back.
        for key in before:
            here.write(key, b"stale")
        here.write(next(iter(before)).replace("1000", "999"), b"of a stack that was destroyed since")

    # The engine takes it for what it was.
    assert stack_names(settings, engine) == [f"acme.shop.{number}" for number in range(1000, 1000 + STACKS)]
    backend = Backend(settings, engine)
    assert not Stacks(backend).up(inputs, 0).changed
    Stacks(backend).destroy(inputs.stack, 0, never)
    backend.close()
