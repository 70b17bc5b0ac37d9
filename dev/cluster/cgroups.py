"""The node's cgroups: the kernel's own list of which processes belong to the cluster.

A process cannot leave its cgroup by forking, so what a killed cluster left behind is found here whatever
became of its pid files. Knows nothing about what the processes are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from dev.cluster.layout import CGROUP

_ROOT = Path("/sys/fs/cgroup")
_MOUNTS = Path("/proc/self/mountinfo")
_REMOVAL_SECONDS = 10.0


def hierarchies() -> list[Path]:
    """Mount points of all cgroup hierarchies, version 2 (also the one beside version 1) first."""
    found: list[tuple[bool, Path]] = []
    for line in _MOUNTS.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split()[0]
        path = Path(before.split()[4])
        if kind in ("cgroup", "cgroup2") and path.is_relative_to(_ROOT):
            found.append((kind == "cgroup", path))
    return [path for _, path in sorted(found)]


def create() -> Path:
    """Make the node's cgroup in each hierarchy; return the `cgroup.procs` file that parts join.

    Parts join one hierarchy only: that is enough to tell whose a process is.

    Raises:
        OSError: the machine lets nobody make cgroups, or keeps its controllers to itself.
    """
    roots = hierarchies()
    for root in roots:
        folder = root / CGROUP
        folder.mkdir(exist_ok=True)
        controllers = root / "cgroup.controllers"
        if controllers.exists():
            _delegate(root, controllers.read_text().split())
        if (folder / "cpuset.cpus").exists() and not (folder / "cgroup.controllers").exists():
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (folder / setting).write_text((root / setting).read_text())
    parts = roots[0] / CGROUP / "parts"
    parts.mkdir(exist_ok=True)
    return parts / "cgroup.procs"


def _delegate(root: Path, controllers: list[str]) -> None:
    for folder in (root, root / CGROUP):
        for controller in controllers:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def processes() -> set[int]:
    """Pids of all processes in the node's cgroups: its parts, their children, and those of its Pods."""
    return {pid for folder in _folders() for pid in _pids(folder)}


def pod_processes() -> set[int]:
    """Pids of the processes in the Pods' cgroups."""
    return {pid for folder in _folders() if "kubepods" in folder.parts for pid in _pids(folder)}


def remove() -> list[Path]:
    """Remove the node's cgroups, waiting for ended processes to leave them; return those that stayed."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        left = [folder for folder in _folders() if not _removed(folder)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _folders() -> Iterator[Path]:
    """The node's cgroups in all hierarchies, children before their parents."""
    for root in hierarchies():
        for folder, _, _ in os.walk(root / CGROUP, topdown=False):
            yield Path(folder)


def _pids(folder: Path) -> list[int]:
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        # Removed meanwhile, or a threaded version 2 cgroup, whose processes its parent lists.
        return []
