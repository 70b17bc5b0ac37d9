"""Which stacks a state backend has. Reads only."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile

from provisioner.engine import Engine
from provisioner.errors import EngineTimeout
from provisioner.failures import classify
from provisioner.settings import Settings
from provisioner.stack_files import PROJECT, checkpoints
from provisioner.state_store import open_store
from provisioner.workspace import environment

_SECONDS = 60.0


def stack_names(settings: Settings, engine: Engine) -> list[str]:
    """Return the names of all review apps' stacks in the backend. One run of the CLI, where only that can read it.

    Raises:
        EngineError: the backend can't be read.
    """
    if store := open_store(settings.state_url):
        return sorted(checkpoints(store))
    # The CLI takes a project folder above the current one for what is meant.
    with environment(settings) as variables, tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [engine.command, "stack", "ls", "--all", "--json", "--non-interactive"],
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                cwd=folder,
                env=os.environ | variables,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EngineTimeout("stack ls", _SECONDS) from None
    if done.returncode:
        raise classify("", "stack ls", done.returncode, done.stderr, ())
    prefix = f"organization/{PROJECT}/"
    names: list[str] = [stack["name"] for stack in json.loads(done.stdout)]
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))
