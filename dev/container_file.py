"""Build the images of the Dockerfile, with what this machine has for that: Docker, Podman or Buildah.

Where no registry gives the Python that they are built on, one is made of Debian's packages; where the engine's releases
can't be had, those programs stand in that this machine runs. All else is as the Dockerfile says, for anybody.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from dev import debian
from dev.console import Step, fail, say
from dev.next_release import next_release
from dev.paths import REPOSITORY
from dev.toolchain import build as toolchain
from dev.toolchain.components import CRANE
from dev.toolchain.engine import programs
from dev.toolchain.releases import RELEASES, stand_in

_DOCKERFILE = REPOSITORY / "Dockerfile"
_SECONDS = 1800
# The last one keeps the program away that merges /usr, with all of Perl: a hook has merged it by then.
_BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv", "python-is-python3", "usr-is-merged")
_MERGED = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A folder that every image has, and that is empty in it.
_RELEASES_AT = "/mnt"

PARTS = {
    "the pulumi CLI": ("/usr/local/bin/pulumi",),
    "the Kubernetes provider's plugin": ("/usr/local/bin/pulumi-resource-kubernetes",),
    "Python libraries": ("/opt/reviewapp/lib",),
    "this project": ("/opt/reviewapp/source",),
}
"""What takes the room in an image: places by what they are. The rest is Debian and its Python."""


@dataclasses.dataclass(frozen=True)
class Tool:
    """A program that builds images.

    Attributes:
        name: the program.
        build: the command that builds by a Dockerfile.
        asked: the command that says whether it works here.
        mounts: whether a build can be given a folder of this machine.
    """

    name: str
    build: tuple[str, ...]
    asked: tuple[str, ...]
    mounts: bool = True

    def has(self, image: str) -> bool:
        """Whether it has an image of this name."""
        kind = ("--type", "image") if self.name == "buildah" else ()
        return _run(self.name, *(() if self.name == "buildah" else ("image",)), "inspect", *kind, image).returncode == 0

    def pull(self, image: str) -> bool:
        """Get an image from its registry; return whether that went well."""
        return _run(self.name, "pull", image).returncode == 0

    def load(self, archive: Path, image: str) -> None:
        """Take an archive of a root's files as an image."""
        if self.name != "buildah":
            _do(f"import {image}", self.name, "import", "--change", f"ENV PATH={_PATH}", str(archive), image)
            return
        container = _do("make a container", "buildah", "from", "scratch").strip()
        try:
            _do("unpack the base", "buildah", "add", "--quiet", container, str(archive), "/")
            _do("set its PATH", "buildah", "config", "--env", f"PATH={_PATH}", container)
            _do(f"make {image}", "buildah", "commit", "--quiet", container, image)
        finally:
            _run("buildah", "rm", container)

    def run(self, image: str, *command: str) -> str:
        """Run a command in an image, as root; return what it prints."""
        if self.name != "buildah":
            return _do(
                f"run {command[0]}",
                *(self.name, "run", "--rm", "--user=0", f"--entrypoint={command[0]}", image, *command[1:]),
            )
        container = _do("make a container", "buildah", "from", image).strip()
        try:
            return _do(
                f"run {command[0]}", "buildah", "run", "--user=0", "--isolation=chroot", container, "--", *command
            )
        finally:
            _run("buildah", "rm", container)


_TOOLS = (
    Tool("docker", ("docker", "build"), ("docker", "info"), mounts=False),
    Tool("podman", ("podman", "build", "--layers"), ("podman", "info")),
    # In a chroot it needs no runtime of containers, nor what such a one needs of the kernel.
    Tool("buildah", ("buildah", "build", "--layers", "--isolation=chroot", "--format=docker"), ("buildah", "version")),
)


def tool() -> Tool:
    """Return the first program that builds images and works here; Buildah is installed where none does.

    Raises:
        SystemExit: there is none.
    """
    for candidate in _TOOLS:
        if shutil.which(candidate.name) and _run(*candidate.asked).returncode == 0:
            return candidate
    if shutil.which("apt-get") is None:
        fail("there is no program that builds images", "install Docker, Podman or Buildah, and start what they need")
    debian.install(("buildah",))
    return _TOOLS[-1]


def name(target: str) -> str:
    """Return what the image of a target is called, with a version and a digest of what it is made from."""
    return f"reviewapp/{target}:{next_release()}-{_digest()[:12]}"


