"""What must hold before the engine is run for a stack, since the engine itself would not say so, or not soon."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

from provisioner.errors import ApplyRefused, ForeignObject
from provisioner.ownership import Ownership, ownership
from provisioner.review_app import Spec
from provisioner.rules import named_objects
from stacks import naming
from stacks.inputs import StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests
from watcher.cluster import CONFIG_MAPS, DECLARED, NAMESPACES, SECRETS, Cluster, section


def require_namespaces(cluster: Cluster, inputs: StackInputs) -> None:
    """Look up the namespaces of a stack: the provider would try for half a minute to make each object in a missing one.

    Raises:
        ApplyRefused: one of them is not there, or is going.
    """
    for name in namespaces(inputs):
        require_namespace(cluster, name)


def require_namespace(cluster: Cluster, name: str) -> None:
    """Look up one namespace; errors as from `require_namespaces`."""
    found = cluster.get(NAMESPACES, None, name)
    target = f"namespace {name}"
    if found is None:
        raise ApplyRefused(target, "NamespaceNotFound", "it is not there", "create it, or name one that exists")
    if section(found, "status").get("phase") == "Terminating":
        remedy = "wait until it is gone, and create it anew"
        raise ApplyRefused(target, "NamespaceTerminating", "it is being deleted", remedy)


def require_build_secrets(missing: Sequence[str]) -> None:
    """Refuse a build that may use Secrets which are not there: its Pod would wait for them.

    Raises:
        ApplyRefused: there are such.
    """
    if missing:
        detail = "config.build.secrets names it, and it is not there, empty, or not to be read by the watcher"
        raise ApplyRefused(f"Secret {missing[0]}", "SecretNotFound", detail, "create it, or name one that exists")


def require_kinds(cluster: Cluster, inputs: StackInputs) -> None:
    """Look up the kinds that a cluster may be without: the provider would wait for one of them for minutes.

    Raises:
        ApplyRefused: one of them is not there.
    """

    @functools.cache
    def served(version: str) -> set[str]:
        return {one["name"] for one in cluster.resources(version)}

    for manifest in manifests(inputs):
        resource = DECLARED[manifest["apiVersion"], manifest["kind"]]
        if resource.optional and resource.plural not in served(resource.api_version):
            detail = f"the cluster has no kind {resource.kind} of {resource.api_version}"
            raise ApplyRefused(name_of(manifest), "KindNotFound", detail, "install what serves this kind")


def phase(cluster: Cluster, name: str) -> Literal["there", "going", "gone"]:
    """Return how a namespace is: there, on its way out with all that is in it, or gone."""
    found = cluster.get(NAMESPACES, None, name)
    if found is None:
        return "gone"
    return "going" if section(found, "status").get("phase") == "Terminating" else "there"


def namespaces(inputs: StackInputs) -> list[str]:
    """Return the namespaces in which a stack declares objects, sorted."""
    return sorted({manifest["metadata"]["namespace"] for manifest in manifests(inputs)})


def require_shared(cluster: Cluster, spec: Spec) -> None:
    """Look up every Secret and ConfigMap that a config names: their namespace's owner has to have said that it may.

    Raises:
        ApplyRefused: one lacks the label, or is not there, so that nobody can tell.
    """
    namespace = spec.config.namespace
    for named in named_objects(spec):
        found = cluster.get(SECRETS if named.kind == "Secret" else CONFIG_MAPS, namespace, named.name)
        target = f"{named.field}: {named.kind} {namespace}/{named.name}"
        label = f"{naming.SHARED_LABEL}=true"
        if found is None:
            remedy = f"create it with the label {label}, or name another"
            raise ApplyRefused(target, f"{named.kind}NotFound", "it is not there", remedy)
        if section(found, "metadata", "labels").get(naming.SHARED_LABEL) != "true":
            command = f"kubectl -n {namespace} label {named.kind.lower()} {named.name} {label}"
            remedy = f"its namespace's owner lets apps name it with `{command}`"
            raise ApplyRefused(target, "NotShared", f"it lacks the label {label}", remedy)


def refuse_foreign(cluster: Cluster, inputs: StackInputs) -> list[str]:
    """Look up every name that the stack declares, before the engine silently merges into what is there.

    Returns:
        What is not there, as `Kind namespace/name`.

    Raises:
        ForeignObject: one of the names belongs to an object that this stack did not make.
    """
    declared = manifests(inputs)
    return [name_of(manifest) for manifest in declared if not is_there(cluster, inputs.stack, manifest)]


def is_there(cluster: Cluster, stack: str, manifest: Manifest) -> bool:
    """Return whether an object that a stack declares is there; errors as from `refuse_foreign`."""
    metadata = manifest["metadata"]
    live = cluster.get(DECLARED[manifest["apiVersion"], manifest["kind"]], metadata["namespace"], metadata["name"])
    if ownership(live, stack) is Ownership.FOREIGN:
        raise ForeignObject(name_of(manifest), "it lacks this stack's label or field manager")
    return live is not None


def name_of(manifest: Manifest) -> str:
    """Return which object it is, as `Kind namespace/name`."""
    return f"{manifest['kind']} {manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
