"""The folder that an engine runs in goes away, or can't be made: the update fails, says so, and is made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.engine import Engine
from provisioner.errors import WorkFolderUnusable
from provisioner.settings import Settings
from provisioner.stack import Stacks
from tests.integration.conftest import MakeInputs, never

pytestmark = [pytest.mark.engine, pytest.mark.cluster]


def test_it_goes_away_before_the_engine_runs(
    stacks: Stacks, make_inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = make_inputs(build=False)
    run: Callable[..., Any] = Engine.run

    def run_without(self: Engine, args: list[str], cwd: str, *more: Any, **named: Any) -> Any:
        shutil.rmtree(cwd)
        return run(self, args, cwd, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run", run_without)
        with pytest.raises(WorkFolderUnusable, match="No such file or directory"):
            stacks.up(inputs, 0)
    assert stacks.recover(inputs, 0, never).changed
    stacks.destroy(inputs.stack, 0, never)


def test_it_cannot_be_made(stacks: Stacks, make_inputs: MakeInputs, settings: Settings) -> None:
    inputs = make_inputs(build=False)
    work = Path(settings.data_folder, "work")
    shutil.rmtree(work, ignore_errors=True)
    work.touch()
    with pytest.raises(WorkFolderUnusable, match="data_folder"):
        stacks.up(inputs, 0)
    work.unlink()
    assert stacks.up(inputs, 0).changed
    stacks.destroy(inputs.stack, 0, never)
