"""The engine's releases are where the Dockerfile looks for them, and so is what stands in for them."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path

import pytest

from dev.paths import REPOSITORY
from dev.toolchain import releases
from dev.toolchain.releases import RELEASES, Release

_DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


def _said(pattern: str) -> set[str]:
    """Return what the Dockerfile says, with the versions and the architecture put in."""
    found: set[str] = set()
    for text in re.findall(pattern, _DOCKERFILE):
        for argument, value in re.findall(r"^ARG (\w+_VERSION)=(\S+)$", _DOCKERFILE, re.MULTILINE):
            text = text.replace(f"${{{argument}}}", value)
        found.add(text.replace("${TARGETARCH/amd64/x64}", "x64").replace("${TARGETARCH}", "amd64"))
    return found


def _without_architecture(archive: str) -> str:
    return re.sub(r"-(x64|amd64|arm64)\.tar\.gz$", "", archive)


@pytest.fixture(params=RELEASES.values(), ids=lambda release: release.component.name)
def release(request: pytest.FixtureRequest) -> Release:
    return request.param


def test_the_dockerfile_looks_where_they_are(release: Release) -> None:
    assert f"ARG {release.argument}={release.address}\n" in _DOCKERFILE
    assert f"${{{release.argument}}}/{release.folder}" in _said(r'releases="([^"]+)"')


def test_the_dockerfile_takes_what_is_there(release: Release) -> None:
    assert release.checksums in _said(r'sums="([^"]+)"')
    archives = {_without_architecture(archive) for archive in _said(r'archive="([^"]+)"')}
    assert _without_architecture(release.archive) in archives


def test_what_stands_in_is_laid_out_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "CACHE", tmp_path / "cache")
    programs: dict[str, Path] = {}
    for name in RELEASES:
        programs[name] = tmp_path / name
        programs[name].write_text(f"this is {name}")
    folder = releases.stand_in(programs)
    for name, release in RELEASES.items():
        there = folder / name / release.folder
        archive = there / release.archive
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert (there / release.checksums).read_text() == f"{digest}  {release.archive}\n"
        with tarfile.open(archive) as members:
            assert members.getnames() == [release.member]
        assert release.member in _DOCKERFILE
    assert releases.stand_in(programs) == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
