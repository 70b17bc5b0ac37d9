"""What goes into each image. Names follow what upstream's images offer, so that the same Job runs with either."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import tempfile
import tomllib
from collections.abc import Set
from pathlib import Path

from dev.console import fail
from dev.images.archive import Image, Layer, Tree
from dev.images.machine import add_libraries, add_merged_root, add_program, versions
from dev.paths import REPOSITORY
from dev.toolchain.build import build
from dev.toolchain.components import BUILDKIT, COREDNS, CRANE, ROOTLESSKIT, Component
from dev.toolchain.modules import module_folder

USER = 1000
_BUSYBOX = Path("/bin/busybox")
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_PYTHON = Path("/usr/bin/python3")
_CAP_SETGID = 6
_CAP_SETUID = 7

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
_UNPACK_NEEDS = ("boto3", "httpx", "zstandard")
_UNPACK_FOLDER = "opt/reviewapp"


def pause() -> Image:
    """What holds a Pod's namespaces open."""

    def fill(tree: Tree) -> None:
        tree.file("bin/sleep", _BUSYBOX, 0o755)

    layer = Layer("pause", versions("busybox-static"), fill)
    return Image("pause", "1", (layer,), entrypoint=("/bin/sleep", "infinity"), user="65535:65535")


def coredns() -> Image:
    """The cluster's DNS server."""
    return Image("coredns", COREDNS.version, (_built(COREDNS, "usr/bin"),), entrypoint=("/usr/bin/coredns",))


def busybox() -> Image:
    """A small Linux with a shell: what the sample app is built on."""
    version = versions("busybox-static")[0].partition("=")[2]
    return Image("busybox", _tag_part(version), (_busybox(),), command=("sh",))


def crane() -> Image:
    """Pushes images; laid out as upstream's debug image is, with a shell."""

    def fill(tree: Tree) -> None:
        tree.link("usr/bin/crane", "/ko-app/crane")
        tree.link("busybox", "/usr/bin")

    layers = (_busybox(), _built(CRANE, "ko-app"), Layer("crane-links", (), fill))
    return Image(
        "crane",
        CRANE.version,
        layers,
        entrypoint=("/ko-app/crane",),
        user="65532:65532",
        search=("/ko-app", "/busybox"),
    )


def buildkit() -> Image:
    """Rootless BuildKit, laid out as upstream's `moby/buildkit:rootless` is.

    `newuidmap` and `newgidmap` carry file capabilities: as setuid programs they fail in a Pod.
    """

    def fill(tree: Tree) -> None:
        add_program(tree, Path("/usr/bin/newuidmap"), capability=_CAP_SETUID)
        add_program(tree, Path("/usr/bin/newgidmap"), capability=_CAP_SETGID)
        add_program(tree, Path("/usr/sbin/runc"), "usr/bin/buildkit-runc")
        script = module_folder(BUILDKIT.module_at) / "examples/buildctl-daemonless/buildctl-daemonless.sh"
        tree.file("usr/bin/buildctl-daemonless.sh", script, 0o755)
        for name in ("etc/subuid", "etc/subgid"):
            tree.file(name, b"user:100000:65536\n")
        for name in ("run/user/1000", "home/user", "home/user/.local", "home/user/.local/share"):
            tree.folder(name, owner=USER)
        for name in ("home/user/.local/tmp", "home/user/.local/share/buildkit"):
            tree.folder(name, owner=USER)

    rootless = Layer("rootless", versions("runc", "uidmap", "libc6"), fill)
    return Image(
        "buildkit",
        BUILDKIT.version,
        (_busybox(), _built(BUILDKIT, "usr/bin"), _built(ROOTLESSKIT, "usr/bin"), rootless),
        entrypoint=("rootlesskit", "buildkitd"),
        environment=(
            "HOME=/home/user",
            "USER=user",
            "XDG_RUNTIME_DIR=/run/user/1000",
            "TMPDIR=/home/user/.local/tmp",
            "BUILDKIT_HOST=unix:///run/user/1000/buildkit/buildkitd.sock",
        ),
        user=f"{USER}:{USER}",
        volumes=("/home/user/.local/share/buildkit",),
    )


