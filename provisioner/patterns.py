"""Patterns of repositories, `owner/repo` with `*` for any characters within a part. Pure.

Matching folds case, as forges do. Takes time in proportion to the texts' lengths, whatever the pattern:
who writes one may not keep the watcher busy.
"""

from __future__ import annotations

import dataclasses
import re
from fnmatch import fnmatchcase

_PART = r"[A-Za-z0-9._*-]{1,100}"
_PATTERN = re.compile(f"{_PART}/{_PART}")


class BadPattern(ValueError):
    """A text is no pattern; the message quotes it, and says what one is."""


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A pattern of repositories: `acme/site-*` takes `acme/site-a` and `Acme/Site-B`."""

    owner: str
    repo: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Return the pattern that a text is.

        Raises:
            BadPattern: it is none.
        """
        if not _PATTERN.fullmatch(text):
            raise BadPattern(f"{text[:60]!a} is no pattern: write owner/repo, as in acme/shop or acme/site-*")
        owner, _, repo = text.lower().partition("/")
        return cls(owner, repo)

    def takes(self, owner: str, repo: str) -> bool:
        """Whether this repository is among those that the pattern names."""
        return fnmatchcase(owner.lower(), self.owner) and fnmatchcase(repo.lower(), self.repo)


def parse_list(text: str) -> list[Pattern]:
    """Return the patterns of a list with commas between, empty for an empty one.

    Raises:
        BadPattern: one of them is none.
    """
    return [Pattern.parse(part.strip()) for part in text.split(",") if part.strip()]
