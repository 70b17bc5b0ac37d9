"""Read Kubernetes objects from YAML or JSON text, as kubectl does, from files that nobody vouches for.

Says what is wrong with a text and where. Knows no kinds: whether an object is a ReviewApp is its reader's business.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from provisioner.errors import Refusal
from provisioner.manifest_text import MERGE, Loader, number

STDIN = "-"
"""In place of a file's name: what comes in on standard input."""

_LARGEST_BYTES = 4 << 20
_MOST_VALUES = 200_000
_DEEPEST = 100


@dataclasses.dataclass(frozen=True)
class Document:
    """One object as JSON has it.

    Attributes:
        place: where it stands: the file, and the line where the file has more than one.
        path: what its fields are fields of in that place, such as `items[3].` in a List; mostly empty.
        content: the object; None stands for a document that is there and empty only inside a List.
    """

    place: str
    path: str
    content: object


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a file holds: its objects in their order, and what is wrong with it, as (place, refusal)."""

    documents: tuple[Document, ...]
    refused: tuple[tuple[str, Refusal], ...]


class _Unreadable(Exception):
    """The text is no YAML or JSON that can be taken, for this reason, from this line on."""

    def __init__(self, line: int | None, remedy: str) -> None:
        self.line = line
        self.remedy = remedy
        super().__init__(remedy)


def read(file: str) -> Reading:
    """Return what a file holds, or standard input for `-`. The items of a List count as documents of their own.

    Never raises: what can't be read is in `refused`.
    """
    name = "standard input" if file == STDIN else file
    try:
        content = _content(file)
    except _Unreadable as error:
        return Reading((), ((name, Refusal("text", "", error.remedy)),))
    return read_content(name, content)


def read_content(name: str, content: bytes) -> Reading:
    """Return what a file of this name holds, as `read` does, from its content."""
    found: list[tuple[int, object]] = []
    refused: list[tuple[str, Refusal]] = []
    try:
        # What stands before the place that can't be read is read all the same.
        for line, document in _contents(_text(content)):
            found.append((line, document))
    except _Unreadable as error:
        place = f"{name}:{error.line}" if error.line else name
        refused.append((place, Refusal("text", "", error.remedy)))
    documents = [
        Document(name if len(found) == 1 and not refused else f"{name}:{line}", path, item)
        for line, document in found
        for path, item in _items(document)
    ]
    if not documents and not refused:
        refused.append((name, Refusal("text", "", "holds no object: write one")))
    return Reading(tuple(documents), tuple(refused))


def _content(file: str) -> bytes:
    try:
        if file == STDIN:
            return sys.stdin.buffer.read(_LARGEST_BYTES + 1)
        with Path(file).open("rb") as stream:
            return stream.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "that is no name of a file"
        raise _Unreadable(None, f"can't be read ({reason}): correct the path") from None


def _text(content: bytes) -> str:
    if len(content) > _LARGEST_BYTES:
        raise _Unreadable(None, f"is larger than {_LARGEST_BYTES >> 20} MiB: split it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(line, "is not UTF-8 text: correct its encoding") from None


def _items(content: object) -> Iterator[tuple[str, object]]:
    """Yield an object, or the items of a List, each with the path of its fields."""
    items: object = None
    if isinstance(content, dict):
        fields = cast("dict[str, object]", content)
        if str(fields.get("kind", "")).endswith("List"):
            items = fields.get("items")
    if not isinstance(items, list):
        yield "", content
        return
    for index, item in enumerate(cast("list[object]", items)):
        yield f"items[{index}].", item


def _contents(text: str) -> Iterator[tuple[int, object]]:
    """Yield each document of a text with the line that it begins on.

    Raises:
        _Unreadable: at the first place that can't be taken.
    """
    if text.lstrip()[:1] in {"{", "["}:
        # JSON is YAML but for tabs and surrogate pairs; what is YAML in braces falls through.
        try:
            yield 1, json.loads(text, object_pairs_hook=_unique, parse_float=_fraction, parse_constant=_constant)
        except json.JSONDecodeError:
            pass
        except RecursionError:
            raise _Unreadable(None, _TOO_DEEP) from None
        except _Unreadable:
            raise
        except ValueError:
            raise _Unreadable(None, _TOO_LARGE_NUMBER) from None
        else:
            return
    try:
        loader = Loader(text)
        while loader.check_node() and (node := loader.get_node()):
            _check(node, {})
            content: object = loader.construct_document(node)  # pyright: ignore[reportUnknownMemberType]
            if content is not None:
                yield node.start_mark.line + 1, content
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join((error.problem or "it is not well formed").split())[:80]
        raise _Unreadable(mark.line + 1 if mark else None, f"is not YAML ({ascii(reason)[1:-1]}): correct it") from None
    except yaml.YAMLError:
        raise _Unreadable(None, "has characters that no YAML has: remove control characters") from None
    except RecursionError:
        raise _Unreadable(None, _TOO_DEEP) from None
    except ValueError:
        raise _Unreadable(None, _TOO_LARGE_NUMBER) from None


# Python reads no number of thousands of digits.
_TOO_LARGE_NUMBER = "has a number that is too large: put it in quotes"
_TOO_DEEP = f"is nested more than {_DEEPEST} levels deep: flatten it"


def _check(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return how many values a node stands for, with its aliases written out, and how deep they go.

    Raises:
        _Unreadable: these are too many, or endless; or a mapping has a key twice.
    """
    key = id(node)
    if key in known:
        values, depth = known[key]
        if not values:
            raise _Unreadable(node.start_mark.line + 1, "has an anchor that holds itself: write it out")
        return values, depth
    known[key] = (0, 0)
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            children += (name, value)
            if isinstance(name, yaml.ScalarNode) and name.tag != MERGE:
                if name.value in seen:
                    raise _Unreadable(name.start_mark.line + 1, f"has {name.value[:60]!a} twice: remove one")
                seen.add(name.value)
    elif isinstance(node, yaml.SequenceNode):
        children += cast("list[yaml.Node]", node.value)
    sizes = [_check(child, known) for child in children]
    values, depth = 1 + sum(size for size, _ in sizes), 1 + max((levels for _, levels in sizes), default=0)
    if values > _MOST_VALUES:
        raise _Unreadable(node.start_mark.line + 1, f"stands for more than {_MOST_VALUES} values: split it")
    if depth > _DEEPEST:
        raise _Unreadable(node.start_mark.line + 1, _TOO_DEEP)
    known[key] = (values, depth)
    return values, depth


def _fraction(text: str) -> int | float:
    value = number(text)
    if math.isinf(value):
        raise _Unreadable(None, _TOO_LARGE_NUMBER)
    return value


def _constant(name: str) -> float:
    raise _Unreadable(None, f"has the number {name}, which JSON has not: put it in quotes")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Unreadable(None, f"has {twice[:60]!a} twice: remove one")
    return result
