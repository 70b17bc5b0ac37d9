"""A bot that opens, pushes and closes pull requests all the time, and says what has to become of them.

It asks the API server itself, not by the watchers' proxy, and tries again what it is refused.
"""

from __future__ import annotations

import dataclasses
import queue
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dev.sample import Sample
from provisioner.errors import ReviewAppError
from tests.chaos.versions import Version, tag
from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from watcher.cluster import ApiRefused, Cluster

_FIRST_NUMBER = 7001
_AGAIN_SECONDS = 0.3
# Of those that are opened, each fourth or so has a database; two cores have no time for more.
_DATABASES: tuple[dict[str, Any], ...] = ({}, {}, {}, {"database": {"ephemeral": True}})


@dataclasses.dataclass
class Open:
    """A pull request that is open, and the versions that were pushed to it, oldest first."""

    pull_request: PullRequest
    versions: list[Version]

    @property
    def newest(self) -> Version:
        return self.versions[-1]


class Load:
    """The bot, on a thread of its own; it does something every `pause` seconds while it is told to.

    Args:
        cluster: where.
        sample: the repository.
        versions: what is pushed, oldest first.
        namespaces: where apps run.
        state: the folder of the watchers' state backend.
        most_open: how many pull requests are open at once.
        pause: seconds.
        seed: decides what is done.
    """

    def __init__(
        self,
        cluster: Cluster,
        sample: Sample,
        versions: Sequence[Version],
        namespaces: Sequence[str],
        state: Path,
        most_open: int,
        pause: float,
        seed: int,
    ) -> None:
        self.open: dict[str, Open] = {}
        """By stack."""
        self.closed: list[PullRequest] = []
        self.steps = 0
        self._cluster, self._sample, self._state = cluster, sample, state
        self._versions, self._namespaces = versions, namespaces
        self._most_open, self._pause = most_open, pause
        self._random = random.Random(seed)
        self._number = _FIRST_NUMBER
        self._urged: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._goes = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def go(self) -> None:
        self._goes.set()

    def urge(self, stack: str) -> None:
        """Have something pushed to a pull request soon, or have it closed, so that its stack is worked on."""
        self._urged.put(stack)

    def rest(self) -> None:
        """Let it come to the end of what it is at, and of what it was urged to do."""
        until(self._urged.empty, "what is urgent is done", 60)
        self._goes.clear()
        until(self._idle.is_set, "the load rests", 60)

    def close_all(self) -> None:
        self.rest()
        for one in [*self.open.values()]:
            self._close(one)

    def stop(self) -> None:
        self._stopped.set()
        self._goes.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stopped.wait(self._pause):
            if not self._goes.is_set():
                self._idle.set()
                self._goes.wait()
                continue
            self._idle.clear()
            self._step()
            self.steps += 1
            self._idle.set()

    def _step(self) -> None:
        if not self._urged.empty():
            stack = self._urged.get()
            if one := self.open.get(stack):
                (self._push if self._has_more(one) else self._close)(one)
            return
        wanted = self._random.choice(["open", "open", "push", "push", "push", "close"])
        pushable = [one for one in self.open.values() if self._has_more(one)]
        if not self.open or (wanted == "open" and len(self.open) < self._most_open):
            self._open()
        elif wanted == "push" and pushable:
            self._push(self._random.choice(pushable))
        elif len(self.open) >= self._most_open or wanted == "close":
            self._close(self._oldest())

    def _has_more(self, one: Open) -> bool:
        return one.newest.number < len(self._versions) - 1

    def _oldest(self) -> Open:
        """Return one of those that were opened first."""
        return self.open[self._random.choice([*self.open][:3])]

    def _open(self) -> None:
        namespace = self._random.choice(self._namespaces)
        version = self._random.choice(self._versions[: len(self._versions) // 2])
        config = self._random.choice(_DATABASES)
        pull_request = PullRequest(self._cluster, self._sample, namespace, self._number, self._state)
        self._number += 1
        tag(version, pull_request.number)
        # Known before it is there: what the watchers make for it at once is nobody's leftover.
        self.open[pull_request.stack] = Open(pull_request, [version])

        def open_it() -> None:
            try:
                pull_request.open(version.commit, config)
            except ApiRefused as refused:
                # It was made, and the answer was lost.
                if refused.status != 409:
                    raise

        self._do(open_it)

    def _push(self, one: Open) -> None:
        version = self._random.choice(self._versions[one.newest.number + 1 :][:4])
        tag(version, one.pull_request.number)
        one.versions.append(version)
        self._do(lambda: one.pull_request.push(version.commit))

    def _close(self, one: Open) -> None:
        self._do(one.pull_request.close)
        self.closed.append(self.open.pop(one.pull_request.stack).pull_request)

    def _do(self, action: Callable[[], None]) -> None:
        while True:
            try:
                action()
            except ReviewAppError:
                if self._stopped.wait(_AGAIN_SECONDS):
                    return
            else:
                return
