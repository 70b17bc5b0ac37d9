"""Every error that the provisioner raises for a caller to handle.

    ReviewAppError
    └── SpecRefused          the ReviewApp asks for what it can't have; nothing was made

Each has a `reason` in CamelCase, fit for a condition, and a message that says what to do next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar


class ReviewAppError(Exception):
    """Base of all errors of the provisioner."""

    reason: ClassVar[str] = "Error"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """One thing that is wrong in a ReviewApp: the field, its value as it may be shown, and the remedy."""

    field: str
    value: str
    remedy: str

    def __str__(self) -> str:
        shown = f"{self.value} " if self.value else ""
        return f"{self.field}: {shown}{self.remedy}"


class SpecRefused(ReviewAppError):
    """The ReviewApp asks for what it can't have. `refusals` names each field."""

    reason = "InvalidSpec"

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("; ".join(str(refusal) for refusal in self.refusals))
