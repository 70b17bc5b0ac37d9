"""Every place that names a version names the same one."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from dev.images.python import NEEDS
from dev.next_release import next_release
from dev.toolchain import components
from provisioner import engine
from provisioner.settings import Settings

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


def locked(name: str) -> str:
    (found,) = re.findall(rf"^{name}==(\S+)", LOCK, re.MULTILINE)
    return found


def argument(name: str) -> str:
    (value,) = re.findall(rf"^ARG {name}=(\S+)$", DOCKERFILE, re.MULTILINE)
    return value


def test_the_pulumi_cli() -> None:
    assert argument("PULUMI_VERSION") == components.PULUMI_VERSION == engine.PULUMI_VERSION


def test_the_provider_plugin_is_its_python_packages() -> None:
    assert argument("KUBERNETES_PROVIDER_VERSION") == components.KUBERNETES_PROVIDER_VERSION
    assert components.KUBERNETES_PROVIDER_VERSION == engine.PROVIDER_VERSION == locked("pulumi-kubernetes")
    assert f"pulumi-kubernetes=={components.KUBERNETES_PROVIDER_VERSION}" in PROJECT["dependencies"]


@pytest.mark.parametrize("name", ["pulumi", "pulumi-kubernetes", "pydantic", "kubernetes"])
def test_what_runs_here_is_what_is_locked(name: str) -> None:
    assert version(name) == locked(name)


def test_images_carry_the_version_of_the_next_release() -> None:
    release = next_release()
    assert re.fullmatch(r"\d+\.\d+\.\d+", release)
    tags = re.findall(r"--tag \S+:(\S+)", DOCKERFILE)
    assert tags == [release] * 3
    assert Settings.model_fields["unpack_image"].default.endswith(f":{release}")
    assert f"\n## {release}" in (ROOT / "CHANGELOG.md").read_text()


def test_a_tag_names_that_release() -> None:
    command = ["git", "tag", "--points-at", "HEAD", "--list", "v*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # An archive of the source has no tags.
    assert done.stdout.split() in ([], [f"v{next_release()}"])


def test_the_chart_is_of_the_next_release() -> None:
    chart = yaml.safe_load((ROOT / "deploy/chart/Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (next_release(), next_release())


def test_builder_images_are_those_that_are_tested() -> None:
    fields = Settings.model_fields
    assert fields["builder_image"].default == f"docker.io/moby/buildkit:v{components.BUILDKIT.version}-rootless"
    assert fields["push_image"].default.endswith(f":v{components.CRANE.version}")


def test_the_unpack_image_has_the_libraries_that_it_is_tested_with() -> None:
    (names,) = re.findall(r"'\^\(([a-z0-9|-]+)\)==", DOCKERFILE)
    assert tuple(names.split("|")) == NEEDS
    for name in NEEDS:
        assert locked(name)


def test_the_image_has_a_python_that_the_project_takes() -> None:
    (least,) = re.findall(r">=3\.(\d+)", PROJECT["requires-python"])
    (image,) = re.findall(r"python:3\.(\d+)-slim", argument("PYTHON_IMAGE"))
    assert int(image) >= int(least)


def test_the_image_gets_every_folder_that_it_copies_and_no_other() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied: set[str] = set()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        copied |= set(sources.split())
    assert copied == allowed
    for name in copied:
        assert (ROOT / name).exists()
