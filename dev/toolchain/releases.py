"""The engine's official releases: where they are, what is in them, and a folder that stands in where they can't be had.

Such a folder is laid out as a mirror of the releases is, with what was built here in place of what is published.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import shutil
import tarfile
from pathlib import Path

import httpx

from dev.console import Step
from dev.paths import CACHE
from dev.toolchain.components import KUBERNETES_PROVIDER, PULUMI, Component

_CONNECT_SECONDS = 5.0
_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


@dataclasses.dataclass(frozen=True)
class Release:
    """One component as its authors publish it.

    Attributes:
        component: what is published.
        argument: of the Dockerfile, which says where the releases are.
        address: where they are; below it is a folder for each version.
        archive: name of the archive for this machine.
        checksums: name of the file with the archives' checksums.
        member: path of the program in the archive.
    """

    component: Component
    argument: str
    address: str
    archive: str
    checksums: str
    member: str

    @property
    def folder(self) -> str:
        """Name of the folder of this version."""
        return f"v{self.component.version}"

    def can_be_had(self) -> bool:
        """Whether the network gives it."""
        url = f"{self.address}/{self.folder}/{self.checksums}"
        try:
            return httpx.head(url, timeout=_CONNECT_SECONDS, follow_redirects=True).is_success
        except httpx.HTTPError:
            return False


RELEASES = {
    PULUMI.name: Release(
        PULUMI,
        "PULUMI_RELEASES",
        "https://github.com/pulumi/pulumi/releases/download",
        f"pulumi-v{PULUMI.version}-linux-{_ARCHITECTURE.replace('amd64', 'x64')}.tar.gz",
        f"pulumi-{PULUMI.version}-checksums.txt",
        "pulumi/pulumi",
    ),
    KUBERNETES_PROVIDER.name: Release(
        KUBERNETES_PROVIDER,
        "KUBERNETES_PROVIDER_RELEASES",
        "https://github.com/pulumi/pulumi-kubernetes/releases/download",
        f"pulumi-resource-kubernetes-v{KUBERNETES_PROVIDER.version}-linux-{_ARCHITECTURE}.tar.gz",
        f"pulumi-kubernetes_{KUBERNETES_PROVIDER.version}_checksums.txt",
        "pulumi-resource-kubernetes",
    ),
}
"""By the component's name."""


def stand_in(programs: dict[str, Path]) -> Path:
    """Return a folder with a release of each component, by its name, made of programs of this machine.

    Each is at `<component>/v<version>/`, as below an address of releases, with its checksum.
    """
    key = "-".join(RELEASES[name].component.key for name in sorted(programs))
    target = CACHE / "releases" / key
    if target.exists():
        return target
    partial = target.with_name(f"{key}.{os.getpid()}.new")
    shutil.rmtree(partial, ignore_errors=True)
    with Step("pack the engine as its releases are"):
        for name, program in programs.items():
            release = RELEASES[name]
            folder = partial / name / release.folder
            folder.mkdir(parents=True)
            with tarfile.open(folder / release.archive, "w:gz", compresslevel=1) as archive:
                archive.add(program.resolve(), release.member)
            digest = hashlib.sha256((folder / release.archive).read_bytes()).hexdigest()
            (folder / release.checksums).write_text(f"{digest}  {release.archive}\n")
    try:
        partial.rename(target)
    except OSError:
        # Another one was quicker.
        shutil.rmtree(partial)
    return target
