"""The work queue: which ReviewApps want a look, each with one worker at a time.

A key is in the queue once, however many events named it. A key that is added while a worker has it
comes back when that worker is done: no change is missed, and no two workers ever hold one key. A key
that failed comes back later and later, by `retry`. Threads share one queue; it starts none.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable

_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 300.0


class WorkQueue:
    """A set of keys to work on, in the order in which they were added first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[str, None] = {}
        self._held: set[str] = set()
        self._again: set[str] = set()
        self._later: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._closed = False

    def add(self, key: str) -> None:
        """Ask for a look at `key`, now."""
        with self._changed:
            self._due.pop(key, None)
            self._add(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Ask for a look at `key` in so many seconds, unless one is due before."""
        with self._changed:
            due = self._clock() + seconds
            if key in self._due and self._due[key] <= due:
                return
            self._due[key] = due
            heapq.heappush(self._later, (due, key))
            self._changed.notify()

    def retry(self, key: str, longest: float | None = None) -> float:
        """Ask for a look at a key that failed, later each time, up to `longest`; return the delay in seconds."""
        longest = _LONGEST_DELAY_SECONDS if longest is None else longest
        with self._changed:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
        delay = min(longest, _FIRST_DELAY_SECONDS * 2 ** min(failures, 20))
        delay *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, keeps no secret
        self.add_after(key, delay)
        return delay

    def failures(self, key: str) -> int:
        """Return how often a key has failed since it was forgotten."""
        with self._changed:
            return self._failures.get(key, 0)

    def forget(self, key: str) -> None:
        """Take a key's failures back: its next one starts from the shortest delay."""
        with self._changed:
            self._failures.pop(key, None)

    def get(self) -> str | None:
        """Wait for a key and hold it until `done`; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                wait = self._take_due()
                if self._waiting:
                    key = next(iter(self._waiting))
                    del self._waiting[key]
                    self._held.add(key)
                    return key
                self._changed.wait(wait)
            return None

    def done(self, key: str) -> None:
        """Give a key back."""
        with self._changed:
            self._held.discard(key)
            if key in self._again:
                self._again.discard(key)
                self._add(key)

    def close(self) -> None:
        """Let every waiting worker go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting)

    def _add(self, key: str) -> None:
        if key in self._held:
            self._again.add(key)
        else:
            self._waiting.setdefault(key)
            self._changed.notify()

    def _take_due(self) -> float | None:
        """Move due keys to the waiting ones; return the seconds until the next is due."""
        now = self._clock()
        while self._later:
            due, key = self._later[0]
            if self._due.get(key) != due:  # Replaced by an earlier time, or added meanwhile.
                heapq.heappop(self._later)
            elif due <= now:
                heapq.heappop(self._later)
                del self._due[key]
                self._add(key)
            else:
                return due - now
        return None
