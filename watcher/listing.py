"""What `reviewapp ls` says of a ReviewApp, in columns. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bot.outcome import standing
from provisioner.review_app import Condition, Status
from watcher.cluster import Object, section
from watcher.tables import NOTHING, age, cell

NOT_SEEN = "NotSeen"
"""Reason for a ReviewApp, or a change of one, that no watcher has looked at yet."""

COLUMNS = ("NAME", "REPO", "PR", "BRANCH", "COMMIT", "STATUS", "READY", "AGE", "URL")
WIDE_COLUMNS = (*COLUMNS, "BUILD", "NAMESPACE", "STACK", "IMAGE", "MESSAGE")
_SHORT_COMMIT = 12


@dataclasses.dataclass(frozen=True)
class Standing:
    """How a ReviewApp is, for somebody who wants to know that first.

    Attributes:
        ready: whether the newest commit is what answers.
        reason: of the condition Ready, or `NOT_SEEN`.
        message: what the condition says.
        since: since when it is so, as the API writes times; None if that is not known.
    """

    ready: bool
    reason: str
    message: str
    since: str | None


def standing_of(review_app: Object) -> Standing:
    """Return how a ReviewApp is. A status of another generation speaks of what it was before."""
    status = Status.read(review_app.get("status"))
    found = standing(status)
    metadata = review_app["metadata"]
    if found is None or (status.observed_generation or 0) < metadata.get("generation", 0):
        message = "no watcher has seen it, or its last change, yet: `reviewapp doctor` tells whether one runs"
        return Standing(False, NOT_SEEN, message, None if found else metadata.get("creationTimestamp"))
    return _of_condition(found)


def _of_condition(found: Condition) -> Standing:
    return Standing(found.status == "True", found.reason, found.message, found.last_transition_time)


def row(review_app: Object, now: float, *, wide: bool) -> list[str]:
    """Return a ReviewApp's cells of `COLUMNS`, or of `WIDE_COLUMNS`.

    Args:
        review_app: as the API has it.
        now: Unix time.
        wide: which of the two.
    """
    metadata, spec = review_app["metadata"], section(review_app, "spec")
    status = Status.read(review_app.get("status"))
    how = standing_of(review_app)
    cells: list[object] = [
        metadata["name"],
        pull_request_of(review_app).partition("#")[0],
        spec.get("pr"),
        spec.get("branch"),
        short(spec.get("commitHash")),
        "deleting" if "deletionTimestamp" in metadata else status.app_status,
        how.reason,
        age(metadata.get("creationTimestamp"), now),
        status.url,
    ]
    if wide:
        cells += [status.build_status, section(spec, "config").get("namespace"), status.stack, status.image]
        cells.append(how.message.partition("\n")[0])
    return [cell(value) for value in cells]


def pull_request_of(review_app: Object) -> str:
    """Return what a ReviewApp is for, as `owner/repo#pr`."""
    spec = section(review_app, "spec")
    owner, repository, number = (spec.get(key, NOTHING) for key in ("repoOwner", "repo", "pr"))
    return f"{owner}/{repository}#{number}"


def short(commit: object) -> str | None:
    """Return enough of a commit's hash to tell it from others."""
    return str(commit)[:_SHORT_COMMIT] if commit else None


def table(items: Sequence[Object], now: float, *, wide: bool) -> tuple[Sequence[str], list[list[str]]]:
    """Return the header and the rows of `ls`."""
    return WIDE_COLUMNS if wide else COLUMNS, [row(item, now, wide=wide) for item in items]
