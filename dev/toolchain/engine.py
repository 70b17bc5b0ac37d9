"""Find the pulumi CLI and the kubernetes provider plugin in their pinned versions, or get them.

In this order: what is on PATH in the right version; the official release, where the network gives it;
built from their Go modules. What was fetched is kept in the cache like what was built.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import httpx

from dev.console import Step, say
from dev.paths import TOOLCHAIN
from dev.toolchain.build import build, is_built, programs_folder
from dev.toolchain.components import ENGINE, Component
from dev.toolchain.releases import RELEASES, Release
from provisioner.plugin import plugin_version

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 60.0


def engine() -> list[Path]:
    """Return the folders to put first on PATH, so that both programs are found in their pinned versions."""
    return [folder for component in ENGINE if (folder := _folder(component))]


def programs() -> dict[str, Path]:
    """Return the program of each component of the engine, by the component's name, in its pinned version."""
    search = os.pathsep.join([*map(str, engine()), os.environ.get("PATH", os.defpath)])
    found = {component.name: shutil.which(component.programs[0], path=search) for component in ENGINE}
    return {name: Path(path) for name, path in found.items() if path}


def _folder(component: Component) -> Path | None:
    (program,) = component.programs
    if _version(program) == component.version:
        return None
    if not is_built(component) and not _download(RELEASES[component.name]):
        build(component)
    folder = programs_folder(component)
    found = _version(str(folder / program))
    if found != component.version:
        raise RuntimeError(f"{folder / program} says it is version {found}, not {component.version}: remove {folder}")
    return folder


def _version(program: str) -> str | None:
    """Return the version that a program of the engine says it has; None if there is no such program."""
    path = shutil.which(program)
    if path is None:
        return None
    if Path(program).name != "pulumi":
        return plugin_version(Path(path))
    try:
        answer = subprocess.run([path, "version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().removeprefix("v")


def _download(release: Release) -> bool:
    """Fetch a component's release into the cache; return whether it could be had."""
    component, archive = release.component, release.archive
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    try:
        with httpx.Client(
            timeout=timeout, follow_redirects=True, base_url=f"{release.address}/{release.folder}/"
        ) as client:
            wanted = client.get(release.checksums).raise_for_status().text
            with tempfile.TemporaryDirectory(dir=TOOLCHAIN.parent if TOOLCHAIN.parent.is_dir() else None) as folder:
                file = Path(folder) / archive
                with Step(f"download {component.name} {component.version}") as step:
                    digest = _fetch(client, archive, file, step)
                if f"{digest}  {archive}" not in wanted:
                    say(f"  {archive} does not have the published checksum: it is built instead")
                    return False
                _install(component, file)
    except (httpx.HTTPError, OSError) as error:
        reason = type(error).__name__
        say(f"  no release of {component.name} {component.version} from here ({reason}): it is built instead")
        return False
    return True


def _fetch(client: httpx.Client, name: str, file: Path, step: Step) -> str:
    digest = hashlib.sha256()
    done = 0
    with client.stream("GET", name) as answer, file.open("wb") as output:
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            output.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            step.progress(f"{done >> 20} MiB")
    return digest.hexdigest()


def _install(component: Component, archive: Path) -> None:
    """Put the program of a release archive where its build would have put it."""
    (program,) = component.programs
    target = programs_folder(component)
    partial = target.with_name(f"{target.name}.download")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with tarfile.open(archive) as members:
        member = next(entry for entry in members if Path(entry.name).name == program)
        source = members.extractfile(member)
        if source is None:
            raise OSError(f"{archive} has no file {program}")
        with source, (partial / program).open("wb") as output:
            shutil.copyfileobj(source, output)
    (partial / program).chmod(0o755)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
