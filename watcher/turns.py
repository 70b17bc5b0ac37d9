"""Whose turn it is to build, where the installation runs only so many builds at once.

`order` is the fair order: pure. `Turns` applies it to what is: the journal says which builds wait and which were let
go, Jobs say which of these have ended. So a restart changes nothing. It remembers only what is on its way: whom it has
just let go, and what it has told.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from stacks.inputs import Build
from watcher.builds import find_job, is_of
from watcher.cluster import Object
from watcher.conditions import job_state
from watcher.journal import Entry


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A build that waits.

    Attributes:
        review_app: the ReviewApp's name.
        repository: whose build it is.
        since: Unix time from which it waits; infinite where it has only come.
    """

    review_app: str
    repository: str
    since: float


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of one ReviewApp for its place.

    Attributes:
        entry: its journal entry.
        jobs: its stack's Jobs.
        since: Unix time from which its build waits or runs, if that was written down.
        is_going: whether it is being deleted, or gone.
    """

    entry: Entry
    jobs: Sequence[Object]
    since: float | None
    is_going: bool


def order(
    waiting: Iterable[Waiting], running: Iterable[str], begun: Mapping[str, float] | None = None
) -> list[Waiting]:
    """Return the builds in the order in which they get a turn: repositories one after the other.

    One comes before another whose repository has more builds that run or are before it; among equals, the one whose
    repository's last build began longer ago, then the one that has waited longer.

    Args:
        waiting: the builds that wait.
        running: the repository of each build that runs.
        begun: Unix time at which a repository's last build began, where it has had one.
    """
    before = Counter(running)
    last = begun or {}
    ranked: list[tuple[int, float, float, str, Waiting]] = []
    for one in sorted(waiting, key=lambda one: (one.since, one.review_app)):
        since = last.get(one.repository, -math.inf)
        ranked.append((before[one.repository], since, one.since, one.review_app, one))
        before[one.repository] += 1
    return [one for *_, one in sorted(ranked, key=lambda row: row[:4])]


def repository_of(stack: str) -> str:
    """Return `owner.repo` of a stack's name."""
    return stack.rpartition(".")[0]


class Turns:
    """Lets builds go, at most so many at once; safe to use from several threads.

    Args:
        limit: how many; any number if None.
        look: what is known of each ReviewApp that has a journal entry.
    """

    def __init__(self, limit: int | None, look: Callable[[], Iterable[Known]]) -> None:
        self._limit = limit
        self._look = look
        self._lock = threading.Lock()
        # By ReviewApp: the Job that may be made, until it is seen.
        self._let_go: dict[str, str] = {}
        self._repositories: dict[str, str] = {}
        self._told: dict[str, int] = {}
        self._stuck: set[str] = set()

    def take(self, review_app: str, stack: str, job: str) -> str | None:
        """Return where a build has to wait, or None where it may begin, which it then has to do at once."""
        if self._limit is None:
            return None
        with self._lock:
            running, waiting, begun = self._gather(besides=review_app)
            since = next((one.since for one in waiting if one.review_app == review_app), math.inf)
            me = Waiting(review_app, repository_of(stack), since)
            queue = order([*(one for one in waiting if one.review_app != review_app), me], running.values(), begun)
            position = queue.index(me)
            if position < self._limit - len(running):
                self._let_go[review_app] = job
                self._repositories[review_app] = me.repository
                self._told.pop(review_app, None)
                return None
            self._told[review_app] = position
            builds = f"{len(running)} of at most {self._limit} builds run"
            return f"{position + 1} of {len(queue)} in the queue, while {builds}"

    def settle(self, review_app: str, entry: Entry | None, *, is_stuck: bool) -> None:
        """Take back what a ReviewApp was let go for and did not begin.

        Args:
            review_app: the ReviewApp.
            entry: its journal entry as it is now.
            is_stuck: whether it can't begin one for now: others go first meanwhile.
        """
        with self._lock:
            (self._stuck.add if is_stuck else self._stuck.discard)(review_app)
            build = entry.inputs.build if entry else None
            if build is None or build.waits or build.job_name != self._let_go.get(review_app):
                self._let_go.pop(review_app, None)
            if build is None or not build.waits:
                self._told.pop(review_app, None)

    def news(self) -> list[str]:
        """Return the ReviewApps whose turn has come or whose place is another than they were told, first ones first."""
        with self._lock:
            if self._limit is None or not self._told:
                return []
            running, waiting, begun = self._gather()
            free = self._limit - len(running)
            queue = [one.review_app for one in order(waiting, running.values(), begun)]
            return [name for place, name in enumerate(queue) if place < free or self._told.get(name) != place]

    def _gather(self, besides: str | None = None) -> tuple[dict[str, str], list[Waiting], dict[str, float]]:
        """Return what runs and what waits, but for one ReviewApp, and when each repository's last build began."""
        begun: dict[str, float] = {}
        running: dict[str, str] = {}
        waiting: list[Waiting] = []
        known: Collection[Known] = list(self._look())
        for one in known:
            name, build = one.entry.review_app, one.entry.inputs.build
            repository = repository_of(one.entry.inputs.stack)
            if build is None or one.is_going:
                self._let_go.pop(name, None)
            elif build.waits:
                if name not in self._stuck or name == besides:
                    waiting.append(Waiting(name, repository, math.inf if one.since is None else one.since))
            else:
                begun[repository] = max(begun.get(repository, -math.inf), one.since or 0)
                if name != besides and self._runs(one, build):
                    running[name] = repository
        for name in self._let_go:
            if name != besides:
                running.setdefault(name, self._repositories[name])
        return running, [one for one in waiting if one.review_app not in running], begun

    def _runs(self, one: Known, build: Build) -> bool:
        """Whether a build that was let go still runs, or is on its way to.

        Where its stack can't be updated, and so has no Job of it, it holds no place.
        """
        job = find_job(one.jobs, build.job_name)
        if job is not None:
            if self._let_go.get(one.entry.review_app) == build.job_name:
                del self._let_go[one.entry.review_app]
            return job_state(job) == "running"
        is_over = build.existing or is_of(one.entry.inputs, build)
        return not is_over and one.entry.phase == "applying" and one.entry.review_app not in self._stuck
