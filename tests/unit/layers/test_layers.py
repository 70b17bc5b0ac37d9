"""The layers hold, and whoever breaks one is told. `make check` runs the same tools on the real code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
PACKAGES: list[str] = PROJECT["importlinter"]["root_packages"]
CONTRACTS: list[str] = [contract["name"] for contract in PROJECT["importlinter"]["contracts"]]
LAYERS, BUILDER, DEV, CLUSTER, PULUMI = CONTRACTS


def lint(folder: Path) -> dict[str, str]:
    """Run import-linter in a folder; return what it says of each contract."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = dict(re.findall(r"^(.+) (KEPT|BROKEN)\b", done.stdout, re.MULTILINE))
    assert found.keys() == set(CONTRACTS), done.stdout + done.stderr
    assert (done.returncode == 0) is ("BROKEN" not in found.values())
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "imported", "contract"),
    [
        ("stacks/naming.py", "provisioner.settings", LAYERS),
        ("provisioner/crd.py", "watcher.status", LAYERS),
        ("builder/fetch.py", "stacks.naming", BUILDER),
        ("watcher/status.py", "dev.console", DEV),
        ("provisioner/crd.py", "builder.errors", DEV),
        ("provisioner/desired.py", "kubernetes.client", CLUSTER),
        ("watcher/status.py", "pulumi", PULUMI),
    ],
)
def test_a_broken_layer_is_told(copy: Path, module: str, imported: str, contract: str) -> None:
    with (copy / module).open("a") as file:
        file.write(f"\nimport {imported}\n")
    broken = {name for name, state in lint(copy).items() if state == "BROKEN"}
    assert contract in broken
    # An import backwards through the layers can lead on to what another contract forbids.
    assert broken == {contract} or contract == LAYERS


@pytest.mark.parametrize("statement", ["import pulumi.automation", "from pulumi import automation"])
@pytest.mark.parametrize("package", ["stacks", "watcher", "dev", "provisioner"])
def test_the_engine_is_the_provisioners_alone(copy: Path, package: str, statement: str) -> None:
    module = copy / package / "violation.py"
    module.write_text(f"{statement}\n")
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--select=TID251",
        "--output-format=json",
        str(module),
    ]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60, check=False)
    codes = [found["code"] for found in json.loads(done.stdout)]
    assert codes == ([] if package == "provisioner" else ["TID251"])
