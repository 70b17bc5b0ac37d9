"""Find by label what a stack has in the cluster, and remove what a destroy left.

Looks only into the namespaces it is given, and touches only what carries the stack's label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stacks.review_app import stack_label_selector
from watcher.cluster import DECLARED, Cluster, Object, Resource


def sweep(cluster: Cluster, stack: str, namespaces: Iterable[str]) -> list[str]:
    """Delete what carries the stack's label; return what is still there, as `Kind namespace/name`."""
    left: list[str] = []
    for resource, item in _labelled(cluster, stack, namespaces):
        metadata = item["metadata"]
        if "deletionTimestamp" not in metadata:
            cluster.delete(resource, metadata["namespace"], metadata["name"])
        left.append(f"{resource.kind} {metadata['namespace']}/{metadata['name']}")
    return left


def _labelled(cluster: Cluster, stack: str, namespaces: Iterable[str]) -> Iterator[tuple[Resource, Object]]:
    for namespace in sorted(set(namespaces)):
        for resource in DECLARED.values():
            items, _ = cluster.list(resource, namespace, label_selector=stack_label_selector(stack))
            yield from ((resource, item) for item in items)
