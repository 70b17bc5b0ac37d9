"""Places in the watcher's work at which it can be made to die or to stop; what orders say, and who took one.

An order is a file that both watchers look for. The first that comes to its place takes it, and carries it out.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
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
    """Those that are open, and those that were taken; each a file of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def clear(self) -> None:
        """Have none."""
        for file in self._folder.iterdir():
            file.unlink(missing_ok=True)

    def give(self, order: Order) -> str:
        """Have an order looked for; return what it is called."""
        name = uuid.uuid4().hex
        new = self._folder / f"{name}.new"
        new.write_text(json.dumps(dataclasses.asdict(order)))
        new.rename(self._folder / f"{name}.open")
        return name

    def withdraw(self, name: str) -> bool:
        """Take an order back; return whether nobody had taken it."""
        with suppress(FileNotFoundError):
            (self._folder / f"{name}.open").unlink()
            return True
        return False

    def take(self, point: str) -> Order | None:
        """Take an order for a place, if there is one, and nobody else has."""
        for file in self._folder.glob("*.open"):
            with suppress(FileNotFoundError):
                order = Order(**json.loads(file.read_text()))
                if order.point == point:
                    file.rename(file.with_suffix(".taken"))
                    return order
        return None

    def is_taken(self, name: str) -> bool:
        return (self._folder / f"{name}.taken").exists()
