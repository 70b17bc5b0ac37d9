"""Decide whose a live object is, before the engine merges into it. Pure: the caller looks it up.

Server-side apply takes over whatever has a declared name: our own half-made objects after a crash, which heals
them, and a stranger's, which a destroy would then delete.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from stacks.naming import STACK_LABEL


class Ownership(Enum):
    """Whose an object is, seen from one stack."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"


def ownership(live: dict[str, Any] | None, stack: str) -> Ownership:
    """Return whose the object is that has a name which `stack` declares.

    Args:
        live: the object as the API server has it, with `metadata.managedFields`; None if there is none.
        stack: the stack's name, which is its label's value and its field manager.
    """
    if live is None:
        return Ownership.ABSENT
    metadata: dict[str, Any] = live.get("metadata") or {}
    labels: dict[str, str] = metadata.get("labels") or {}
    fields: list[dict[str, Any]] = metadata.get("managedFields") or []
    # A label can be copied with the rest of a manifest; who applied an object is the API server's word.
    applied = any(entry.get("manager") == stack and entry.get("operation") == "Apply" for entry in fields)
    return Ownership.OURS if applied and labels.get(STACK_LABEL) == stack else Ownership.FOREIGN
