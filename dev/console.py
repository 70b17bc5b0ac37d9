"""What `dev/` says to a person: steps with their time, failures with the next thing to do.

On a terminal a step shows a spinner and its progress; elsewhere (CI, a log) each step is one plain
line at its start and one at its end, and long ones say every half minute that they are alive.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import NoReturn

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)

_SIGN_OF_LIFE_SECONDS = 30.0


def say(line: str) -> None:
    """Print one plain line."""
    console.print(line, markup=False)


def fail(what: str, remedy: str) -> NoReturn:
    """End the program with exit code 1, saying what went wrong and what to do next."""
    print(f"error: {what}\n  → {remedy}", file=sys.stderr, flush=True)
    raise SystemExit(1)


class Step:
    """A context manager around one piece of work that takes longer than a moment.

    `progress(text)` may be called as often as one likes; it is shown as the output allows.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._started = self._last = time.monotonic()
        self._status = console.status(label) if console.is_terminal else None

    def __enter__(self) -> Step:
        self._started = self._last = time.monotonic()
        if self._status is not None:
            self._status.start()
        else:
            say(f"· {self.label}")
        return self

    def progress(self, text: str) -> None:
        """Show how far the work is."""
        now = time.monotonic()
        if self._status is not None:
            self._status.update(f"{self.label} [dim]{self._elapsed()}  {text[-70:]}[/dim]")
        elif now - self._last >= _SIGN_OF_LIFE_SECONDS:
            self._last = now
            say(f"    {self._elapsed()}  {text}")

    def _elapsed(self) -> str:
        seconds = time.monotonic() - self._started
        return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
        mark = "✓" if kind is None else "✗"
        say(f"{mark} {self.label}  ({self._elapsed()})")
