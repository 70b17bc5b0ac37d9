"""The program as the plain CLI runs it: its folder, with the inputs in the stack's config."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from provisioner.backend import PROJECT_FILE
from stacks.review_app import declare
from tests import samples
from tests.program.recording import Registration, run

ROOT = Path(__file__).parents[2]
STACK = "acme.shop.42"


def run_folder(config: dict[str, str], stack: str = STACK) -> dict[str, Registration]:
    def program() -> None:
        pulumi.runtime.set_all_config(config)
        runpy.run_path(str(ROOT / "stacks"), run_name="__main__")

    return run(program, stack=stack)[0]


def test_it_declares_what_the_inline_program_does() -> None:
    inputs = samples.inputs()
    registered = run_folder({"reviewapp:inputs": inputs.model_dump_json()})
    assert registered == run(lambda: declare(inputs), stack=STACK)[0]


def test_without_inputs_it_says_which_config_is_missing() -> None:
    with pytest.raises(pulumi.ConfigMissingError, match="reviewapp:inputs"):
        run_folder({})


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"workload": "hunter2"}, "workload: Input should be an object"),
        ({"route": {"tls": "hunter2"}}, "route.host: Field required"),
        ({"hunter": "hunter2"}, "hunter: Extra inputs are not permitted"),
    ],
)
def test_inputs_that_do_not_hold_are_named_and_not_shown(change: dict[str, Any], wrong: str) -> None:
    document = samples.inputs().model_dump(mode="json") | change
    with pytest.raises(pulumi.RunError, match="reviewapp:inputs does not hold") as caught:
        run_folder({"reviewapp:inputs": json.dumps(document)})
    assert wrong in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_no_json_at_all() -> None:
    with pytest.raises(pulumi.RunError, match="reviewapp:inputs does not hold: the whole: Invalid JSON"):
        run_folder({"reviewapp:inputs": "hunter2"})


def test_another_stacks_inputs_are_refused() -> None:
    with pytest.raises(pulumi.RunError, match=r"are those of the stack acme\.shop\.42: select that"):
        run_folder({"reviewapp:inputs": samples.inputs().model_dump_json()}, stack="acme.shop.43")


def test_the_folder_hides_no_module_of_pythons() -> None:
    # A process of its own: here, everybody has imported `secrets` long ago.
    code = (
        "import runpy\n"
        "try: runpy.run_path('stacks', run_name='__main__')\n"
        "except Exception: pass\n"
        "import sys; print(sys.modules['secrets'].__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "stacks" not in done.stdout


def test_the_project_file_says_what_the_watchers_does() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    inline = yaml.safe_load(PROJECT_FILE)
    assert (project["name"], project["config"]) == (inline["name"], inline["config"])
    assert project["runtime"]["name"] == inline["runtime"]
    assert (ROOT / project["main"] / "__main__.py").is_file()