def build(target: str) -> Tool:
    """Build the image of a target of the Dockerfile under its `name`, unless it is there; return what has it.

    Raises:
        SystemExit: it was not built.
    """
    with_ = tool()
    image = name(target)
    if with_.has(image):
        return with_
    options = ["--target", target, "--tag", image]
    base = _base(with_)
    arguments = {"PYTHON_IMAGE": base}
    if index := os.environ.get("PIP_INDEX_URL"):
        arguments["PIP_INDEX_URL"] = index
    if authorities := os.environ.get("SSL_CERT_FILE"):
        options += ["--secret", f"id=authorities,src={authorities}"]
    if target == "watcher" and not all(release.can_be_had() for release in RELEASES.values()):
        if not with_.mounts:
            fail("the engine's releases can't be had from here", "say where they are, as the Dockerfile's head does")
        options += ["--volume", f"{stand_in(programs())}:{_RELEASES_AT}:ro"]
        arguments |= {r.argument: f"file://{_RELEASES_AT}/{component}" for component, r in RELEASES.items()}
        say("  the engine's releases can't be had from here: its programs of this machine stand in")
    options += [f"--build-arg={argument}={value}" for argument, value in arguments.items()]
    with Step(f"build {image} with {with_.name}, on {base}"):
        _do(f"build {image}", *with_.build, *options, str(REPOSITORY))
    return with_


def sizes(with_: Tool, image: str) -> dict[str, int]:
    """Return the bytes that each of an image's `PARTS` takes, and what the rest does, and all of it."""
    paths = [path for places in PARTS.values() for path in places]
    script = 'for path; do if [ -e "$path" ]; then du -xsk "$path"; fi; done'
    lines = [line.split() for line in with_.run(image, "sh", "-c", script, "sh", "/", *paths).splitlines()]
    used = {path: int(kibibytes) << 10 for kibibytes, path in lines}
    whole = used.pop("/")
    parts = {part: sum(used.get(path, 0) for path in places) for part, places in PARTS.items()}
    return parts | {"Debian and its Python": whole - sum(used.values()), "all of it": whole}


def push(with_: Tool, image: str, reference: str, inside: tuple[str, ...] = ()) -> None:
    """Push an image to a registry, which may speak plain HTTP.

    Args:
        with_: what has the image.
        image: its name there.
        reference: its name in the registry, host included.
        inside: prefix of a command that reaches the registry (`ClusterAccess.inside`).

    Raises:
        SystemExit: it was not pushed.
    """
    with Step(f"push {reference}"):
        if with_.name == "docker":
            _do("name the image", "docker", "tag", image, reference)
            _do("push", *inside, "docker", "push", reference)
        else:
            _do("push", *inside, with_.name, "push", "--tls-verify=false", image, f"docker://{reference}")


def publish(target: str, registry: str, inside: tuple[str, ...] = ()) -> str:
    """Build the image of a target of the Dockerfile and push it, unless the registry has it; return its reference.

    Args:
        target: the target.
        registry: host and port, with a path if need be; plain HTTP will do.
        inside: as of `push`.

    Raises:
        SystemExit: the image was not built or not pushed.
    """
    reference = f"{registry}/{name(target)}"
    if _run(*inside, str(toolchain.build(CRANE) / "crane"), "digest", "--insecure", reference).returncode:
        push(build(target), name(target), reference, inside)
    return reference


def _base(with_: Tool) -> str:
    """Return the image with Python: the one that is asked for, the Dockerfile's own, or one of Debian's packages."""
    if given := os.environ.get("PYTHON_IMAGE"):
        return given
    (official,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", _DOCKERFILE.read_text(), re.MULTILINE)
    release = _os_release().get("VERSION_CODENAME", "bookworm")
    recipe = repr((release, _BASE_PACKAGES, _MERGED, _LEFT_OUT, _PATH))
    made = f"localhost/reviewapp/python:{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if with_.has(official):
        return official
    if with_.has(made):
        return made
    if with_.pull(official):
        return official
    say(f"  no registry gives {official} from here: its place takes Debian's own Python")
    debian.install(("mmdebstrap",))
    with tempfile.TemporaryDirectory() as folder, Step("make a base of Debian's packages"):
        archive = Path(folder) / "base.tar"
        left_out = [f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT]
        included = f"--include={','.join(_BASE_PACKAGES)}"
        options = ("--quiet", "--variant=apt", _MERGED, included, *left_out)
        _do("make a base", "mmdebstrap", *options, release, str(archive))
        with_.load(archive, made)
    return made


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines() if Path("/etc/os-release").exists() else []
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _digest() -> str:
    """Return a digest of all that goes into the images, but for what Debian and the index serve today."""
    ignore = (REPOSITORY / ".dockerignore").read_text().splitlines()
    paths = [REPOSITORY / line.removeprefix("!") for line in ignore if line.startswith("!")]
    files = [_DOCKERFILE, *(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")))]
    whole = hashlib.sha256("".join(release.component.key for release in RELEASES.values()).encode())
    for file in sorted(file for file in files if file.is_file() and "__pycache__" not in file.parts):
        whole.update(f"{file.relative_to(REPOSITORY)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return whole.hexdigest()


def _do(what: str, *command: str) -> str:
    """Run a command; return what it prints.

    Raises:
        SystemExit: it failed.
    """
    done = _run(*command)
    if done.returncode:
        tail = "\n    ".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        fail(
            f"{what}: `{' '.join(command[:2])}` failed (exit {done.returncode}):\n    {tail}", "mend what it says above"
        )
    return done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
    )
