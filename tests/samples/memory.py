"""A stand-in for an API server: objects in memory, with the versions, watches and field managers that a watcher needs.

It checks neither schemas nor rights, and runs nothing: no Job ever ends here.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Generator
from typing import Any, Literal, cast

from watcher.cluster import NAMESPACES, ApiRefused, Cluster, Object, Resource

_SILENT_SECONDS = 0.2
_DEEPEST = 30
_LONGEST_LOG = 2_000


class MemoryCluster(Cluster):
    """Objects by kind, namespace and name."""

    def __init__(self, custom: dict[str, tuple[str, ...]] | None = None) -> None:
        """Start without objects; `custom` has the kinds of operators, by their versions."""
        self.custom = custom or {}
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.written: set[tuple[str, str]] = set()
        """Resource and namespace of each write, whoever made it."""
        self._versions = itertools.count(1)
        # (version, type, plural, object), until every watch has passed on.
        self._log: list[tuple[int, str, str, Object]] = []
        self._changed = threading.Condition(threading.RLock())

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        with self._changed:
            return _copied(self.objects.get(_key(resource, namespace, name)))

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
    ) -> tuple[list[Object], str]:
        with self._changed:
            found = [
                _copied(item)
                for (plural, place, named), item in self.objects.items()
                if plural == resource.plural and namespace in {None, place} and name in {None, named}
            ]
            version = str(next(self._versions))
        return [item for item in found if _matches(item, label_selector)], version

    def resources(self, api_version: str) -> list[Object]:
        return [{"name": name} for name in self.custom.get(api_version, ())]

    def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        if "review" in resource.plural and "access" in resource.plural:
            return {"status": {"allowed": True}}
        name: str = body["metadata"].get("name") or f"generated-{next(self._versions)}"
        key = _key(resource, namespace, name)
        with self._changed:
            if key in self.objects:
                raise ApiRefused(409, "AlreadyExists", f"{resource.plural} {name} already exists")
            return self._put(resource, key, _copied(body), "ADDED")

    def replace(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        key = _key(resource, namespace, body["metadata"]["name"])
        with self._changed:
            if key not in self.objects:
                raise ApiRefused(404, "NotFound", f"{key} not found")
            return self._put(resource, key, _copied(body), "MODIFIED")

    def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Object,
        subresource: Literal["status"] | None = None,
    ) -> Object:
        key = _key(resource, namespace, name)
        with self._changed:
            live = self.objects.get(key)
            if live is None:
                raise ApiRefused(404, "NotFound", f"{key} not found")
            wanted = body.get("metadata", {}).get("resourceVersion")
            if wanted and wanted != live["metadata"]["resourceVersion"]:
                raise ApiRefused(409, "Conflict", f"{key} has changed")
            merged = _merged(_copied(live), _copied(body))
            if merged == live:
                return _copied(live)
            if "deletionTimestamp" in merged["metadata"] and not merged["metadata"].get("finalizers"):
                self._drop(resource, key)
                return merged
            return self._put(resource, key, merged, "MODIFIED")

    def apply(self, resource: Resource, namespace: str | None, body: Object, manager: str) -> Object:
        key = _key(resource, namespace, body["metadata"]["name"])
        with self._changed:
            live = self.objects.get(key)
            merged = _merged(_copied(live or {}), _copied(body))
            merged["metadata"]["managedFields"] = [{"manager": manager, "operation": "Apply"}]
            return self._put(resource, key, merged, "MODIFIED" if live else "ADDED")

    def try_apply(self, resource: Resource, namespace: str | None, body: Object, manager: str) -> None:
        """Refuse nothing."""

    def delete_alone(self, resource: Resource, item: Object) -> None:
        with self._changed:
            for key, live in list(self.objects.items()):
                owners = live["metadata"].get("ownerReferences", ())
                if any(owner["uid"] == item["metadata"]["uid"] for owner in owners):
                    del self.objects[key]["metadata"]["ownerReferences"]
        self.delete_seen(resource, item)

    def delete_seen(self, resource: Resource, item: Object) -> None:
        self.delete(resource, item["metadata"].get("namespace"), item["metadata"]["name"])

    def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        key = _key(resource, namespace, name)
        with self._changed:
            live = self.objects.get(key)
            if live is None:
                return
            if live["metadata"].get("finalizers"):
                live["metadata"].setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")
                self._put(resource, key, live, "MODIFIED")
            else:
                self._drop(resource, key)
                if resource == NAMESPACES:
                    # With it goes what is in it; of that, nobody is told.
                    self.objects = {each: item for each, item in self.objects.items() if each[1] != name}

    def watch(
        self,
        resource: Resource,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
        seconds: float = 300.0,
    ) -> Generator[tuple[str, Object]]:
        seen, deadline = int(resource_version), time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._changed:
                if not any(entry[0] > seen for entry in self._log[-1:]):
                    self._changed.wait(_SILENT_SECONDS)
                news = [entry for entry in self._log if entry[0] > seen]
                bookmark = str(next(self._versions))
            for version, kind, plural, item in news:
                seen = version
                place, named = item["metadata"].get("namespace"), item["metadata"]["name"]
                is_asked_for = plural == resource.plural and namespace in {None, place} and name in {None, named}
                if is_asked_for and _matches(item, label_selector):
                    yield kind, _copied(item)
            yield "BOOKMARK", {"metadata": {"resourceVersion": bookmark}}

    def clear_events(self) -> None:
        """Forget Events, and what watches that are open have seen by now."""
        with self._changed:
            self.objects = {key: item for key, item in self.objects.items() if key[0] != "events"}
            del self._log[:-_LONGEST_LOG]

    def _put(self, resource: Resource, key: tuple[str, str, str], item: Object, event: str) -> Object:
        version = next(self._versions)
        self.written.add(key[:2])
        metadata = item["metadata"]
        metadata |= {"resourceVersion": str(version), "uid": metadata.get("uid") or f"uid-{version}", "name": key[2]}
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        metadata.setdefault("generation", 1)
        if key[1]:
            metadata["namespace"] = key[1]
        item |= {"kind": resource.kind, "apiVersion": resource.api_version}
        self.objects[key] = item
        self._say(version, event, resource, item)
        return _copied(item)

    def _drop(self, resource: Resource, key: tuple[str, str, str]) -> None:
        item = self.objects.pop(key)
        version = next(self._versions)
        self._say(
            version, "DELETED", resource, item | {"metadata": item["metadata"] | {"resourceVersion": str(version)}}
        )

    def _say(self, version: int, event: str, resource: Resource, item: Object) -> None:
        self._log.append((version, event, resource.plural, _copied(item)))
        self._changed.notify_all()


def _copied(value: Any, depth: int = 0) -> Any:
    """Return a copy that shares what nobody changes: texts, and what is nested deeper than any Kubernetes object."""
    if depth > _DEEPEST:
        return value
    if isinstance(value, dict):
        return {key: _copied(inner, depth + 1) for key, inner in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [_copied(inner, depth + 1) for inner in cast("list[Any]", value)]
    return value


def _key(resource: Resource, namespace: str | None, name: str) -> tuple[str, str, str]:
    return (resource.plural, (namespace or "") if resource.namespaced else "", name)


def _matches(item: Object, selector: str | None) -> bool:
    labels: dict[str, str] = item["metadata"].get("labels") or {}
    for part in (selector or "").split(","):
        key, is_value, value = part.partition("=")
        if part and (labels.get(key) != value if is_value else key not in labels):
            return False
    return True


def _merged(live: Any, change: Any) -> Any:
    """Return what a JSON merge patch makes of a document (https://www.rfc-editor.org/rfc/rfc7396)."""
    if not isinstance(change, dict):
        return change
    merged: dict[str, Any] = cast("dict[str, Any]", live) if isinstance(live, dict) else {}
    for key, value in cast("dict[str, Any]", change).items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
