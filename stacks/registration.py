"""Turn a manifest into a registered Pulumi resource of its type. The only module that knows the SDK's classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from stacks.database_names import CNPG_VERSION, KUBEDB_VERSIONS
from stacks.manifest import Manifest
from stacks.route import GATEWAY_VERSION

# Deletes of some kinds are awaited, whatever `skipAwait` says, and somebody's finalizer can hold an object for ever:
# https://github.com/pulumi/pulumi-kubernetes/issues/3154
_LONGEST_DELETE = "10s"

# Looked up when called: pulumi_kubernetes loads its modules lazily, and importing them all here would cost
# every command that only renders.
_CLASSES: dict[tuple[str, str], Callable[[], Any]] = {
    ("v1", "Secret"): lambda: kubernetes.core.v1.Secret,
    ("v1", "ServiceAccount"): lambda: kubernetes.core.v1.ServiceAccount,
    ("v1", "Service"): lambda: kubernetes.core.v1.Service,
    ("v1", "PersistentVolumeClaim"): lambda: kubernetes.core.v1.PersistentVolumeClaim,
    ("apps/v1", "Deployment"): lambda: kubernetes.apps.v1.Deployment,
    ("apps/v1", "StatefulSet"): lambda: kubernetes.apps.v1.StatefulSet,
    ("batch/v1", "Job"): lambda: kubernetes.batch.v1.Job,
    ("networking.k8s.io/v1", "Ingress"): lambda: kubernetes.networking.v1.Ingress,
    ("networking.k8s.io/v1", "NetworkPolicy"): lambda: kubernetes.networking.v1.NetworkPolicy,
}

CUSTOM_KINDS = (
    *((version, "Postgres") for version in KUBEDB_VERSIONS),
    (CNPG_VERSION, "Cluster"),
    (GATEWAY_VERSION, "HTTPRoute"),
)
"""The kinds of operators, which a cluster need not have."""

KINDS: tuple[tuple[str, str], ...] = (*_CLASSES, *CUSTOM_KINDS)
"""Every (apiVersion, kind) that a stack can declare: what a sweep by label has to look through."""


def register(manifest: Manifest, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
    """Register the object with the engine, once the resources in `after` are there.

    Raises:
        KeyError: no stack declares objects of this kind.
    """
    kind = manifest["apiVersion"], manifest["kind"]
    fields = {_argument(key): value for key, value in manifest.items() if key not in {"apiVersion", "kind"}}
    if "data" in fields:
        fields["data"] = pulumi.Output.secret(fields["data"])
    if kind in CUSTOM_KINDS:
        resource_class: Any = partial(kubernetes.apiextensions.CustomResource, api_version=kind[0], kind=kind[1])
    else:
        resource_class = _CLASSES[kind]()
    return resource_class(
        f"{manifest['kind']}/{manifest['metadata']['name']}",
        **fields,
        opts=pulumi.ResourceOptions(
            depends_on=list(after), custom_timeouts=pulumi.CustomTimeouts(delete=_LONGEST_DELETE)
        ),
    )


def _argument(field: str) -> str:
    """Return the SDK's keyword argument for a field of an object: what is below it is named as in Kubernetes."""
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", field)