def unpack() -> Image:
    """Python with the project's `builder` package: fetches and unpacks the source of a build."""
    python = f"python{_python_version()}"
    interpreter = Layer("python", versions(f"{python}-minimal", f"lib{python}-stdlib", "libc6"), _fill_python)
    lock = REPOSITORY / "requirements.lock"
    libraries = Layer(
        "unpack-libraries", (python, *_UNPACK_NEEDS, hashlib.sha256(lock.read_bytes()).hexdigest()), _fill_libraries
    )
    sources = sorted((REPOSITORY / "builder").rglob("*.py"))
    digests = tuple(
        f"{file.relative_to(REPOSITORY)}={hashlib.sha256(file.read_bytes()).hexdigest()}" for file in sources
    )
    own = Layer(
        "unpack",
        (python, *digests),
        lambda tree: _add_compiled(tree, REPOSITORY / "builder", f"{_UNPACK_FOLDER}/builder"),
    )
    return Image(
        "unpack",
        _project_version(),
        (_busybox(), interpreter, libraries, own),
        entrypoint=("python3", "-m", "builder.unpack"),
        environment=(
            f"PYTHONPATH=/{_UNPACK_FOLDER}",
            "PYTHONUNBUFFERED=1",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        ),
        user=f"{USER}:{USER}",
    )


def node_images() -> tuple[Image, ...]:
    """Images that the node itself has to have before it can pull any."""
    return (pause(), coredns())


def published_images() -> tuple[Image, ...]:
    """Images that review apps are built with, for any cluster's registry."""
    return (busybox(), buildkit(), crane(), unpack())


@functools.cache
def _busybox() -> Layer:
    def fill(tree: Tree) -> None:
        add_merged_root(tree)
        tree.file("usr/bin/busybox", _BUSYBOX, 0o755)
        listed = subprocess.run([_BUSYBOX, "--list-full"], capture_output=True, text=True, timeout=10, check=True)
        for applet in listed.stdout.split():
            path = applet if applet.startswith("usr/") else f"usr/{applet}"
            if path != "usr/bin/busybox" and path.startswith(("usr/bin/", "usr/sbin/")):
                tree.link(path, "/usr/bin/busybox")
        users = (
            "root:x:0:0:root:/root:/bin/sh",
            f"user:x:{USER}:{USER}:user:/home/user:/bin/sh",
            "nobody:x:65534:65534:nobody:/:/bin/false",
        )
        tree.file("etc/passwd", "\n".join([*users, ""]).encode())
        tree.file("etc/group", f"root:x:0:\nuser:x:{USER}:\nnogroup:x:65534:\n".encode())
        tree.file("etc/nsswitch.conf", b"hosts: files dns\n")
        tree.file(str(_AUTHORITIES), _AUTHORITIES)
        tree.folder("home/user", owner=USER)
        tree.folder("root", 0o700)
        tree.folder("run")
        for name in ("tmp", "var/tmp"):
            tree.folder(name, 0o1777)
        tree.link("var/run", "/run")

    return Layer("busybox", versions("busybox-static", "ca-certificates"), fill)


def _built(component: Component, folder: str) -> Layer:
    def fill(tree: Tree) -> None:
        programs = build(component)
        for program in component.programs:
            tree.file(f"{folder}/{program}", programs / program, 0o755)

    return Layer(component.name, (component.key, folder), fill)


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
        constraints = ["--constraint", str(REPOSITORY / "requirements.lock")]
        command = [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            str(_PYTHON),
            "--target",
            target,
            *constraints,
            *_UNPACK_NEEDS,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            fail(
                f"libraries for the unpack image were not installed:\n{done.stderr}",
                "check the Python package registry",
            )
        data = Path(target) / "botocore/data"
        leave_out = {folder.name for folder in data.iterdir() if folder.is_dir()} - _KEPT_OF_BOTOCORE
        _add_compiled(tree, Path(target), _UNPACK_FOLDER, leave_out=leave_out | {"bin", "__pycache__"}, everything=True)


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


def _project_version() -> str:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]


def _tag_part(version: str) -> str:
    """Return a Debian version as a tag may have it."""
    return version.rpartition(":")[2].replace("+", "-").replace("~", "-")
