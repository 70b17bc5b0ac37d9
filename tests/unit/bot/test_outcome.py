from __future__ import annotations

from typing import Any

import pytest

from bot.outcome import failed_job, outcome, standing
from provisioner.review_app import Status

COMMIT, OTHER = "a" * 40, "b" * 40


def status(commit: str | None = COMMIT, generation: int | None = 3, **conditions: str) -> Status:
    entries = [
        {
            "type": kind,
            "status": value,
            "reason": "R",
            "message": f"of {kind}",
            "lastTransitionTime": "2026-11-25T00:00:00Z",
            "observedGeneration": generation or 0,
        }
        for kind, value in conditions.items()
    ]
    return Status.read({"buildCommit": commit, "observedGeneration": generation, "conditions": entries})


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Status(), "waiting"),
        (status(Accepted="True", Built="Unknown", Available="False", Ready="False"), "waiting"),
        (status(Accepted="True", Built="True", Available="False", Ready="False"), "waiting"),
        (status(Accepted="True", Built="True", Available="True", Ready="True"), "ready"),
        (status(Accepted="True", Built="False", Available="True", Ready="False"), "failed"),
        (status(Accepted="False", Built="True", Available="True", Ready="False"), "failed"),
        # Refused before anything of the new commit was looked at.
        (status(OTHER, Accepted="False", Built="True", Available="True", Ready="False"), "failed"),
        # What the status of the last spec, or of the last commit, says is not about this one.
        (status(generation=2, Accepted="True", Built="True", Available="True", Ready="True"), "waiting"),
        (status(generation=2, Accepted="False", Ready="False"), "waiting"),
        (status(generation=2, Accepted="True", Built="False", Ready="False"), "waiting"),
        (status(OTHER, Accepted="True", Built="True", Available="True", Ready="True"), "waiting"),
        (status(OTHER, Accepted="True", Built="False", Ready="False"), "waiting"),
        (status(None, None), "waiting"),
        (status(generation=4, Accepted="True", Built="True", Available="True", Ready="True"), "ready"),
    ],
)
def test_outcome(found: Status, expected: str) -> None:
    assert outcome(found, COMMIT, 3) == expected


def test_the_job_of_a_build_that_failed() -> None:
    failed = status(Accepted="True", Built="False", Ready="False").model_copy(update={"build_job_name": "first"})
    assert failed_job(failed, COMMIT) == "first"
    assert failed_job(failed, OTHER) is None
    assert failed_job(status(Built="True"), COMMIT) is None


def test_what_sums_it_up() -> None:
    found = standing(status(Accepted="True", Ready="False"))
    assert found
    assert found.message == "of Ready"
    assert standing(Status()) is None


def test_a_status_that_another_program_wrote() -> None:
    broken: Any = {"conditions": "none", "observedGeneration": "x"}
    assert outcome(Status.read(broken), COMMIT, 1) == "waiting"
