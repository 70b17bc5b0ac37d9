"""What an update of one stack would do, as the engine says: the model that every rendering shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

Operation = Literal["create", "update", "replace", "delete"]

OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
"""All operations, in the order in which they are shown."""

# What is lost with an object, by its API group and kind. Whoever declares further kinds that hold data adds them here.
_LOST_WITH: Final[Mapping[tuple[str, str], str]] = {
    ("", "Namespace"): "everything in it",
    ("", "PersistentVolume"): "the data on it",
    ("", "PersistentVolumeClaim"): "the data on its volume",
    ("apps", "StatefulSet"): "the data on its volumes, unless they are kept",
    ("kubedb.com", "Postgres"): "the database",
    ("postgresql.cnpg.io", "Cluster"): "the database",
}


@dataclass(frozen=True)
class PropertyChange:
    """One difference inside an object.

    Attributes:
        path: where, as the engine writes it, such as `spec.ports[0].targetPort`.
        change: `add`, `update` or `delete`.
        old, new: the values as JSON has them, without secrets; None where there is none or it may not be shown.
        secret: whether the values may not be shown; all that is said is that they differ.
        unknown: whether the new value is only known after the update.
        replaces: whether it is for this that the object is replaced.
    """

    path: str
    change: Literal["add", "update", "delete"]
    old: Any = None
    new: Any = None
    secret: bool = False
    unknown: bool = False
    replaces: bool = False


@dataclass(frozen=True)
class ResourceChange:
    """One object that does not stay as it is.

    Attributes:
        operation: what is done to it.
        api_version, kind, namespace, name: which it is, as it will be; as it was where it is deleted. For what is no
            Kubernetes object, `kind` is the engine's type and the others are empty but the name.
        properties: what differs, sorted by path; empty for a `create` and a `delete`.
    """

    operation: Operation
    api_version: str
    kind: str
    namespace: str
    name: str
    properties: tuple[PropertyChange, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def loses(self) -> str:
        """What data is lost by the change; empty where none is."""
        group = self.api_version.rpartition("/")[0]
        return _LOST_WITH.get((group, self.kind), "") if self.operation in {"delete", "replace"} else ""


@dataclass(frozen=True)
class Preview:
    """What an update of one stack would do.

    Attributes:
        stack: its name.
        is_new: whether there is no such stack yet.
        changes: what does not stay as it is, by operation, kind, namespace and name.
        unchanged: how many objects stay as they are.
        assumptions: what it was asked to take for granted.
        obstacles: what makes the update fail as things are.
        unseen: what could not be looked at.
    """

    stack: str
    is_new: bool
    changes: tuple[ResourceChange, ...]
    unchanged: int
    assumptions: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[Operation, int]:
        """How many objects each operation is for; 0 for an operation that is for none."""
        done = [change.operation for change in self.changes]
        return {operation: done.count(operation) for operation in OPERATIONS}

    @property
    def losses(self) -> tuple[ResourceChange, ...]:
        """The changes by which data is lost."""
        return tuple(change for change in self.changes if change.loses)

    @property
    def outcome(self) -> str:
        """What happens, in a few words and numbers of ours."""
        done = ", ".join(f"{count} to {operation}" for operation, count in self.counts.items() if count)
        parts = [done or "nothing to change"]
        if self.unchanged:
            parts.append(f"{self.unchanged} unchanged")
        if self.losses:
            parts.append("data is lost")
        if self.obstacles:
            parts.append("as things are, the update fails")
        return "; ".join(parts)

    @property
    def verdict(self) -> str:
        """What happens to which stack, in one line."""
        return f"{'new stack' if self.is_new else 'stack'} {self.stack}: {self.outcome}"
