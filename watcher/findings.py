"""What `reviewapp doctor` finds: the shape that all checks have. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal

from provisioner.errors import ClusterUnreachable, ReviewAppError
from watcher.cluster import ApiRefused

Verdict = Literal["ok", "wrong", "unknown"]
Fix = Callable[[], str]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one look at an installation showed.

    Attributes:
        verdict: whether it is as it should be; `unknown` where it can't be seen from here.
        what: what was looked at, and what is the matter with it.
        remedy: what to do about it.
        fix: does it, and returns what was done; None where that takes a human.
    """

    verdict: Verdict
    what: str
    remedy: str = ""
    fix: Fix | None = dataclasses.field(default=None, compare=False)


def ok(what: str) -> Finding:
    """Return that something is as it should be."""
    return Finding("ok", what)


def wrong(what: str, remedy: str, fix: Fix | None = None) -> Finding:
    """Return that something is not."""
    return Finding("wrong", what, remedy, fix)


def unknown(what: str, remedy: str = "") -> Finding:
    """Return that something can't be seen."""
    return Finding("unknown", what, remedy)


Check = Callable[[], Iterator[Finding]]


def results(what: str, check: Check) -> Iterator[Finding]:
    """Yield what a check finds; that it could not look, where the API server does not let it."""
    try:
        yield from check()
    except ApiRefused as error:
        if error.status not in {401, 403}:
            yield wrong(f"{what}: {error}", "see the API server's log")
            return
        yield unknown(f"{what}: not allowed to look", "run this as somebody who may, or ask a cluster's administrator")
    except ClusterUnreachable as error:
        yield wrong(f"{what}: {error}", "see whether the API server answers: `kubectl get --raw /readyz`")
    except ReviewAppError as error:
        yield wrong(f"{what}: {error}", "")
