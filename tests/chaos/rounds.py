"""Rounds of faults: some of them under load, one every few seconds, then rest, and a look at all that has to be so."""

from __future__ import annotations

import dataclasses
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence

from provisioner.errors import ReviewAppError
from tests.chaos import api_faults, node_faults, object_faults, process_faults, state_faults
from tests.chaos.faults import Fault, NotReached
from tests.chaos.invariants import settled
from tests.chaos.stage import Stage
from tests.e2e.engine_counts import EngineCounts

ALL: tuple[Fault, ...] = (
    *process_faults.FAULTS,
    *api_faults.FAULTS,
    *node_faults.FAULTS,
    *object_faults.FAULTS,
    *state_faults.FAULTS,
)
HEALED_SECONDS = 120.0
"""By then all has to be well again, counted from when the last fault was lifted."""
_LOOK_SECONDS = 0.5
_LONGEST_FAULT_SECONDS = 120.0


@dataclasses.dataclass
class Injected:
    """A fault that was injected, and what came of it."""

    fault: Fault
    number: int
    what: str = ""
    counts: bool = False


@dataclasses.dataclass
class Record:
    """What came of all rounds so far."""

    faults: list[Injected] = dataclasses.field(default_factory=list[Injected])
    healed_after: dict[str, float] = dataclasses.field(default_factory=dict[str, float])
    """By the name of a fault: the longest that a round with it took to be well, in seconds."""
    violations: list[str] = dataclasses.field(default_factory=list[str])

    @property
    def count(self) -> int:
        return sum(one.counts for one in self.faults)

    def table(self) -> str:
        """Return one line for each fault: how often, and the longest time to heal of a round that had it."""
        counts = Counter((one.fault.kind, one.fault.name) for one in self.faults if one.counts)
        lines = ["| what | fault | times | longest until all was well |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {kind} | {name} | {count} | {self.healed_after.get(name, 0.0):.0f} s |"
            for (kind, name), count in sorted(counts.items())
        ]
        return "\n".join(lines)


class Rounds:
    """Runs rounds on a stage, and keeps the record.

    Args:
        stage: where.
        seed: decides which faults, and what each of them picks.
        faults: what is chosen from.
        pause: between two faults, in seconds, at most.
    """

    def __init__(self, stage: Stage, seed: int, faults: Sequence[Fault], pause: float = 3.0) -> None:
        self.record = Record()
        self._stage, self._seed, self._faults, self._pause = stage, seed, faults, pause
        self._random = random.Random(seed)
        self._round = 0

    def run(self, number: int) -> None:
        """Inject as many faults under load, wait until all is well, and note what is not in time."""
        self._round += 1
        begun = len(self.record.faults)
        self._stage.load.go()
        threads: list[threading.Thread] = []
        with EngineCounts(self._stage.folder) as counts:
            while self._counted(begun, threads) < number:
                fault = self._random.choices(self._faults, [one.weight for one in self._faults])[0]
                injected = Injected(fault, len(self.record.faults))
                self.record.faults.append(injected)
                thread = threading.Thread(target=self._inject, args=(injected,), daemon=True)
                thread.start()
                threads.append(thread)
                time.sleep(self._random.uniform(0.5, self._pause))
            for thread in threads:
                thread.join(_LONGEST_FAULT_SECONDS)
            self._stage.load.rest()
            self._settle(self.record.faults[begun:])
        if counts.most_on_one_stack > 1:
            self.record.violations.append(f"round {self._round}: {counts.most_on_one_stack} engines on one stack")
        self.record.violations += [f"round {self._round}: {one}" for one in self._stage.deployed.wrong]
        self._stage.deployed.wrong.clear()

    def end(self) -> None:
        """Close all pull requests, and see that nothing is left."""
        self._stage.load.close_all()
        self._settle([])

    def _counted(self, begun: int, threads: list[threading.Thread]) -> int:
        """Return how many faults of this round count, or may yet."""
        return sum(
            one.counts or thread.is_alive() for one, thread in zip(self.record.faults[begun:], threads, strict=True)
        )

    def _inject(self, injected: Injected) -> None:
        fault = injected.fault
        chosen = random.Random(f"{self._seed}/{injected.number}")
        for _ in range(3):
            try:
                injected.what = fault.inject(self._stage, chosen)
            except NotReached:
                return
            except (ReviewAppError, AssertionError) as error:
                # Another fault is in its way.
                injected.what = str(error)
                time.sleep(1)
            else:
                injected.counts = True
                _say(f"    {fault.name}: {injected.what}")
                return

    def _settle(self, faults: Sequence[Injected]) -> None:
        began = time.monotonic()
        while wrong := settled(self._stage.invariants):
            if time.monotonic() - began > HEALED_SECONDS:
                self.record.violations += [f"round {self._round}: {one}" for one in wrong]
                break
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - began
        names = [one.fault.name for one in faults if one.counts]
        for name in names:
            self.record.healed_after[name] = max(seconds, self.record.healed_after.get(name, 0.0))
        verdict = f"NOT WELL: {wrong}" if wrong else "all is well"
        load = self._stage.load
        _say(
            f"round {self._round}: {len(names)} faults ({self.record.count} so far), {len(load.open)} open, "
            f"{len(load.closed)} closed; {verdict} after {seconds:.0f} s"
        )


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()
