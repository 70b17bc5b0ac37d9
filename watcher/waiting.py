"""Waits for a ReviewApp, until a commit answers or has failed, or until all of it is gone; shows what changes."""

from __future__ import annotations

from collections.abc import Callable

from bot.outcome import outcome, standing
from bot.untrusted import logged
from provisioner.errors import ReviewAppError
from provisioner.review_app import Condition, Status
from watcher.cluster import Cluster, Object
from watcher.progress import Waiting
from watcher.submission import TooLate, deleting, follow


class CommitFailed(ReviewAppError):
    """The commit was refused, its build failed, or somebody deleted its ReviewApp."""

    reason = "CommitFailed"


def until_ready(
    cluster: Cluster,
    name: str,
    commit: str,
    generation: int,
    seconds: float,
    is_current: Callable[[Status], bool] = lambda _: True,
) -> str:
    """Wait until a commit answers, and return where.

    Args:
        cluster: where the ReviewApp is.
        name: the ReviewApp's.
        commit: that is waited for.
        generation: the ReviewApp's since it asks for that commit.
        seconds: how long.
        is_current: whether a status is of what was asked for, where commit and generation don't tell.

    Raises:
        CommitFailed: it never will.
        TooLate: not in time; the message says what stands in its way.
    """
    told: dict[str, tuple[str, str]] = {}
    now: Condition | None = None
    with Waiting(f"wait for {name}") as waiting:
        try:
            for item in follow(cluster, name, seconds):
                status = _status_of(item, name)
                state = outcome(status, commit, generation) if is_current(status) else "waiting"
                if (status.observed_generation or 0) >= generation and is_current(status):
                    _tell(waiting, status, told)
                    now = standing(status)
                if state == "failed":
                    raise CommitFailed(f"{name} failed: {_said(now)}")
                if state == "ready":
                    return status.url or ""
                waiting.now(_in_short(now))
        except TooLate:
            raise TooLate(f"{name} is not ready after {seconds:.0f} s, it waits for: {_said(now)}") from None
    raise CommitFailed(f"{name} is gone")


def until_gone(cluster: Cluster, name: str, seconds: float) -> None:
    """Wait until a ReviewApp is gone, and with it all that it had.

    Raises:
        TooLate: not in time; the message says what is left.
    """
    now: Condition | None = None
    with Waiting(f"wait until {name} is gone") as waiting:
        try:
            for item in follow(cluster, name, seconds):
                if item is None:
                    waiting.note(f"{name} is gone")
                    return
                if not deleting(item):
                    raise CommitFailed(f"{name} is there again: somebody made another")
                now = standing(Status.read(item.get("status")))
                waiting.now(_in_short(now))
        except TooLate:
            raise TooLate(f"{name} is not gone after {seconds:.0f} s, it waits for: {_said(now)}") from None


def _status_of(item: Object | None, name: str) -> Status:
    if item is None or deleting(item):
        raise CommitFailed(f"{name} was deleted meanwhile: somebody closed it")
    return Status.read(item.get("status"))


def _tell(waiting: Waiting, status: Status, told: dict[str, tuple[str, str]]) -> None:
    """Print each condition that is another than when it was last told."""
    for entry in status.conditions:
        if told.get(entry.type) != (entry.status, entry.reason):
            told[entry.type] = entry.status, entry.reason
            waiting.note(f"{entry.type:<9} {entry.status:<7} {_in_short(entry)}")


def _in_short(condition: Condition | None) -> str:
    return (
        logged(f"{condition.reason}: {condition.message}").split("\n")[0] if condition else "no watcher has seen it yet"
    )


def _said(condition: Condition | None) -> str:
    return logged(f"{condition.reason}: {condition.message}") if condition else "no watcher has seen it yet"
