"""What an operator of databases has of a stack: asked to go before an engine is, which would hold a worker meanwhile.

An operator's object goes when the operator lets it, and one that does not run never does: an engine would wait for it
until its time limit, and say no more than that.
"""

from __future__ import annotations

from collections.abc import Iterable

from stacks.inputs import StackInputs
from stacks.registration import CUSTOM_KINDS
from stacks.review_app import stack_label_selector
from watcher.cluster import DECLARED, Cluster


def take_away(cluster: Cluster, inputs: StackInputs, namespaces: Iterable[str]) -> list[str]:
    """Delete a stack's objects of the kind that runs its database; return those still there, and what holds them.

    Args:
        cluster: where.
        inputs: what the stack was last asked to declare.
        namespaces: those of its namespaces that are there.
    """
    if inputs.database is None or inputs.namespace not in namespaces:
        return []
    left: list[str] = []
    for kind in CUSTOM_KINDS:
        if kind[0] != inputs.database.api_version:
            continue
        resource, selector = DECLARED[kind], stack_label_selector(inputs.stack)
        for item in cluster.list(resource, inputs.namespace, label_selector=selector)[0]:
            if "deletionTimestamp" not in item["metadata"]:
                cluster.delete_seen(resource, item)
        for item in cluster.list(resource, inputs.namespace, label_selector=selector)[0]:
            holders = ", ".join(item["metadata"].get("finalizers", []))
            name = f"{resource.kind} {inputs.namespace}/{item['metadata']['name']}"
            left.append(f"{name} (its operator has yet to let go of it: {holders or 'see whether it runs'})")
    return left
