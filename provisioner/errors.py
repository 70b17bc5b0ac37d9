"""Every error that the provisioner raises for a caller to handle.

    ReviewAppError
    ├── SpecRefused              the ReviewApp asks for what it can't have; nothing was made
    ├── SettingsRefused          the installation's settings do not hold
    ├── ForeignObject            a declared name belongs to somebody else's object; nothing was made
    └── EngineError              an engine run could not be made, or did not end well
        ├── EngineMissing        the pulumi CLI or the provider plugin is absent or has the wrong version
        ├── EngineTimeout        the run was ended at its time limit
        ├── EngineInterrupted    the run was ended, or not begun, because the process stops
        ├── EngineKilled         the run was ended by a signal from elsewhere, an out-of-memory kill for one
        ├── WorkFolderUnusable   its folder went away, or the disk is full
        ├── StackLocked          another update holds the stack's lock, or left it behind
        ├── StackNotFound        the backend has no such stack
        ├── StateUnreachable     the state backend can't be read or written
        ├── StateTampered        the stack's state is that of another stack
        ├── SecretsUnreadable    the passphrase or key does not open the state's secrets
        ├── ClusterUnreachable   the API server does not answer
        ├── ApplyRefused         the API server refused an object
        └── EngineFailed         anything else

Each has a `reason` in CamelCase, fit for a condition, and a message that names what is wrong and says what to do
next. No message carries a secret.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

# A hostile spec has as many wrong fields as it likes, and a condition's message holds 32,768 characters.
_MOST_SHOWN = 10


class ReviewAppError(Exception):
    """Base of all errors of the provisioner."""

    reason: str = "Error"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """One thing that is wrong in what a user wrote: the field, its value as it may be shown, and the remedy."""

    field: str
    value: str
    remedy: str

    def __str__(self) -> str:
        shown = f"{self.value} " if self.value else ""
        return f"{self.field}: {shown}{self.remedy}"


class SpecRefused(ReviewAppError):
    """The ReviewApp asks for what it can't have. `refusals` names each field; the message shows the first ones."""

    reason = "InvalidSpec"

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        shown = [str(refusal) for refusal in self.refusals[:_MOST_SHOWN]]
        more = len(self.refusals) - len(shown)
        super().__init__("; ".join([*shown, f"and {more} more"] if more else shown))


class SettingsRefused(ReviewAppError):
    """The installation's settings do not hold. `refusals` names each of them."""

    reason = "InvalidSettings"

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join(str(refusal) for refusal in self.refusals))


class ForeignObject(ReviewAppError):
    """A name that the stack declares is taken by an object that the stack did not make.

    Args:
        target: the object, as `Kind namespace/name`.
        detail: how one sees that it is not ours.
    """

    reason = "ForeignObject"

    def __init__(self, target: str, detail: str) -> None:
        self.target = target
        super().__init__(
            f"{target} exists and is not this review app's ({detail}); it was left as it is: "
            "delete or rename it, or choose another namespace; if the older operator made it, see `reviewapp adopt`"
        )


class EngineError(ReviewAppError):
    """An engine run could not be made, or did not end well."""

    reason = "EngineFailed"


class EngineMissing(EngineError):
    """The pulumi CLI or the kubernetes provider plugin is absent or has the wrong version."""

    reason = "EngineMissing"


class EngineTimeout(EngineError):
    """The run of `pulumi <command>` was ended after `seconds`."""

    reason = "EngineTimeout"

    def __init__(self, command: str, seconds: float) -> None:
        super().__init__(
            f"`pulumi {command}` did not end within {seconds:g} s and was ended: "
            "see whether the API server answers, or raise engine_timeout_seconds"
        )


class EngineInterrupted(EngineError):
    """The run of `pulumi <command>` was ended, or not begun, because this process stops."""

    reason = "EngineInterrupted"

    def __init__(self, command: str) -> None:
        super().__init__(
            f"`pulumi {command}` was interrupted, as it is when the watcher stops: it is finished at the next start"
        )


class EngineKilled(EngineError):
    """The run of `pulumi <command>` was ended by a signal that did not come from us."""

    reason = "EngineKilled"

    def __init__(self, command: str, signal_number: int) -> None:
        super().__init__(
            f"`pulumi {command}` was killed by signal {signal_number}: "
            "if that happens again, give the watcher more memory (a worker needs about 250 MiB)"
        )


