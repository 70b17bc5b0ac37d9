"""All faults by name. Each is injected, lasts for as long as it does, and is lifted again, all in one call.

A fault that found nothing to break raises `NotReached`, and does not count.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

from tests.chaos.stage import Stage


class NotReached(Exception):
    """There was nothing there that this fault breaks."""


Inject = Callable[[Stage, random.Random], str]
"""Injects a fault and lifts it; says what was broken."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One way to break something.

    Attributes:
        name: what it is called, in `FAULT=` too.
        kind: what is broken.
        inject: does it.
        weight: how often it is chosen, among others.
        is_shared: whether it breaks what others on the same node use too.
    """

    name: str
    kind: str
    inject: Inject
    weight: float = 1.0
    is_shared: bool = False
