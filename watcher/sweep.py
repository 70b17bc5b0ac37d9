"""Find by label what a stack has in the cluster, and remove what a destroy left.

Looks only into the namespaces it is given, and touches only what carries the stack's label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import product

from provisioner.ownership import Ownership, ownership
from stacks import naming
from stacks.inputs import StackInputs
from stacks.review_app import manifests, stack_label_selector
from watcher import own_namespaces
from watcher.cluster import IN_APPS, IN_BUILDS, ApiRefused, Cluster, Object, Resource, section
from watcher.preconditions import name_of

# The API server's own, which go by themselves.
_PASSING = {"foregroundDeletion", "orphan", "kubernetes.io/pvc-protection", "batch.kubernetes.io/job-tracking"}


def sweep(cluster: Cluster, stack: str, namespaces: Iterable[str], builds: str) -> list[str]:
    """Delete what carries the stack's label; return what is still there, as `Kind namespace/name`.

    Args:
        cluster: where.
        stack: the stack's name.
        namespaces: where it may have objects.
        builds: which of these is that of builds, where only some kinds are looked for.
    """
    left: list[str] = []
    for resource, item in _labelled(cluster, stack, namespaces, builds):
        metadata = item["metadata"]
        if "deletionTimestamp" not in metadata:
            # Of that name there may be another by now, if this process was paused since it looked.
            cluster.delete_seen(resource, item)
        left.append(_named(resource, item))
    return left


def clear_undeclared(cluster: Cluster, inputs: StackInputs, namespaces: Iterable[str], builds: str) -> list[str]:
    """Delete what the engine has made of a stack that is not declared; return what that was, as `Kind namespace/name`.

    For a stack whose state does not know all that it has made. What the engine has not applied stays.
    """
    declared = {name_of(manifest) for manifest in manifests(inputs)}
    cleared: list[str] = []
    for resource, item in _labelled(cluster, inputs.stack, namespaces, builds):
        name = name_of({"kind": resource.kind, **item})
        is_copy = section(item, "metadata", "labels").get(naming.COMPONENT_LABEL) == own_namespaces.COPY
        if name in declared or is_copy or ownership(item, inputs.stack) is not Ownership.OURS:
            continue
        cluster.delete_seen(resource, item)
        cleared.append(name)
    return cleared


def going(cluster: Cluster, stack: str, namespaces: Iterable[str]) -> list[str]:
    """Return what carries the stack's label in namespaces of apps that are on their way out, and so take it along.

    What may not be looked at any more, since the right to do so went before it, is left out.
    """
    left: list[str] = []
    for namespace, resource in product(namespaces, IN_APPS):
        try:
            items, _ = cluster.list(resource, namespace, label_selector=stack_label_selector(stack))
        except ApiRefused as refused:
            if refused.status != HTTPStatus.FORBIDDEN:
                raise
            continue
        left += [_named(resource, item) for item in items]
    return left


def _named(resource: Resource, item: Object) -> str:
    metadata = item["metadata"]
    held = ", ".join(name for name in metadata.get("finalizers", []) if name not in _PASSING)
    where = f"{metadata['namespace']}/{metadata['name']}"
    return f"{resource.kind} {where}{f' (held by finalizer {held})' if held else ''}"


def _labelled(
    cluster: Cluster, stack: str, namespaces: Iterable[str], builds: str
) -> Iterator[tuple[Resource, Object]]:
    for namespace in sorted(set(namespaces)):
        for resource in IN_BUILDS if namespace == builds else IN_APPS:
            items, _ = cluster.list(resource, namespace, label_selector=stack_label_selector(stack))
            yield from ((resource, item) for item in items)
