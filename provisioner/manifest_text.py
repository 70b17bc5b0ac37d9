"""Manifests as YAML text: plain scalars mean what they mean to kubectl, in reading and in writing.

PyYAML alone reads `80:80` as a number and `2026-01-01` as a date, and writes the commit `12e4567` without quotes,
which others read as a number. Reads no file: `provisioner.documents` does.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, ClassVar

import yaml

MERGE = "tag:yaml.org,2002:merge"

# What is not text, by tag: a pattern, and the characters that such a scalar begins with ("" is the empty one).
# https://github.com/yaml/go-yaml/blob/v2/resolve.go
_PLAIN_SCALARS: tuple[tuple[str, str, list[str]], ...] = (
    (
        "bool",
        "y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
        list("yYnNtTfFoO"),
    ),
    ("int", "[-+]?(0[bB][01]+|0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", "<<", ["<"]),
)


class _Scalars:
    """Makes of numbers in groups, as 1_000, what they are without the groups."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and value[:1] in set("-+0123456789"):
            value = value.replace("_", "")
        elif kind is yaml.ScalarNode and value[:1] == ".":
            value = re.sub("(?<=[0-9])_(?=[0-9])", "", value)
        return super().resolve(kind, value, implicit)  # pyright: ignore - PyYAML's own, of the classes beside it.


class Loader(_Scalars, yaml.CSafeLoader):
    """Reads a document as kubectl does: what comes out is what it sends to the API server as JSON.

    Raises:
        yaml.YAMLError: the text is no YAML, or libyaml finds it nested too deep.
        ValueError: it has a number of thousands of digits.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    bool_values: ClassVar[dict[str, bool]] = {**yaml.CSafeLoader.bool_values, "y": True, "n": False}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping, its keys as text."""
        mapping = super().construct_mapping(node, deep)
        return {name if isinstance(name, str) else json.dumps(name): value for name, value in mapping.items()}


class _Dumper(_Scalars, yaml.SafeDumper):
    """Quotes what any reader could take for something else, its own kind included.

    Writes equal parts out each time they come: not every reader follows aliases.
    """

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Return a text's node, in double quotes where it has rare line breaks: other styles fold them to blanks."""
        style = '"' if re.search("[\x85\u2028\u2029]", data) else None
        text = "tag:yaml.org,2002:str"
        return self.represent_scalar(text, data, style)  # pyright: ignore[reportUnknownMemberType]

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's.
        return True


def number(text: str) -> int | float:
    """Return a fraction as it comes out of JSON that Go has written: without a point where it is whole."""
    value = float(text)
    return int(value) if math.isfinite(value) and value.is_integer() and abs(value) < 1e21 else value


def as_yaml(document: Any) -> str:
    """Return a manifest as a YAML document, its keys in their own order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _whole(loader: Loader, node: yaml.ScalarNode) -> int | float | str:
    """Return a whole number, or what else is made of it where it does not fit 64 bits."""
    text: str = node.value.replace("_", "").lower()
    digits = text.lstrip("-+")
    base = 0 if digits[1:2] in {"b", "o", "x"} else 8 if digits.startswith("0") else 10
    value = int(text, base)
    return value if -(2**63) <= value < 2**64 else _fraction(loader, node)


def _fraction(loader: Loader, node: yaml.ScalarNode) -> int | float | str:  # noqa: ARG001 - the signature is PyYAML's.
    """Return a number, or the text where it can be none, as the commit 12e4567 is."""
    text: str = node.value
    try:
        value = number(text.replace("_", ""))
    except ValueError:
        return text
    return value if math.isfinite(value) else text


_Dumper.add_representer(str, _Dumper.represent_str)
Loader.add_constructor("tag:yaml.org,2002:int", _whole)
Loader.add_constructor("tag:yaml.org,2002:float", _fraction)
for _tag, _pattern, _first in _PLAIN_SCALARS:
    for _class in (Loader, _Dumper):
        _class.add_implicit_resolver(  # pyright: ignore[reportUnknownMemberType]
            f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first
        )
