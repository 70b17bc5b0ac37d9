"""What `python -m dev release` makes: a wheel that runs where nothing else is installed, and a list of what that is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from dev.licences import packages
from dev.paths import REPOSITORY
from dev.release import release


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files by what their names end with."""
    # Whoever runs tests has installed it all; the cluster's network namespace, where they run, leads to no index.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_OFFLINE", "1")
        # It runs the wheel's own `reviewapp --help` before it returns.
        return {"".join(file.suffixes[-2:]): file for file in release(tmp_path_factory.mktemp("release") / "dist")}


def test_the_bill_lists_what_the_wheel_installs(made: dict[str, Path]) -> None:
    bill = json.loads(made[".cdx.json"].read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "reviewapp"
    listed = {canonicalize_name(component["name"]): component for component in bill["components"]}
    assert listed.keys() >= {"pulumi", "pulumi-kubernetes", "kubernetes", "pydantic", "typer"}
    assert not listed.keys() & {"pytest", "moto", "mkdocs", "pulumi-aws"}
    locked = (REPOSITORY / "requirements.lock").read_text()
    for name, component in listed.items():
        if name != "reviewapp":
            assert f"\n{name}=={component['version']} " in f"\n{locked}"
            assert component["purl"].startswith("pkg:pypi/")


def test_the_licences_are_listed_of_all_that_is_installed(made: dict[str, Path]) -> None:
    components = json.loads(made[".cdx.json"].read_text())["components"]
    assert {canonicalize_name(one["name"]) for one in components} <= {one.name for one in packages()} | {"reviewapp"}


def test_the_source_archive_knows_its_version(made: dict[str, Path], tmp_path: Path) -> None:
    """Without git, as whoever has the archive alone builds it."""
    (source,) = [file for name, file in made.items() if name.endswith(".gz")]
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    assert _version(folder) == folder.name.removeprefix("reviewapp-")


def test_without_tags_and_without_git_it_is_the_next_release(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for name in ("README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tmp_path)
    assert re.fullmatch(r"\d+\.\d+\.\d+\.dev0", _version(tmp_path))


def test_a_tag_is_the_version(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "one"], ["tag", "v7.8.9"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)
    assert _version(tmp_path) == "7.8.9"


def _version(folder: Path) -> str:
    command = [sys.executable, "-m", "hatchling", "version"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
