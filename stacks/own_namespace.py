"""The namespace that an app has for itself, and what bounds all that is in it. Pure.

No part of the stack: the engine could not make anything in a namespace in which its rights are yet to be bound. The
watcher makes these objects before an update, and deletes the namespace, with all that is in it, after the destroy.
"""

from __future__ import annotations

from typing import Final

from stacks import naming
from stacks.database_copy import COPY_COMPONENT
from stacks.inputs import OwnNamespace, StackInputs
from stacks.manifest import Manifest, metadata, object_labels

COMPONENT: Final = "namespace"
"""Value of `naming.COMPONENT_LABEL` on these objects."""

_NAME: Final = "review-app"


def namespace(inputs: StackInputs, own: OwnNamespace) -> Manifest:
    """Return the Namespace. Its labels have the API server refuse Pods that the standard forbids.

    https://kubernetes.io/docs/concepts/security/pod-security-admission/
    """
    security = {f"pod-security.kubernetes.io/{mode}": own.pod_security for mode in ("enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": inputs.namespace, "labels": object_labels(inputs, COMPONENT) | security},
    }


def bounds(inputs: StackInputs, own: OwnNamespace) -> list[Manifest]:
    """Return what bounds the namespace: a ResourceQuota, a LimitRange and, where there are any, NetworkPolicies."""
    defaults = own.defaults
    limits = {
        "type": "Container",
        "default": {"cpu": defaults.cpu_limit, "memory": defaults.memory_limit},
        "defaultRequest": {"cpu": defaults.cpu_request, "memory": defaults.memory_request},
    }
    found = [
        _object(inputs, "v1", "ResourceQuota", _NAME, {"hard": own.quota}),
        _object(inputs, "v1", "LimitRange", _NAME, {"limits": [limits]}),
    ]
    if own.denies:
        found += [
            _object(inputs, "networking.k8s.io/v1", "NetworkPolicy", _NAME, _deny()),
            _object(inputs, "networking.k8s.io/v1", "NetworkPolicy", f"{_NAME}-copy", _copy()),
        ]
    return found


def _deny() -> Manifest:
    """Return what holds for Pods of which no other policy says more: they meet each other, and nobody else.

    Those that operators run speak with their operator and the API server, each in its own way, so they are left to it.
    """
    of_operators = [
        {"key": "cnpg.io/cluster", "operator": "DoesNotExist"},
        {"key": "app.kubernetes.io/managed-by", "operator": "NotIn", "values": ["kubedb.com"]},
    ]
    own: list[Manifest] = [{"podSelector": {}}]
    return {
        "podSelector": {"matchExpressions": of_operators},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": own}],
        "egress": [{"to": own}],
    }


def _copy() -> Manifest:
    """Return what lets the copy of a database reach its source, wherever that is."""
    return {
        "podSelector": {"matchLabels": {naming.COMPONENT_LABEL: COPY_COMPONENT}},
        "policyTypes": ["Egress"],
        "egress": [{}],
    }


def _object(inputs: StackInputs, version: str, kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": metadata(inputs, name, COMPONENT), "spec": spec}
