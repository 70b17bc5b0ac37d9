"""What goes into each image. Names follow what upstream's images offer, so that the same Job runs with either."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from dev.images import python
from dev.images.archive import Image, Layer, Tree
from dev.images.machine import add_libraries, add_merged_root, add_program, versions
from dev.next_release import next_release
from dev.toolchain.build import build
from dev.toolchain.components import BUILDKIT, COREDNS, CRANE, ROOTLESSKIT, Component
from dev.toolchain.modules import module_folder

USER = 1000
_POSTGRES = max(Path("/usr/lib/postgresql").glob("*"), default=Path("/usr/lib/postgresql/15"))
_POSTGRES_USER = 999
_BUSYBOX = Path("/bin/busybox")
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_CAP_SETGID = 6
_CAP_SETUID = 7


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


def buildah() -> Image:
    """Buildah for user 1000, laid out as upstream's `quay.io/buildah/stable` is as far as our Job needs it.

    For `newuidmap` see `buildkit`. Where a Pod has a user namespace of its own, the same image runs as its root.
    """

    def fill(tree: Tree) -> None:
        add_program(tree, Path("/usr/bin/buildah"))
        add_program(tree, Path("/usr/bin/newuidmap"), capability=_CAP_SETUID)
        add_program(tree, Path("/usr/bin/newgidmap"), capability=_CAP_SETGID)
        for name in ("/etc/containers/policy.json", "/etc/containers/registries.conf"):
            tree.file(name, Path(name))
        for name in ("containers.conf", "seccomp.json"):
            tree.file(f"usr/share/containers/{name}", Path("/usr/share/containers") / name)
        for name in ("etc/subuid", "etc/subgid"):
            tree.file(name, b"user:100000:65536\nroot:1:65535\n")

    packages = versions(
        "buildah", "golang-github-containers-common", "golang-github-containers-image", "uidmap", "libc6"
    )
    version = packages[0].partition("=")[2].partition("+")[0]
    return Image(
        "buildah",
        version,
        (_busybox(), Layer("buildah", packages, fill)),
        command=("buildah", "--version"),
        environment=("HOME=/home/user", "USER=user", "BUILDAH_ISOLATION=chroot"),
        user=f"{USER}:{USER}",
    )


def unpack() -> Image:
    """Python with the project's `builder` package: fetches and unpacks the source of a build."""
    return Image(
        "unpack",
        next_release(),
        (_busybox(), *python.layers()),
        entrypoint=("python3", "-m", "builder.unpack"),
        environment=(
            f"PYTHONPATH=/{python.FOLDER}",
            "PYTHONUNBUFFERED=1",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        ),
        user=f"{USER}:{USER}",
    )


def postgres() -> Image:
    """PostgreSQL with its contributed extensions; users and folders as in the official image on Debian."""

    def fill(tree: Tree) -> None:
        programs = sorted((_POSTGRES / "bin").iterdir())
        for program in programs:
            tree.file(str(program), program.resolve(), 0o755)
        for folder in (_POSTGRES / "lib", Path("/usr/share/postgresql") / _POSTGRES.name):
            for file in sorted(folder.rglob("*")):
                if file.is_file() and "bitcode" not in file.parts:
                    tree.file(str(file), file.resolve(), 0o755 if file.suffix == ".so" else 0o644)
        add_libraries(tree, [*programs, *sorted((_POSTGRES / "lib").glob("*.so"))])
        for file in sorted(Path("/usr/lib/locale/C.utf8").rglob("*")):
            if file.is_file():
                tree.file(str(file), file)
        users = (
            f"root:x:0:0:root:/root:/bin/sh\npostgres:x:{_POSTGRES_USER}:{_POSTGRES_USER}::/tmp:/bin/sh\n"
        ).encode()
        tree.file("etc/passwd", users)
        tree.file("etc/group", f"root:x:0:\npostgres:x:{_POSTGRES_USER}:\n".encode())
        tree.folder("var/lib/postgresql", owner=_POSTGRES_USER)
        tree.folder("var/lib/postgresql/data", owner=_POSTGRES_USER)

    version = _POSTGRES.name
    packages = versions(f"postgresql-{version}", f"postgresql-client-{version}", "libpq5", "libc6", "libc-bin")
    layer = Layer("postgres", packages, fill)
    return Image(
        "postgres",
        version,
        (_busybox(), layer),
        command=("postgres",),
        search=(str(_POSTGRES / "bin"),),
        user=f"{_POSTGRES_USER}:{_POSTGRES_USER}",
    )


def node_images() -> tuple[Image, ...]:
    """Images that the node itself has to have before it can pull any."""
    return (pause(), coredns())


def published_images() -> tuple[Image, ...]:
    """Images that review apps are built with, for any cluster's registry."""
    return (busybox(), buildkit(), buildah(), crane(), postgres(), unpack())


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


def _tag_part(version: str) -> str:
    """Return a Debian version as a tag may have it."""
    return version.rpartition(":")[2].replace("+", "-").replace("~", "-")
