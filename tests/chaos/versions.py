"""Commits for a pull request to go through, in an order of their own, and what becomes of an app with each.

Most of those that run are not built in a Pod: their image is put together once and is there under the tag that the
watcher looks for, as after a build of the same commit. Two cores have no time for more.
"""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

from dev.sample import Sample
from dev.target import BASE_IMAGE
from stacks import naming

Kind = Literal["ready", "built", "crashing", "broken"]
"""Its page comes; its page comes, and it is built in a Pod; it ends again and again; it can't be built."""

_NUMBERS: dict[Kind, int] = {"ready": 6, "built": 2, "crashing": 2, "broken": 3}
_DOCKERFILES: dict[Kind, str] = {
    "crashing": 'FROM {base}\nUSER 1000\nCMD ["sh", "-c", "echo there is no database >&2; exit 3"]\n',
    "broken": "FROM {base}\nRUN echo the reason is here >&2 && exit 7\n",
}
_COMMANDS: dict[Kind, str] = {"ready": "sh,/start.sh", "crashing": "sh,-c,exit 3"}


@dataclasses.dataclass(frozen=True)
class Version:
    """One commit; of two, the one with the greater number is newer."""

    number: int
    kind: Kind
    commit: str


def commit_all(sample: Sample) -> list[Version]:
    """Commit all versions and have their tarballs served; return them, oldest first."""
    base = os.environ[BASE_IMAGE]
    kinds: list[Kind] = [kind for kind, count in _NUMBERS.items() for _ in range(count)]
    # Each kind all over the list, in the same order each time.
    kinds = [kinds[number * 5 % len(kinds)] for number in range(len(kinds))]
    found: list[Version] = []
    for number, kind in enumerate(kinds):
        dockerfile = _DOCKERFILES.get(kind)
        files = {"Dockerfile": dockerfile.replace("{base}", base)} if dockerfile else None
        found.append(Version(number, kind, sample.commit(f"version {number}, {kind}", files)))
    sample.serve()
    for version in found:
        if version.kind in _COMMANDS:
            _push(sample, version, base)
    return found


def tag(version: Version, pull_request: str) -> None:
    """Have the image of a version there for a pull request, if it is one that is not built in Pods."""
    if version.kind in _COMMANDS:
        wanted = naming.image_reference(os.environ["REVIEWAPP_REGISTRY"], "acme", "shop", pull_request, version.commit)
        _crane("tag", _image(version), wanted.rpartition(":")[2])


def _image(version: Version) -> str:
    return f"{os.environ['REVIEWAPP_REGISTRY']}/acme/shop:chaos-{version.commit[:12]}"


def _push(sample: Sample, version: Version, base: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder, "layer.tar")
        with (
            tarfile.open(fileobj=io.BytesIO(sample.tarball(version.commit))) as source,
            tarfile.open(layer, "w") as into,
        ):
            for member in source:
                content = source.extractfile(member)
                member.name = member.name.partition("/")[2]
                if content:
                    into.addfile(member, content)
        image = _image(version)
        _crane("append", "--base", base, "--new_layer", str(layer), "--new_tag", image)
        _crane("mutate", image, "--tag", image, "--user", "1000", "--entrypoint", "", "--cmd", _COMMANDS[version.kind])


def _crane(*arguments: str) -> None:
    done = subprocess.run(["crane", "--insecure", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
