"""`config.build`: how a pull request's source becomes an image. Comes out of the pull request, as all of the config."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from provisioner.fields import Model, Scalar, SecretName, VariableName
from provisioner.refusals import matching
from stacks.inputs import Builder

# Arguments are part of a command line, of which Linux takes 128 KiB a piece.
_MOST_ARGUMENT_BYTES = 32_768


def _inside(path: str) -> str:
    """Refuse what leads out of the source tree, and return the path without what says nothing."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts:
        message = "must be a path inside the source tree: relative, and without '..'"
        raise PydanticCustomError("path", message)
    return "/".join(parts)


TreePath = Annotated[
    str,
    Field(max_length=1024),
    # A comma separates options in the arguments of builders.
    matching(r"[A-Za-z0-9._/@+ -]+", "must be a path of letters, digits, spaces and any of . _ / @ + -"),
    AfterValidator(_inside),
]


class BuildArgument(Model):
    """One build argument; a number or a boolean becomes its text."""

    name: VariableName = Field(description="Name of the argument.")
    value: Scalar = Field(description="Its value, which everyone can read.")


def _fitting(arguments: tuple[BuildArgument, ...]) -> tuple[BuildArgument, ...]:
    seen: set[str] = set()
    for name in (argument.name for argument in arguments):
        if name in seen:
            raise PydanticCustomError("duplicate", "names {name} more than once: keep one", {"name": name})
        seen.add(name)
    size = sum(len(argument.name.encode()) + len(argument.value.encode()) for argument in arguments)
    if size > _MOST_ARGUMENT_BYTES:
        message = "takes {size} bytes and may take {most}: put large values into files of the repository"
        raise PydanticCustomError("too_large", message, {"size": size, "most": _MOST_ARGUMENT_BYTES})
    return arguments


def _no_duplicates(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise PydanticCustomError("duplicate", "names {name} more than once: keep one", {"name": name})
    return names


class BuildOptions(Model):
    """How the image is built; each is what `docker build` has by that name. Paths begin at the top of the source."""

    builder: Builder | None = Field(default=None, description="What builds it, of those that the platform offers.")
    dockerfile: TreePath | None = Field(default=None, description="The Dockerfile; by default that of the context.")
    context: TreePath | None = Field(default=None, description="The folder that is built from; by default all.")
    target: (
        Annotated[
            str,
            Field(max_length=128),
            matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "must be the name of a stage of the Dockerfile"),
        ]
        | None
    ) = Field(default=None, description="Stage of the Dockerfile; by default the last.")
    args: Annotated[tuple[BuildArgument, ...], Field(max_length=64), AfterValidator(_fitting)] = Field(
        default=(), description="Build arguments; they can be read in the image's history."
    )
    secrets: Annotated[tuple[SecretName, ...], Field(max_length=8), AfterValidator(_no_duplicates)] = Field(
        default=(),
        description="Secrets of the namespace; a step that mounts the id NAME/KEY reads that key, and no layer has it.",
    )
    platform: (
        Annotated[
            str,
            Field(max_length=64),
            matching(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?", "must be one platform, as in linux/amd64"),
        ]
        | None
    ) = Field(default=None, description="Platform of the image; by default that of the node.")
