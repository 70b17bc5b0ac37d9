"""The layers of the unpack image: this machine's Python, the libraries that `builder` needs, `builder` itself."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Set
from pathlib import Path

from dev.console import fail
from dev.images.archive import Layer, Tree
from dev.images.machine import add_libraries, add_program, versions
from dev.paths import REPOSITORY

FOLDER = "opt/reviewapp"
"""Where the libraries and `builder` lie in the image."""

NEEDS = ("boto3", "httpx", "pydantic", "pydantic-settings", "stamina", "zstandard")
"""What `builder` imports; each in the version that the project's lock names."""

_PYTHON = Path("/usr/bin/python3")
_LOCK = REPOSITORY / "requirements.lock"
_LEFT_OUT_OF_PYTHON = {
    "test",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "pydoc_data",
    "tkinter",
    "turtledemo",
    "distutils",
    "__pycache__",
}
_KEPT_OF_BOTOCORE = {"s3", "sts"}


def layers() -> tuple[Layer, ...]:
    """What makes a Python with `builder` of an image with a shell, lowest first."""
    python = f"python{_python_version()}"
    sources = sorted((REPOSITORY / "builder").rglob("*.py"))
    return (
        Layer("python", versions(f"{python}-minimal", f"lib{python}-stdlib", "libc6"), _fill_python),
        Layer("unpack-libraries", (python, *NEEDS, _digest(_LOCK)), _fill_libraries),
        Layer(
            "unpack", (python, *(f"{file.relative_to(REPOSITORY)}={_digest(file)}" for file in sources)), _fill_builder
        ),
    )


def _fill_builder(tree: Tree) -> None:
    _add_compiled(tree, REPOSITORY / "builder", f"{FOLDER}/builder", leave_out={"__pycache__"})


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@functools.cache
def _python_version() -> str:
    question = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    return subprocess.run(
        [_PYTHON, "-c", question], capture_output=True, text=True, timeout=30, check=True
    ).stdout.strip()


def _fill_python(tree: Tree) -> None:
    version = _python_version()
    add_program(tree, _PYTHON.resolve(), "usr/bin/python3")
    tree.link("usr/bin/python", "python3")
    library = Path(f"/usr/lib/python{version}")
    _add_compiled(tree, library, str(library), leave_out=_LEFT_OUT_OF_PYTHON)
    extensions = sorted((library / "lib-dynload").glob("*.so"))
    for extension in extensions:
        tree.file(str(extension), extension, 0o755)
    add_libraries(tree, extensions)


def _fill_libraries(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as target:
        constraints = ["--constraint", str(_LOCK)]
        where = ["--python", str(_PYTHON), "--target", target]
        command = ["uv", "pip", "install", "--quiet", *where, *constraints, *NEEDS]
        if shutil.which(command[0]) is None:
            fail("there is no uv, which installs the libraries of the unpack image", "run `dev/bootstrap.sh images`")
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            fail(
                f"libraries for the unpack image were not installed:\n{done.stderr}",
                "check the Python package registry",
            )
        for service in (Path(target) / "botocore/data").iterdir():
            if service.is_dir() and service.name not in _KEPT_OF_BOTOCORE:
                shutil.rmtree(service)
        add_libraries(tree, sorted(Path(target).rglob("*.so")))
        _add_compiled(tree, Path(target), FOLDER, leave_out={"bin", "__pycache__"}, everything=True)


def _add_compiled(
    tree: Tree, source: Path, to: str, *, leave_out: Set[str] = frozenset(), everything: bool = False
) -> None:
    """Add Python modules with their bytecode, which never asks for the source's date: a layer's files have none.

    Args:
        tree: the layer's files.
        source: the folder of the modules.
        to: the folder's path in the image.
        leave_out: names of folders and files to skip, at any depth.
        everything: whether files other than Python's are added too.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch)
        files: list[Path] = []
        for folder, folders, names in os.walk(source):
            folders[:] = sorted(set(folders) - leave_out)
            files += [Path(folder) / name for name in sorted(names) if name not in leave_out]
        for file in files:
            name = f"{to}/{file.relative_to(source)}"
            if file.suffix == ".py":
                target = copy / file.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
                tree.file(name, file.read_bytes())
            elif everything:
                tree.file(name, file.read_bytes(), 0o755 if file.suffix == ".so" else 0o644)
        command = [
            _PYTHON,
            "-m",
            "compileall",
            "-q",
            "-s",
            scratch,
            "-p",
            f"/{to}",
            "--invalidation-mode",
            "unchecked-hash",
            scratch,
        ]
        # Some libraries carry modules of newer or older Pythons: what does not compile is left to fail when imported.
        subprocess.run(command, capture_output=True, timeout=600, check=False)
        for bytecode in sorted(copy.rglob("*.pyc")):
            tree.file(f"{to}/{bytecode.relative_to(copy)}", bytecode.read_bytes())
