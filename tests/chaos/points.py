"""Places in the watcher's work at which it can be made to die or to stop; what orders say, and who took one.

An order is a file that both watchers look for. The first that comes to the place takes it, and carries it out.
"""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

ORDERS_VARIABLE: Final = "CHAOS_ORDERS"
"""In a watcher's environment: the folder of its orders."""

_STEPS: Final = (
    *(f"journal {phase}" for phase in ("applying", "applied", "destroying", "destroyed")),
    *("journal removal", "tags", "work folder removal"),
    *("engine up", "engine destroy", "engine stack init", "engine stack rm"),
    *("claim", "status write", "release", "event write", "rights taken", "rights given back", "lease write"),
)
POINTS: Final = (
    *(f"{when} {step}" for step in _STEPS for when in ("before", "after")),
    *("during engine up", "during engine destroy", "during engine stack init", "during engine stack rm"),
)
"""All places. A status or an Event is written with the answer of the API server yet to come, or known."""

Act = Literal["kill", "kill with engines", "pause"]


@dataclasses.dataclass(frozen=True)
class Order:
    """What a watcher that comes to a place does there.

    Attributes:
        point: the place.
        act: what it does: dies, alone or together with its engines, or stops until it is told to go on.
        seconds: how long after the beginning of an engine run `during` is.
    """

    point: str
    act: Act
    seconds: float = 0.0


class Orders:
    """The one order there is at a time, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._open, self._taken = folder / "order.json", folder / "taken.json"

    def give(self, order: Order) -> None:
        self._taken.unlink(missing_ok=True)
        new = self._open.with_suffix(".new")
        new.write_text(json.dumps(dataclasses.asdict(order)))
        new.rename(self._open)

    def withdraw(self) -> bool:
        """Take an order back; return whether nobody had taken it."""
        with suppress(FileNotFoundError):
            self._open.unlink()
            return True
        return False

    def take(self, point: str) -> Order | None:
        """Take the order for a place, if there is one, and nobody else has."""
        with suppress(FileNotFoundError):
            order = Order(**json.loads(self._open.read_text()))
            if order.point == point:
                self._open.rename(self._taken)
                return order
        return None

    @property
    def is_taken(self) -> bool:
        return self._taken.exists()
