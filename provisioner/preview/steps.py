"""Read from a preview's engine events what would be done to each object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pulumi.automation import EngineEvent, OpType
from pulumi.automation.events import DiffKind, PropertyDiff, StepEventMetadata

from provisioner.preview.model import OPERATIONS, Operation, PropertyChange, ResourceChange
from provisioner.preview.values import (
    ABSENT,
    SECRET_KEY,
    Path,
    is_secret,
    is_unknown,
    look_up,
    parse_path,
    path_order,
    shown,
)

# The stack itself and the providers: the engine's own, nothing in the cluster.
_ENGINES_OWN: Final = "pulumi:"
_KUBERNETES: Final = "kubernetes:"
_OPERATIONS: Final[Mapping[OpType, Operation]] = {
    OpType.CREATE: "create",
    OpType.UPDATE: "update",
    OpType.REPLACE: "replace",
    OpType.DELETE: "delete",
}
_CHANGES: Final[Mapping[DiffKind, Literal["add", "update", "delete"]]] = {
    DiffKind.ADD: "add",
    DiffKind.ADD_REPLACE: "add",
    DiffKind.UPDATE: "update",
    DiffKind.UPDATE_REPLACE: "update",
    DiffKind.DELETE: "delete",
    DiffKind.DELETE_REPLACE: "delete",
}
_REPLACING: Final = frozenset({DiffKind.ADD_REPLACE, DiffKind.UPDATE_REPLACE, DiffKind.DELETE_REPLACE})
_SECRET_FIELDS: Final = frozenset({("data",), ("stringData",)})


class Steps:
    """The steps of one engine run. `add` is called from the thread that receives the events."""

    def __init__(self) -> None:
        self._steps: list[StepEventMetadata] = []

    def add(self, event: EngineEvent) -> None:
        """Take in one event."""
        # A replacement is one logical step, and a physical one for each of its halves.
        if event.resource_pre_event and event.resource_pre_event.metadata.logical:
            self._steps.append(event.resource_pre_event.metadata)

    @property
    def unchanged(self) -> int:
        """How many objects stay as they are."""
        return sum(step.op is OpType.SAME and not step.type.startswith(_ENGINES_OWN) for step in self._steps)

    @property
    def changes(self) -> tuple[ResourceChange, ...]:
        """What does not stay as it is, by operation, kind, namespace and name."""
        changes = [
            _change(step, _OPERATIONS[step.op])
            for step in self._steps
            if step.op in _OPERATIONS and not step.type.startswith(_ENGINES_OWN)
        ]
        return tuple(sorted(changes, key=_order))


def _order(change: ResourceChange) -> tuple[int, str, str, str]:
    return OPERATIONS.index(change.operation), change.kind, change.namespace, change.name


def _change(step: StepEventMetadata, operation: Operation) -> ResourceChange:
    old: Mapping[str, Any] = (step.old.inputs if step.old else None) or {}
    new: Mapping[str, Any] = (step.new.inputs if step.new else None) or {}
    declared = new or old
    name = step.urn.split("::", 3)[-1]
    differs = operation in {"update", "replace"}
    properties = _properties(step.detailed_diff or {}, old, new) if differs else ()
    if not step.type.startswith(_KUBERNETES):
        return ResourceChange(operation, "", step.type, "", name, properties)
    metadata: dict[str, Any] = declared.get("metadata") or {}
    return ResourceChange(
        operation=operation,
        api_version=str(declared.get("apiVersion", "")),
        kind=str(declared.get("kind", "")),
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", name)),
        properties=properties,
    )


def _properties(
    differences: Mapping[str, PropertyDiff], old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[PropertyChange, ...]:
    by_path = sorted(differences, key=lambda path: path_order(parse_path(path)))
    is_secret_object = (new or old).get("kind") == "Secret"
    return tuple(_property(path, differences[path], old, new, is_secret_object) for path in by_path)


def _property(
    text: str, difference: PropertyDiff, old: Mapping[str, Any], new: Mapping[str, Any], is_secret_object: bool
) -> PropertyChange:
    path = parse_path(text)
    before, after = look_up(old, path), look_up(new, path)
    change = _CHANGES[difference.diff_kind]
    replaces = difference.diff_kind in _REPLACING
    if _hidden(path, is_secret_object) or is_secret(before) or is_secret(after):
        return PropertyChange(text, change, secret=True, replaces=replaces)
    if is_unknown(after):
        return PropertyChange(text, change, _value(before), unknown=True, replaces=replaces)
    was, will_be = _value(before), _value(after)
    # Both are the same but for what is not shown: a part of an address that can be a credential.
    if change == "update" and was == will_be:
        return PropertyChange(text, change, secret=True, replaces=replaces)
    return PropertyChange(text, change, was, will_be, replaces=replaces)


def _value(found: Any) -> Any:
    return None if found is ABSENT else shown(found)


def _hidden(path: Path, is_secret_object: bool) -> bool:
    return (is_secret_object and path[:1] in _SECRET_FIELDS) or path[-1:] in {(), (SECRET_KEY,)}
