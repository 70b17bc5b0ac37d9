"""An admission policy of a cluster's owner, which denies some requests in one namespace."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from watcher.cluster import Cluster, Object, Resource

_POLICIES = Resource(
    "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", False
)
_BINDINGS = Resource(
    "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", False
)


@contextmanager
def denied(cluster: Cluster, namespace: str, operations: list[str], message: str) -> Generator[None]:
    """Deny these operations on Services of a namespace; it takes the API server a moment to hear of it."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": ["services"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy: Object = {
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector},
            "validations": [{"expression": "false", "message": message}],
        },
    }
    binding: Object = {
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace, "validationActions": ["Deny"]},
    }
    cluster.create(_POLICIES, None, policy)
    cluster.create(_BINDINGS, None, binding)
    try:
        yield
    finally:
        cluster.delete(_BINDINGS, None, namespace)
        cluster.delete(_POLICIES, None, namespace)
