"""Take programs of this Debian machine into an image, with the libraries that they need."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from dev.console import fail
from dev.debian import installed_versions
from dev.images.archive import Tree

_MERGED = ("bin", "sbin", "lib", "lib64")


def versions(*packages: str) -> tuple[str, ...]:
    """What the layers made from these packages depend on: each package with its version.

    Raises:
        SystemExit: one of them is not installed.
    """
    found = installed_versions(packages)
    missing = [package for package in packages if package not in found]
    if missing:
        fail(f"Debian packages are missing: {' '.join(missing)}", "run `python -m dev up`, which installs them")
    return tuple(f"{package}={found[package]}" for package in packages)


def add_merged_root(tree: Tree) -> None:
    """Lay out the root as Debian does: `/bin` and the like lead into `/usr`."""
    for name in _MERGED:
        tree.folder(f"usr/{name}")
        tree.link(name, f"usr/{name}")


def add_program(tree: Tree, program: Path, to: str = "", *, capability: int | None = None) -> None:
    """Add a program of this machine and its libraries.

    Args:
        tree: the layer's files.
        program: the program here.
        to: its path there, where it is another one.
        capability: see `Tree.file`.
    """
    tree.file(to or _merged(program), program, 0o755, capability=capability)
    add_libraries(tree, [program])


def add_libraries(tree: Tree, users: Iterable[Path]) -> None:
    """Add the shared libraries, loader included, that these programs and libraries are linked to."""
    listed = subprocess.run(["ldd", *map(str, users)], capture_output=True, text=True, timeout=60, check=False)
    # Lines with a library are indented; with several programs each has a line of its own before them.
    lines = [line for line in listed.stdout.splitlines() if line.startswith("\t")]
    for word in sorted({word for line in lines for word in line.split() if word.startswith("/")}):
        tree.file(_merged(Path(word)), Path(word), 0o755)


def _merged(path: Path) -> str:
    """Return the path with links among its folders resolved: `/lib/…` becomes `/usr/lib/…`."""
    return str(path.parent.resolve() / path.name)
