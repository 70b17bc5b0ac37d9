"""The rights that the watcher's service account needs: the same as `deploy/` gives, as a table. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Final

from stacks.naming import GROUP
from watcher import lease

SERVICE_ACCOUNT: Final = "reviewapp"
APPS_ROLE: Final = "reviewapp-apps"
"""The ClusterRole that is bound in namespaces of apps, and the name of the RoleBinding there."""

# Of Deployments and Jobs all are listed and watched.
_APPLIED: Final = ("get", "create", "patch", "delete")
_AND_WATCHED: Final = ("list", "watch", *_APPLIED)
_APPS: Final = (
    ("", "secrets", _AND_WATCHED),
    ("", "services", _AND_WATCHED),
    ("", "configmaps", ("get",)),
    ("", "persistentvolumeclaims", _AND_WATCHED),
    ("apps", "deployments", _APPLIED),
    ("apps", "statefulsets", _APPLIED),
    ("batch", "jobs", _APPLIED),
    ("kubedb.com", "postgreses", _APPLIED),
    ("postgresql.cnpg.io", "clusters", _APPLIED),
    ("networking.k8s.io", "ingresses", _AND_WATCHED),
    ("networking.k8s.io", "networkpolicies", _AND_WATCHED),
    ("gateway.networking.k8s.io", "httproutes", _AND_WATCHED),
)
# With the setting aws_bucket.
_APP_ROLES: Final = (("", "serviceaccounts", _AND_WATCHED),)
_BUILDS: Final = (("batch", "jobs", _APPLIED), ("", "secrets", _AND_WATCHED), ("", "pods/log", ("get",)))
_EVERYWHERE: Final = (
    (GROUP, "reviewapps", ("get", "list", "watch", "patch")),
    (GROUP, "reviewapps/status", ("patch",)),
    ("apps", "deployments", ("list", "watch")),
    ("apps", "statefulsets", ("list", "watch")),
    ("kubedb.com", "postgreses", ("list", "watch")),
    ("catalog.kubedb.com", "postgresversions", ("list",)),
    ("postgresql.cnpg.io", "clusters", ("list", "watch")),
    ("batch", "jobs", ("list", "watch")),
    ("", "pods", ("list", "watch")),
    ("", "namespaces", ("get", "list", "watch")),
    ("rbac.authorization.k8s.io", "rolebindings", ("list", "create")),
    ("rbac.authorization.k8s.io", f"rolebindings:{APPS_ROLE}", ("delete",)),
    ("rbac.authorization.k8s.io", f"clusterroles:{APPS_ROLE}", ("bind",)),
)
# With the setting namespace_mode: per-app.
_OWN_NAMESPACES: Final = (
    ("", "namespaces", ("create", "patch", "delete")),
    ("", "resourcequotas", ("create", "patch")),
    ("", "limitranges", ("create", "patch")),
    ("", "configmaps", ("create", "patch")),
)
_OWN: Final = (
    ("", "secrets", ("list", "create", "update", "delete")),
    ("", "pods", ("get",)),
    ("coordination.k8s.io", "leases", ("create",)),
    ("coordination.k8s.io", f"leases:{lease.NAME}", ("get", "update")),
)
_EVENTS: Final = (("", "events", ("create",)),)


@dataclasses.dataclass(frozen=True)
class Right:
    """One verb on one resource, in a namespace or, where that is None, in all; `resource:name` is one object alone."""

    group: str
    resource: str
    verb: str
    namespace: str | None = None

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''} {where}"


def needed(
    namespace: str,
    builds: str,
    apps: Iterable[str],
    certificate: str | None = None,
    *,
    own_namespaces: bool = False,
    app_roles: bool = False,
) -> Iterator[Right]:
    """Yield each right that the watcher needs.

    Args:
        namespace: its own.
        builds: that of builds.
        apps: where apps of ours are, by which the watcher has bound its role there.
        certificate: the wildcard certificate's Secret, as namespace/name, if there is to be one.
        own_namespaces: whether each app has a namespace for itself.
        app_roles: whether each app has a role in AWS, and so a service account.
    """
    yield from _expand(_EVERYWHERE, None)
    if own_namespaces:
        yield from _expand(_OWN_NAMESPACES, None)
    yield from _expand(_OWN, namespace)
    yield from _expand(_EVENTS, "default")
    yield from _expand(_BUILDS, builds)
    if certificate:
        where, _, name = certificate.partition("/")
        yield from _expand([("", f"secrets:{name}", ("list", "watch"))], where)
    for place in apps:
        yield from _expand(_APPS, place)
        if app_roles:
            yield from _expand(_APP_ROLES, place)


def _expand(rules: Iterable[tuple[str, str, tuple[str, ...]]], namespace: str | None) -> Iterator[Right]:
    for group, resource, verbs in rules:
        yield from (Right(group, resource, verb, namespace) for verb in verbs)


def review(right: Right, namespace: str) -> dict[str, object]:
    """Return the SubjectAccessReview that asks whether the watcher of a namespace has a right."""
    whole, _, name = right.resource.partition(":")
    resource, _, subresource = whole.partition("/")
    attributes = {
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "name": name,
        "verb": right.verb,
        "namespace": right.namespace or "",
    }
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    user = f"system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}"
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"resourceAttributes": attributes, "user": user, "groups": groups},
    }
