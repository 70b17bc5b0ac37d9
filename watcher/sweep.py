"""Find by label what a stack has in the cluster, to see whose it is and to remove what a destroy left.

Looks only into the namespaces it is given, and touches only what carries the stack's label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from provisioner.errors import ForeignObject
from provisioner.ownership import Ownership, ownership
from stacks.inputs import StackInputs
from stacks.review_app import manifests, stack_label_selector
from watcher.cluster import DECLARED, Cluster, Object, Resource


def refuse_foreign(cluster: Cluster, inputs: StackInputs) -> None:
    """Look up every name that the stack declares, before the engine silently merges into what is there.

    Raises:
        ForeignObject: one of the names belongs to an object that this stack did not make.
    """
    for manifest in manifests(inputs):
        resource = DECLARED[manifest["apiVersion"], manifest["kind"]]
        metadata = manifest["metadata"]
        live = cluster.get(resource, metadata["namespace"], metadata["name"])
        if ownership(live, inputs.stack) is Ownership.FOREIGN:
            target = f"{manifest['kind']} {metadata['namespace']}/{metadata['name']}"
            raise ForeignObject(target, "it lacks this stack's label or field manager")


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
