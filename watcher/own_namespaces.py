"""Namespaces that apps have for themselves: made before an update, filled with what configs name, deleted at the end.

A namespace is deleted only if our label and our field manager are on it, and one that has the name and is not ours is
refused: nothing here takes over, or takes away, what somebody else has made.
"""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.errors import ApplyRefused, ForeignObject
from provisioner.ownership import Ownership, ownership
from provisioner.review_app import Spec
from provisioner.rules import Named, named_objects
from stacks import naming, own_namespace
from stacks.inputs import OwnNamespace, StackInputs
from stacks.manifest import object_labels
from stacks.review_app import manifests
from watcher.cluster import (
    CONFIG_MAPS,
    LIMIT_RANGES,
    NAMESPACES,
    NETWORK_POLICIES,
    QUOTAS,
    SECRETS,
    Cluster,
    Object,
    section,
)

_BOUNDS = {resource.kind: resource for resource in (QUOTAS, LIMIT_RANGES, NETWORK_POLICIES)}
COPY = "copy-of-named"
# The API server fills these itself, for one service account of one namespace.
_TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - a type, not a token.


def make(cluster: Cluster, inputs: StackInputs, own: OwnNamespace) -> None:
    """Make the namespace of an app, or bring its labels up to date.

    Raises:
        ForeignObject: somebody else's has the name.
    """
    name = inputs.namespace
    if ownership(cluster.get(NAMESPACES, None, name), inputs.stack) is Ownership.FOREIGN:
        raise ForeignObject(f"Namespace {name}", "it lacks this stack's label or field manager")
    cluster.apply(NAMESPACES, None, own_namespace.namespace(inputs, own), inputs.stack)


def furnish(cluster: Cluster, inputs: StackInputs, own: OwnNamespace, spec: Spec) -> None:
    """Bound what is in the namespace of an app, and copy what its config names; takes the rights in both namespaces.

    Raises:
        ApplyRefused: what a config names is not there, or can't be copied.
    """
    for manifest in own_namespace.bounds(inputs, own):
        cluster.apply(_BOUNDS[manifest["kind"]], inputs.namespace, manifest, inputs.stack)
    for named in _wanted(spec):
        _copy(cluster, inputs, own, named)


def refresh(cluster: Cluster, inputs: StackInputs, own: OwnNamespace, spec: Spec) -> None:
    """Copy anew what has changed since of that which a config names; errors as from `furnish`."""
    for named in _wanted(spec):
        _copy(cluster, inputs, own, named)


def remove(cluster: Cluster, stack: str, names: Iterable[str]) -> list[str]:
    """Delete those of these namespaces that a stack's app had for itself; return the ones that are still there."""
    left: list[str] = []
    for name in sorted(set(names)):
        found = cluster.get(NAMESPACES, None, name)
        if found and ownership(found, stack) is Ownership.OURS:
            if "deletionTimestamp" not in found["metadata"]:
                cluster.delete_seen(NAMESPACES, found)
            left.append(name)
    return left


def _wanted(spec: Spec) -> list[Named]:
    """Return what the app's Pods take from their namespace; what builds take goes to that of builds."""
    return [named for named in named_objects(spec) if not named.field.startswith("spec.config.build.")]


def _copy(cluster: Cluster, inputs: StackInputs, own: OwnNamespace, named: Named) -> None:
    resource = SECRETS if named.kind == "Secret" else CONFIG_MAPS
    source = cluster.get(resource, own.home, named.name)
    target = f"{named.field}: {named.kind} {own.home}/{named.name}"
    if source is None:
        raise ApplyRefused(target, f"{named.kind}NotFound", "it is not there", "create it, or name one that exists")
    if source.get("type") == _TOKEN_TYPE:
        detail = "it is the token of a service account, which is of no use elsewhere"
        raise ApplyRefused(target, "NotCopied", detail, "name another Secret")
    if any((one["kind"], one["metadata"]["name"]) == (named.kind, named.name) for one in manifests(inputs)):
        detail = "the app's own namespace has one of that name, which is the stack's"
        raise ApplyRefused(target, "NotCopied", detail, "give it another name")
    live = cluster.get(resource, inputs.namespace, named.name)
    if live and not _is_copy(live, inputs.stack):
        raise ForeignObject(f"{named.kind} {inputs.namespace}/{named.name}", "it is no copy of this stack's")
    copied = {key: source[key] for key in ("type", "data", "binaryData") if key in source}
    if live and {key: live[key] for key in ("type", "data", "binaryData") if key in live} == copied:
        return
    labels = object_labels(inputs, COPY)
    body: Object = {"apiVersion": "v1", "kind": named.kind, **copied}
    cluster.apply(resource, inputs.namespace, body | {"metadata": {"name": named.name, "labels": labels}}, inputs.stack)


def _is_copy(live: Object, stack: str) -> bool:
    labels = section(live, "metadata", "labels")
    return ownership(live, stack) is Ownership.OURS and labels.get(naming.COMPONENT_LABEL) == COPY
