"""What somebody has changed of a stack's objects, by the API server's own word on who owns which field. Pure.

Server-side apply notes each field that our engine applied. A field that somebody else sets to another value is theirs
from then on, and missing from ours; what others add beside ours is theirs to have. So nothing needs to be remembered,
and what controllers write (status, defaults, revisions) never counts.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from stacks.database_names import CNPG_VERSION, KUBEDB_VERSIONS
from stacks.inputs import StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests
from watcher.builds import is_of
from watcher.cluster import Object, section

# Nobody's to put right: how many replicas run is also an autoscaler's or a sleeper's.
_SHARED = {"spec.replicas"}
# They run once and can't be changed, and Kueue writes into them; operators write into theirs.
_ONLY_THERE = {"batch/v1", CNPG_VERSION, *KUBEDB_VERSIONS}
_IDENTITY = {"apiVersion", "kind"}
_NAMES = {"name", "namespace"}

Key = tuple[str, str, str]
"""Kind, namespace and name of an object."""


@dataclasses.dataclass(frozen=True)
class Drift:
    """How one object differs from what its stack declares.

    Attributes:
        manifest: what the stack declares.
        fields: the paths of the fields that somebody has changed or removed; empty if the object is gone.
        by: who did, as far as the API server says.
    """

    manifest: Manifest = dataclasses.field(compare=False)
    fields: tuple[str, ...]
    by: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Which object it is."""
        return key_of(self.manifest)

    def __str__(self) -> str:
        kind, namespace, name = self.key
        if not self.fields:
            return f"{kind} {namespace}/{name} was deleted"
        by = f" by {', '.join(self.by)}" if self.by else ""
        return f"{kind} {namespace}/{name}: {', '.join(self.fields[:5])} changed{by}"


def key_of(item: Mapping[str, Any]) -> Key:
    """Return which object a manifest, or an object as the API has it, is."""
    metadata = item["metadata"]
    return item["kind"], metadata["namespace"], metadata["name"]


def drift(inputs: StackInputs, live: Iterable[Object]) -> list[Drift]:
    """Return how a stack's objects differ from what it declares.

    Args:
        inputs: what the stack was last asked to declare, and was updated to.
        live: the objects that carry its label, with `kind` and `metadata`; nothing else of them is looked at.
    """
    there = {key_of(item): item for item in live}
    found: list[Drift] = []
    for manifest in manifests(inputs):
        item = there.get(key_of(manifest))
        if item is None:
            if not _may_be_gone(manifest, inputs):
                found.append(Drift(manifest, ()))
        elif manifest["apiVersion"] not in _ONLY_THERE and "deletionTimestamp" not in item["metadata"]:
            lost = tuple(path for path in lost_fields(manifest, item, inputs.stack) if path not in _SHARED)
            if lost:
                found.append(Drift(manifest, lost, _others(item, inputs.stack)))
    return found


def lost_fields(manifest: Manifest, live: Object, manager: str) -> Iterator[str]:
    """Yield the path of each field of a manifest that its manager owns no more."""
    owned: Object = {}
    for entry in _managed(live):
        if (entry.get("manager"), entry.get("operation")) == (manager, "Apply") and not entry.get("subresource"):
            if "fieldsV1" not in entry:
                return
            owned = entry["fieldsV1"]
    for key, value in manifest.items():
        if key in _IDENTITY:
            continue
        if key == "metadata":
            value = {name: value[name] for name in value if name not in _NAMES}
        yield from _lost(value, owned.get(f"f:{key}"), key)


def _lost(value: object, owned: Object | None, path: str) -> Iterator[str]:
    if value is None or value in ({}, []):
        # Nobody owns what has no content.
        return
    if owned is None:
        yield path
    elif not owned:
        # Owned as a whole.
        return
    elif isinstance(value, dict):
        for key, part in cast("dict[str, object]", value).items():
            yield from _lost(part, owned.get(f"f:{key}"), f"{path}.{key}")
    elif isinstance(value, list):
        for part in cast("list[object]", value):
            yield from _lost_item(part, owned, path)


def _lost_item(item: object, owned: Object, path: str) -> Iterator[str]:
    """Look for an item of a list among those that are owned, each by its keys (`k:`) or its value (`v:`)."""
    for name, fields in owned.items():
        mark, _, text = name.partition(":")
        if mark == "v" and json.loads(text) == item:
            return
        if mark == "k" and isinstance(item, dict):
            keys: dict[str, object] = json.loads(text)
            have = cast("dict[str, object]", item)
            # A key that is left out has its default.
            if all(have.get(key, wanted) == wanted for key, wanted in keys.items()):
                yield from _lost(have, fields, f"{path}[{next(iter(keys.values()))}]")
                return
    yield f"{path}[]"


def _may_be_gone(manifest: Manifest, inputs: StackInputs) -> bool:
    """Whether nothing is amiss without it: the Job of a build that is deployed."""
    build = inputs.build
    return bool(
        build and manifest["kind"] == "Job" and manifest["metadata"]["name"] == build.job_name and is_of(inputs, build)
    )


def _others(live: Object, manager: str) -> tuple[str, ...]:
    """Return who else has written to an object, but for controllers' own word on its status; the last one first."""
    entries = [e for e in _managed(live) if e.get("manager") != manager and not e.get("subresource")]
    entries.sort(key=lambda entry: entry.get("time") or "", reverse=True)
    return tuple(dict.fromkeys(entry["manager"] for entry in entries))[:2]


def _managed(live: Object) -> list[Object]:
    return section(live, "metadata").get("managedFields") or []
