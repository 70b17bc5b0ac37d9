"""How many engines work on one stack at the same moment, as `/proc` shows it."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_LOOK_SECONDS = 0.03


class EngineCounts:
    """Looks again and again, for as long as its block lasts.

    Args:
        folder: the data folder of the watchers, all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.most_on_one_stack = 0
        self.looks = 0
        self._work = folder / "work"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            stacks = {process.name: stack for process in Path("/proc").iterdir() if (stack := self._stack(process))}
            # For a moment before it becomes another program, a child of an engine looks like that engine.
            counts = Counter(stack for pid, stack in stacks.items() if _parent(pid) not in stacks)
            self.most_on_one_stack = max([self.most_on_one_stack, *counts.values()])
            self.looks += 1

    def _stack(self, process: Path) -> str | None:
        """Return the stack that a process updates or destroys."""
        if not process.name.isdigit():
            return None
        with suppress(OSError):
            if (process / "comm").read_text().strip() != "pulumi":
                return None
            folder = (process / "cwd").readlink()
            words = (process / "cmdline").read_bytes().split(b"\0")
            if self._work in folder.parents and {b"up", b"destroy"} & set(words):
                return folder.name
        return None


def _parent(pid: str) -> str:
    with suppress(OSError):
        return (Path("/proc") / pid / "stat").read_text().rpartition(")")[2].split()[1]
    return ""
