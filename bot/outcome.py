"""Where a submitted commit stands, by its ReviewApp's status. Pure."""

from __future__ import annotations

from typing import Literal

from provisioner.review_app import Condition, Status

Outcome = Literal["ready", "failed", "waiting"]


def outcome(status: Status, commit: str, generation: int) -> Outcome:
    """Return whether a commit answers, never will as it is, or may yet.

    Failed is what only another commit or config heals: a refused spec, a build that used up its tries. Whatever else
    stands in the way (a missing Secret, a crash, a taken name) may be put right meanwhile, so it is waited for.

    Args:
        status: what was observed.
        commit: what was submitted.
        generation: the ReviewApp's generation since then; an older status speaks of another spec.
    """
    if (status.observed_generation or 0) < generation:
        return "waiting"
    if _holds(status, "Accepted", "False"):
        return "failed"
    if status.build_commit != commit:
        return "waiting"
    if _holds(status, "Ready", "True"):
        return "ready"
    return "failed" if _holds(status, "Built", "False") else "waiting"


def failed_job(status: Status, commit: str) -> str | None:
    """Return the build Job of a commit, if it is the newest one and has failed."""
    return status.build_job_name if status.build_commit == commit and _holds(status, "Built", "False") else None


def standing(status: Status) -> Condition | None:
    """Return the condition that sums all up: `Ready`, whose reason and message are those of what stands in the way."""
    return find(status, "Ready")


def find(status: Status, kind: str) -> Condition | None:
    """Return a condition of a status."""
    return next((entry for entry in status.conditions if entry.type == kind), None)


def _holds(status: Status, kind: str, value: str) -> bool:
    found = find(status, kind)
    return found is not None and found.status == value