class WorkFolderUnusable(EngineError):
    """The folder that an engine runs in went away, can't be written to, or has no room. `detail` is the system's."""

    reason = "WorkFolderUnusable"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"the engine's folder can't be used ({detail}): see that the volume of data_folder is there, is the "
            "watcher's to write, and has room"
        )


@dataclasses.dataclass(frozen=True)
class LockOwner:
    """The process that wrote a stack's lock, as the backend knows it. `host` is a Pod's name in a cluster."""

    user: str
    host: str
    pid: int
    time: datetime

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user}@{self.host} since {self.time.isoformat()}"


class StackLocked(EngineError):
    """Another update holds the stack's lock, or left it behind.

    Attributes:
        owners: who wrote the locks; empty if that could not be read.
    """

    reason = "StackLocked"

    def __init__(self, stack: str, owners: Sequence[LockOwner]) -> None:
        self.owners = tuple(owners)
        held = " and ".join(str(owner) for owner in owners) or "an owner that could not be read"
        super().__init__(
            f"stack {stack} is locked by {held}: wait until that ends; if it is gone for good, "
            f"remove the lock with `pulumi cancel --yes --stack {stack}`"
        )


class StackNotFound(EngineError):
    """The backend has no such stack."""

    reason = "StackNotFound"

    def __init__(self, stack: str) -> None:
        super().__init__(f"stack {stack} is not in the state backend: see that backend_url is the one it was made with")


class StateUnreachable(EngineError):
    """The state backend can't be read or written. `detail` quotes who tried."""

    reason = "StateUnreachable"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"the state backend can't be read or written ({detail}): see that it is up, that backend_url "
            "holds and that the watcher has its credentials"
        )


class StateTampered(EngineError):
    """What is stored as the stack's state is that of another one, `other`, whose objects an update would delete."""

    reason = "StateTampered"

    def __init__(self, stack: str, other: str) -> None:
        super().__init__(
            f"what is stored as the state of stack {stack} is that of {other or 'no stack'}; nothing was changed: put "
            f"back the right one, or remove it with `pulumi stack rm --yes --force {stack}` below `reviewapp unlock`, "
            "and it is made anew around what is there"
        )


class StateDamaged(EngineError):
    """The stack's checkpoint is not what the engine has written: cut off, empty, or no checkpoint at all."""

    reason = "StateDamaged"

    def __init__(self, stack: str, detail: str) -> None:
        super().__init__(
            f"the state of stack {stack} is damaged ({detail}): the watcher's next update or destroy makes it anew "
            "from what the cluster has"
        )


class StateRefused(EngineError):
    """The stack's checkpoint can be read, and the engine does not take it: changed by hand, or by a newer engine."""

    reason = "StateRefused"

    def __init__(self, stack: str, detail: str) -> None:
        super().__init__(
            f"the engine refuses the state of stack {stack} ({detail}): put back a checkpoint that it wrote itself, "
            f"from the backend's history or a backup, with `pulumi stack import --stack {stack} --file …`"
        )


class SecretsUnreadable(EngineError):
    """The passphrase or key does not open the secrets in the stack's state."""

    reason = "SecretsUnreadable"

    def __init__(self, stack: str) -> None:
        super().__init__(
            f"the secrets in the state of stack {stack} cannot be decrypted: "
            "give the watcher the passphrase, or access to the key, that the stack was made with"
        )


class ClusterUnreachable(EngineError):
    """The API server does not answer. `detail` quotes who tried, `remedy` says what to do."""

    reason = "ClusterUnreachable"

    def __init__(self, detail: str, remedy: str = "see that it is up and that the kubeconfig holds") -> None:
        super().__init__(f"the Kubernetes API server cannot be reached ({detail}): {remedy}")


class ApplyRefused(EngineError):
    """The API server refused an object: validation, admission, permission, quota or a conflict.

    Attributes:
        target: the object, as `Kind/name`.
        reason: which of these it was, such as `QuotaExceeded`.
        detail: the API server's own message.
    """

    reason = "ApplyRefused"

    def __init__(self, target: str, reason: str, detail: str, remedy: str) -> None:
        self.target = target
        self.reason = reason
        self.detail = detail
        super().__init__(f"{target} was refused ({detail}): {remedy}")


class EngineFailed(EngineError):
    """The run of `pulumi <command>` failed with exit code `code` in a way that is not known here."""

    def __init__(self, command: str, code: int, detail: str) -> None:
        self.code = code
        super().__init__(f"`pulumi {command}` failed with exit code {code} ({detail}): see the watcher's log")
