"""Values as they stand in the engine's events: find one by its path, and leave out what nobody may see. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

from provisioner.refusals import without_credentials
from stacks.workload import ENVIRONMENT_ANNOTATION

SECRET_KEY = ENVIRONMENT_ANNOTATION
"""Name of a field whose value is made of secrets, though it is not marked as one."""

SECRET = "(secret)"  # noqa: S105 - what is shown in place of one.
"""Stands for a secret inside a value."""

UNKNOWN = "(known after the update)"
"""Stands for what an update decides inside a value."""

ABSENT = object()
"""What `look_up` returns where there is nothing."""

# How values that JSON has not are written:
# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/sig/sig.go
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a mark, not a secret.
_UNKNOWN_VALUES = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)

Path = tuple[str | int, ...]

# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/properties_path.go
_STEP = re.compile(r"""\.?(?P<word>[^.\["]+)|\[(?P<index>[0-9]+)\]|\["(?P<key>(?:\\"|[^"])*)"\]""")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")


def parse_path(text: str) -> Path:
    """Return the steps of a path as the engine writes it, such as `metadata.labels["a.b/c"]` or `ports[0].name`."""
    steps: list[str | int] = []
    for found in _STEP.finditer(text):
        if found["index"] is not None:
            steps.append(int(found["index"]))
        else:
            steps.append(found["word"] if found["key"] is None else found["key"].replace('\\"', '"'))
    return tuple(steps)


def path_order(path: Path) -> tuple[tuple[bool, int, str], ...]:
    """Return what sorts paths: numbers as numbers, so that the tenth comes after the ninth."""
    return tuple(
        (isinstance(step, str), 0 if isinstance(step, str) else step, step if isinstance(step, str) else "")
        for step in path
    )


def look_up(document: Any, path: Sequence[str | int]) -> Any:
    """Return what is at a path, or `ABSENT`; the secret itself where the path leads into one."""
    for step in path:
        if is_secret(document):
            return document
        if isinstance(document, dict) and isinstance(step, str):
            document = cast("dict[str, Any]", document).get(step, ABSENT)
        elif isinstance(document, list) and isinstance(step, int):
            items = cast("list[Any]", document)
            document = items[step] if step < len(items) else ABSENT
        else:
            return ABSENT
    return document


def is_secret(value: Any) -> bool:
    """Whether a value is marked as a secret, encrypted or not."""
    return isinstance(value, dict) and cast("dict[str, Any]", value).get(_SIGNATURE) == _SECRET_SIGNATURE


def is_unknown(value: Any) -> bool:
    """Whether a value is only known after the update."""
    return isinstance(value, str) and value in _UNKNOWN_VALUES


def shown(value: Any) -> Any:
    """Return a value as it may be shown: without secrets, and addresses without their credentials."""
    if is_secret(value):
        return SECRET
    if is_unknown(value):
        return UNKNOWN
    if isinstance(value, str):
        return _ADDRESS.sub(lambda found: without_credentials(found[0]), value)
    if isinstance(value, list):
        return [shown(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: SECRET if name == SECRET_KEY else shown(item) for name, item in fields.items()}
    return value
