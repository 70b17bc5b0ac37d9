"""What must hold before the engine is run for a stack, since the engine itself would not say so, or not soon."""

from __future__ import annotations

from provisioner.errors import ApplyRefused, ForeignObject
from provisioner.ownership import Ownership, ownership
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from watcher.cluster import DECLARED, NAMESPACES, Cluster, section


def require_namespaces(cluster: Cluster, inputs: StackInputs) -> None:
    """Look up the namespaces of a stack: the provider would try for half a minute to make each object in a missing one.

    Raises:
        ApplyRefused: one of them is not there, or is going.
    """
    for name in sorted({manifest["metadata"]["namespace"] for manifest in manifests(inputs)}):
        found = cluster.get(NAMESPACES, None, name)
        target = f"namespace {name}"
        if found is None:
            raise ApplyRefused(target, "NamespaceNotFound", "it is not there", "create it, or name one that exists")
        if section(found, "status").get("phase") == "Terminating":
            remedy = "wait until it is gone, and create it anew"
            raise ApplyRefused(target, "NamespaceTerminating", "it is being deleted", remedy)


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
