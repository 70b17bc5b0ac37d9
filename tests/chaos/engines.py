"""Which processes work for watchers of a data folder, as `/proc` shows them: engines, plugins, guards."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

_GUARD = "provisioner.engine_guard"


@dataclasses.dataclass(frozen=True)
class Process:
    """One process that works for a watcher. `starter` is the watcher's process id, where it says so."""

    pid: int
    kind: Literal["engine", "plugin", "guard"]
    words: tuple[str, ...]
    starter: int = 0

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def processes(folder: Path) -> Iterator[Process]:
    """Yield the processes that work for the watchers of a data folder, whether or not those live."""
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        with suppress(OSError):
            words = tuple(os.fsdecode(word) for word in (path / "cmdline").read_bytes().split(b"\0"))
            if folder in Path(words[0]).parents:
                yield Process(int(path.name), "plugin", words)
            elif folder / "work" in (path / "cwd").readlink().parents:
                yield Process(int(path.name), "engine", words)
            elif _GUARD in words and str(folder / "engine") in words:
                yield Process(int(path.name), "guard", words, int(words[words.index(_GUARD) + 1]))
