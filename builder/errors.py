"""Why a tarball did not become a build context; each kind of reason has an exit code of its own.

    UnpackError
    ├── ParameterError      2   a parameter is missing or does not hold
    ├── FetchRefusedError   3   the other side answered, and the answer is no
    ├── FetchFailedError    4   network or server failed, and went on failing
    ├── ArchiveError        5   what was fetched is no archive, a damaged one, or not the one that was meant
    ├── UnsafeEntryError    6   an entry of the archive reaches outside the target
    ├── LimitError          7   the archive is larger than allowed
    └── WriteError          8   the target can't be written

Only 3, 4 and 8 can end otherwise when the same is tried again. Each message is one line that says
what, which value and what to do, and never holds a credential: a user reads it in the ReviewApp.
"""

from __future__ import annotations

from typing import ClassVar

_LONGEST_SHOWN = 120


class UnpackError(Exception):
    """Why a tarball did not become a build context."""

    exit_code: ClassVar[int] = 1


class ParameterError(UnpackError):
    """A parameter is missing or does not hold."""

    exit_code = 2


class FetchRefusedError(UnpackError):
    """The other side answered, and the answer is no: not found, not allowed, not a download."""

    exit_code = 3


class FetchFailedError(UnpackError):
    """Network or server failed; a later try may go through."""

    exit_code = 4


class ArchiveError(UnpackError):
    """What was fetched is no archive that we know, a damaged one, or not the one that was meant."""

    exit_code = 5


class UnsafeEntryError(UnpackError):
    """An entry reaches outside the target, or is something that a source tree doesn't hold."""

    exit_code = 6


class LimitError(UnpackError):
    """The archive is larger than allowed, in bytes or in entries."""

    exit_code = 7


class WriteError(UnpackError):
    """The target can't be written: no space, no permission."""

    exit_code = 8


def quoted(text: str) -> str:
    """Return untrusted text on one line, quoted, escaped, and cut to a readable length."""
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
