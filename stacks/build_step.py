"""What every kind of builder shares: where the source and the image are, and what it adds to the build's Pod. Pure."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterable
from typing import Final

from stacks import build_secrets, crane
from stacks.inputs import Build, BuildOptions
from stacks.manifest import Manifest

BUILD_CONTAINER: Final = "build"

SOURCE: Final = "/source"
"""Where the volume with the tarball is mounted."""
TREE: Final = f"{SOURCE}/tree"
"""The source tree."""

# The kubelet never waits less than two seconds for a process that does not end when told to, and a shell that is
# process 1 does not.
STOPPABLE: Final = """trap 'exit 143' TERM; "$0" "$@" & wait $!"""
"""Text of a shell that runs its arguments and ends at once when it is told to."""


_STORAGE_SIZE: Final = "16Gi"


@dataclasses.dataclass(frozen=True)
class BuildStep:
    """What one kind of builder adds to the Pod.

    Attributes:
        container: the container named `build`; mounts the volume `source`, read-only.
        volumes: further volumes of its own.
        annotations: further annotations of the Pod.
        pushes: whether it pushes the image itself, with the credentials; else it leaves an OCI layout, without any.
        host_users: whether the Pod's users are those of the node.
    """

    container: Manifest
    volumes: list[Manifest]
    annotations: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    pushes: bool = False
    host_users: bool = True


def mounts(build: Build, name: str, storage: str) -> list[Manifest]:
    """Return what a builder without credentials mounts: source, image, its own volume, and the app's Secrets."""
    return [
        {"name": "source", "mountPath": SOURCE, "readOnly": True},
        {"name": "image", "mountPath": crane.IMAGE},
        {"name": name, "mountPath": storage},
        *crane.cache_mount(build),
        *build_secrets.mounts(build),
    ]


def volumes(build: Build, name: str) -> list[Manifest]:
    """Return the volumes of `mounts` that only such a builder has."""
    return [{"name": name, "emptyDir": {"sizeLimit": _STORAGE_SIZE}}, *build_secrets.volumes(build)]


def resources(build: Build) -> Manifest:
    """Return what the build container asks for, and may take."""
    wanted = build.resources
    return {
        "requests": {"cpu": wanted.cpu_request, "memory": wanted.memory_request},
        "limits": {"cpu": wanted.cpu_limit, "memory": wanted.memory_limit},
    }


def context(options: BuildOptions) -> str:
    """Return the folder that is built from."""
    return posixpath.join(TREE, options.context).rstrip("/")


def dockerfile(options: BuildOptions) -> str:
    """Return where the Dockerfile is."""
    return posixpath.join(TREE, options.dockerfile or posixpath.join(options.context, "Dockerfile"))


def seccomp(profile: str | None) -> Manifest:
    """Return a seccomp profile of the node's, or none where no name is given."""
    return {"type": "Localhost", "localhostProfile": profile} if profile else {"type": "Unconfined"}


def literal(arguments: Iterable[str]) -> list[str]:
    """Return arguments as Kubernetes takes them: it would expand `$(NAME)`, and `$$` is a `$`."""
    return [argument.replace("$", "$$") for argument in arguments]


def environment(values: dict[str, str]) -> list[Manifest]:
    """Return a container's `env`, with values as `literal` has them."""
    return [{"name": name, "value": value.replace("$", "$$")} for name, value in values.items()]


def registry(build: Build) -> str:
    """Return host and port of the registry."""
    return build.image.partition("/")[0]
