"""`pulumi preview` of the project in the repository's root, by the plain CLI, against a real cluster."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests import samples
from tests.integration import language_host

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

ROOT = Path(__file__).parents[2]
CONFIG = "reviewapp:inputs"


class Project:
    """The repository's project, its state and config elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self._environment = os.environ | {
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase of a test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        language_host.install(folder)
        self.folder.mkdir()
        for name in ("Pulumi.yaml", "stacks", ".venv"):
            (self.folder / name).symlink_to(ROOT / name)

    def pulumi(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", "--non-interactive", *arguments],
            cwd=self.folder,
            env=self._environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def select(project: Project, inputs: StackInputs, stack: str | None = None) -> None:
    for arguments, text in (
        (("stack", "init", stack or inputs.stack), None),
        (("config", "set", "--secret", CONFIG), inputs.model_dump_json()),
    ):
        done = project.pulumi(*arguments, text=text)
        assert done.returncode == 0, done.stderr


def test_a_preview_shows_what_the_stack_would_declare(project: Project) -> None:
    inputs = samples.inputs(config={"namespace": "nobody-has-this-namespace"})
    select(project, inputs)
    done = project.pulumi("preview", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    steps: list[dict[str, Any]] = json.loads(done.stdout)["steps"]
    created = {step["urn"].rpartition("::")[2] for step in steps if step["op"] == "create"}
    declared = {f"{manifest['kind']}/{manifest['metadata']['name']}" for manifest in manifests(inputs)}
    assert created - declared == {f"reviewapp-{inputs.stack}"}
    assert declared <= created


def test_neither_config_nor_preview_shows_a_secret(project: Project) -> None:
    inputs = samples.inputs(config={"env": {"values": [{"name": "A", "value": "hunter2-hunter2"}]}})
    select(project, inputs)
    assert "hunter2" not in (project.folder / f"Pulumi.{inputs.stack}.yaml").read_text()
    done = project.pulumi("preview", "--diff")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "shop-42--env" in done.stdout
    for secret in ("hunter2-hunter2", "aHVudGVyMi1odW50ZXIy", "private key in PEM"):
        assert secret not in done.stdout + done.stderr


def test_a_preview_of_another_stack_says_so(project: Project) -> None:
    select(project, samples.inputs(), stack="acme.shop.43")
    done = project.pulumi("preview")
    assert done.returncode != 0
    assert "are those of the stack acme.shop.42" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
