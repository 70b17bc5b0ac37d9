"""Tell engine failures apart by what the CLI, the engine and the API server say. Pure: runs nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from provisioner.errors import (
    ApplyRefused,
    ClusterUnreachable,
    EngineError,
    EngineFailed,
    EngineInterrupted,
    EngineKilled,
    LockOwner,
    SecretsUnreadable,
    StackLocked,
    StackNotFound,
    StateDamaged,
    StateRefused,
)

ROLE_EXISTS = "RoleExists"
"""Reason of what AWS refuses to make since it is there, and not in the stack's state."""

_LONGEST_QUOTE = 600


@dataclass(frozen=True)
class Diagnostic:
    """One error that the engine reported during a run.

    Attributes:
        message: as reported, without colours.
        resource: the name it was registered by, `Kind/name`; empty if it is about no object.
    """

    message: str
    resource: str


# By the API server's own words; the first that is found counts.
# https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/api/errors/errors.go
_REFUSALS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"because it is being terminated"),
        "NamespaceTerminating",
        "wait until the namespace is gone, and create it anew",
    ),
    (
        re.compile(r'namespaces "[^"]*" not found'),
        "NamespaceNotFound",
        "create the namespace, or name one that exists",
    ),
    (
        re.compile(r"exceeded quota|failed quota"),
        "QuotaExceeded",
        "raise the namespace's quota, or delete what is not needed",
    ),
    (
        re.compile(r"denied the request|violates PodSecurity|ValidatingAdmissionPolicy"),
        "AdmissionDenied",
        "change the review app so that the cluster's policy allows it",
    ),
    (
        re.compile(r"Server-Side Apply field conflict|Apply failed with \d+ conflict"),
        "FieldConflict",
        "another manager of the object has set this field: take the field from it, or delete the object",
    ),
    (
        re.compile(r" is forbidden: "),
        "Forbidden",
        "give the watcher's service account this permission",
    ),
    (
        re.compile(r" is invalid: |field is immutable|failed to create typed patch object|cannot be handled as an? "),
        "Invalid",
        "correct the field that is named",
    ),
    (
        re.compile(r"no matches for kind|the apiVersion for this resource does not exist"),
        "KindNotFound",
        "install what serves this kind",
    ),
)

# By the codes of AWS's services, which its SDK quotes, and by what its provider says itself.
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_REFUSALS_OF_AWS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"AccessDenied|is not authorized to perform"),
        "AwsAccessDenied",
        "give the watcher's role in AWS this permission: docs/aws.md",
    ),
    (
        re.compile(r"Throttling|TooManyRequests|Rate exceeded|RequestLimitExceeded"),
        "AwsThrottled",
        "it is tried again by itself; fewer workers ask for less at once",
    ),
    (
        re.compile(r"LimitExceeded"),
        "AwsQuotaExceeded",
        "raise the account's quota of IAM roles, or close pull requests",
    ),
    (
        re.compile(
            r"(?i)no valid credential sources|unable to locate credentials|invalid credentials configured"
            r"|unable to validate AWS|failed to refresh cached credentials|ExpiredToken|InvalidClientTokenId"
        ),
        "AwsCredentials",
        "give the watcher's service account its role in AWS: docs/aws.md",
    ),
    (
        re.compile(r"EntityAlreadyExists|ResourceInUseException"),
        ROLE_EXISTS,
        "see whose it is, and delete it: it is made anew",
    ),
)

