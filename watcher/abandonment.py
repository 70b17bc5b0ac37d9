"""Let go of what a stack has, and leave it where it is: for a delete that a human gave up.

What is let go of is nobody's: without the stack's label no stack takes it over, sweeps it or waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.errors import ClusterUnreachable, ReviewAppError
from provisioner.ownership import Ownership, ownership
from stacks import naming
from stacks.review_app import stack_label_selector
from watcher.cluster import DEPLOYMENTS, IN_APPS, IN_BUILDS, JOBS, NAMESPACES, STATEFUL_SETS, ApiRefused, Cluster
from watcher.leadership import NotLeading

_RUNS_PODS = (DEPLOYMENTS, STATEFUL_SETS, JOBS)


def let_go(cluster: Cluster, stack: str, namespaces: Iterable[str], builds: str) -> tuple[list[str], list[str]]:
    """Take the stack's label from all that carries it, and write its name into another one.

    But for builds, which nobody misses, and which hold copies of Secrets: they are deleted.

    Args:
        cluster: where.
        stack: the stack's name.
        namespaces: where it may have objects.
        builds: which of these is that of builds.

    Returns:
        What was let go of, as `Kind namespace/name`; and what could not be, each with the reason.

    Raises:
        ApiRefused, ClusterUnreachable, NotLeading: nothing is known of the rest; call it again.
    """
    kept: list[str] = []
    refused: list[str] = []
    labels = {naming.STACK_LABEL: None, naming.ORPHANED_LABEL: stack}
    for namespace in sorted(set(namespaces)):
        if ownership(cluster.get(NAMESPACES, None, namespace), stack) is Ownership.OURS:
            # One that the app had for itself; the next app of that name must not delete it.
            cluster.patch(NAMESPACES, None, namespace, {"metadata": {"labels": labels}})
            kept.append(f"Namespace {namespace}")
        for resource in IN_BUILDS if namespace == builds else IN_APPS:
            target = f"{resource.plural} of namespace {namespace}"
            try:
                items, _ = cluster.list(resource, namespace, label_selector=stack_label_selector(stack))
                for item in items:
                    name = item["metadata"]["name"]
                    target = f"{resource.kind} {namespace}/{name}"
                    if namespace == builds:
                        cluster.delete_seen(resource, item)
                        continue
                    cluster.patch(resource, namespace, name, {"metadata": {"labels": labels}})
                    kept.append(target)
            except (ClusterUnreachable, NotLeading):
                raise
            except ReviewAppError as error:
                if not (isinstance(error, ApiRefused) and error.status == 404):
                    refused.append(f"{target}: {error}")
    return kept, refused


def has_let_go(cluster: Cluster, stack: str, namespaces: Iterable[str]) -> bool:
    """Whether there is something that runs Pods and was let go of by a stack of this name.

    Its Pods keep the stack's label, by its template.
    """
    selector = f"{naming.ORPHANED_LABEL}={stack}"
    return any(
        cluster.list(resource, namespace, label_selector=selector)[0]
        for namespace in namespaces
        for resource in _RUNS_PODS
    )
