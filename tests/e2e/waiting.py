"""Waits for what is to come, with a deadline. Never for a time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

DEADLINE_SECONDS = 90.0
_POLL_SECONDS = 0.05


def until(
    look: Callable[[], Seen | None],
    what: str,
    seconds: float = DEADLINE_SECONDS,
    explain: Callable[[], object] | None = None,
) -> Seen:
    """Return what `look` sees as soon as that is something; say `what` was waited for if it is nothing in time."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}\n{explain() if explain else ''}")
        time.sleep(_POLL_SECONDS)
    return seen
