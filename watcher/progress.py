"""What a command that takes a while says to a person: on stderr, so that stdout has its result alone.

On a terminal the last line shows what is waited for and for how long; elsewhere (a CI's log) each change is a line, and
silence is broken once a minute. Variables that ask for colours make no terminal of a log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import stamina
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text
from stamina.instrumentation import RetryDetails, RetryHookFactory

_SILENCE_SECONDS = 60.0

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print a line, as it is."""
    console.print(Text(line))


class Waiting:
    """A wait that is shown: `now` says what stands in its way, `note` what changed meanwhile."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._began = self._said = time.monotonic()
        self._status = console.status(Text(label)) if sys.stderr.isatty() else None

    @property
    def seconds(self) -> float:
        """How long it has been."""
        return time.monotonic() - self._began

    def note(self, line: str) -> None:
        """Print a line with the seconds that it took to come."""
        self._said = time.monotonic()
        say(f"{self.seconds:6.1f} s  {line}")

    def now(self, line: str) -> None:
        """Show what is waited for."""
        if self._status is not None:
            self._status.update(Text(f"{self._label}: {line}"[: console.width - 4]))
        elif time.monotonic() - self._said >= _SILENCE_SECONDS:
            self.note(f"still waiting: {line}")

    def __enter__(self) -> Waiting:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()


@contextmanager
def uploading(label: str, size: int) -> Generator[Callable[[int], None]]:
    """Show how much of `size` bytes is there; yields what is told of further ones."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(label, total=size)
        yield lambda count: progress.advance(task, count)


def tell_retries() -> None:
    """Say each further try; what it takes says no more than its kind, for messages of httpx hold addresses."""

    def tell(details: RetryDetails) -> None:
        response = getattr(details.caused_by, "response", None)
        status = getattr(response, "status_code", None) or getattr(details.caused_by, "status", None)
        reason = f"HTTP {status}" if status else type(details.caused_by).__name__
        say(f"  {reason}: trying again in {details.wait_for:.0f} s")

    stamina.instrumentation.set_on_retry_hooks([RetryHookFactory(lambda: tell)])
