"""Values and differences as text on one line, which a terminal and a reader see as what they are. Pure."""

from __future__ import annotations

import json
from typing import Any

from provisioner.preview.model import PropertyChange
from provisioner.preview.values import UNKNOWN

CUT = "…"
"""Stands for the rest of what was too long."""


def one_line(text: str, most: int) -> str:
    """Return a text of at most `most` characters, in which what is not printable is escaped.

    Line ends, terminals' control sequences and marks that turn the direction of writing around are not printable.
    """
    line = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
    return line if len(line) <= most else line[: most - 1] + CUT


def literal(value: Any, most: int) -> str:
    """Return a value as JSON, on one line and cut to `most` characters."""
    return one_line(json.dumps(value, ensure_ascii=False, sort_keys=True), most)


def sides(difference: PropertyChange, most: int) -> tuple[str | None, str | None]:
    """Return the old and the new value of what is no secret, as they are shown; None where there is none."""
    old = literal(difference.old, most)
    new = UNKNOWN if difference.unknown else literal(difference.new, most)
    return None if difference.change == "add" else old, None if difference.change == "delete" else new