_UNREACHABLE = re.compile(r"configured Kubernetes cluster is unreachable(?:: (?P<detail>.*))?", re.DOTALL)
_CONNECTION = re.compile(
    r"connection refused|no route to host|i/o timeout|TLS handshake timeout|no such host|connection reset by peer"
)
_CANCELLED = "update canceled"
_LOCKED = "the stack is currently locked by"
_OWNER = re.compile(r"created by (?P<user>.*)@(?P<host>[^\s@]+) \(pid (?P<pid>\d+)\) at (?P<time>\S+)")
_NOT_FOUND = re.compile(r"no stack named .* found")
# What Go's JSON decoder says of a checkpoint; a backend that does not answer is told of in other words.
_DAMAGED = re.compile(r"place 1: (?P<detail>unexpected end of JSON input|invalid character|json: )")
_REFUSED = re.compile(
    r"snapshot integrity failure; (?P<integrity>[^\n]*)|(?P<version>unsupported checkpoint version \d+)"
)
_WRONG_KEY = re.compile(r"incorrect passphrase|passphrase must be set|decrypting secret|secrets manager")
# What the provider puts before the API server's answer.
_PREAMBLE = re.compile(
    r"^.*(?:by the Kubernetes API server|failed to fully initialize or become live"
    r'|update of resource "[^"]*" failed|had an apply conflict): ',
    re.DOTALL,
)
# What the engine says at the end of each failed update; the cause has been said before.
_ECHOES = re.compile(r"^update failed$|^Resource monitor has terminated|^an unhandled error occurred:")
_COLOURS = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")


def plain(text: str) -> str:
    """Return the engine's text without its colour marks."""
    return _COLOURS.sub("", text).strip()


def lock_owners(stderr: str) -> tuple[LockOwner, ...]:
    """Return the owners of a stack's locks, read from what the CLI says when it meets them."""
    return tuple(
        LockOwner(found["user"], found["host"], int(found["pid"]), datetime.fromisoformat(found["time"]))
        for found in _OWNER.finditer(stderr)
    )


def classify(stack: str, command: str, code: int, stderr: str, diagnostics: Sequence[Diagnostic]) -> EngineError:
    """Return the error that says why an engine run failed.

    Args:
        stack: name of the stack.
        command: what the CLI was asked for, such as `up`.
        code: its exit code; negative if a signal ended it.
        stderr: what it wrote there.
        diagnostics: the errors that the engine reported, in their order.
    """
    if _LOCKED in stderr:
        return StackLocked(stack, lock_owners(stderr))
    if _NOT_FOUND.search(stderr):
        return StackNotFound(stack)
    if code < 0:
        return EngineKilled(command, -code)
    if damaged := _DAMAGED.search(stderr):
        return StateDamaged(stack, damaged["detail"].removesuffix(": "))
    if refused := _REFUSED.search(stderr):
        return StateRefused(stack, _quote(refused["integrity"] or refused["version"]))
    if any(diagnostic.message == _CANCELLED for diagnostic in diagnostics):
        return EngineInterrupted(command)
    for diagnostic in diagnostics:
        error = _from_diagnostic(diagnostic)
        if error:
            return error
    if _WRONG_KEY.search(stderr):
        return SecretsUnreadable(stack)
    said = [
        f"{d.resource}: {d.message}" if d.resource else d.message for d in diagnostics if not _ECHOES.search(d.message)
    ]
    return EngineFailed(command, code, _quote("; ".join(said or [plain(stderr)])) or "it gave no message")


def refusal_of_aws(target: str, message: str) -> ApplyRefused | None:
    """Return the error that says why AWS refused something, by its own words; None if they are not known."""
    for pattern, reason, remedy in _REFUSALS_OF_AWS:
        if pattern.search(message):
            return ApplyRefused(target, reason, _quote(message), remedy)
    return None


def _from_diagnostic(diagnostic: Diagnostic) -> EngineError | None:
    message = diagnostic.message
    unreachable = _UNREACHABLE.search(message)
    if unreachable:
        # Without a detail the provider goes on to advise a setting that forgets what was not deleted.
        return ClusterUnreachable(_quote(unreachable["detail"] or "the provider has no answer from it"))
    detail = _quote(_PREAMBLE.sub("", message))
    target = diagnostic.resource or "the stack"
    for pattern, reason, remedy in _REFUSALS:
        if pattern.search(message):
            return ApplyRefused(target, reason, detail, remedy)
    if refused := refusal_of_aws(target, message):
        return refused
    return ClusterUnreachable(detail) if _CONNECTION.search(message) else None


def _quote(text: str) -> str:
    """Return `text` on one line, cut to what fits a condition, without a traceback and a final full stop."""
    line = " ".join(text.partition("Traceback (most recent call last)")[0].split())
    return (line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…").rstrip(".")
