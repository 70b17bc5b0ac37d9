"""The rights that the watcher's service account needs: the same as `deploy/rbac.yaml` gives, as a table. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Final

from stacks.naming import GROUP

SERVICE_ACCOUNT: Final = "reviewapp"

_STACK_VERBS: Final = ("get", "list", "watch", "create", "patch", "delete")
_STACK: Final = {
    "": ("secrets", "services"),
    "apps": ("deployments",),
    "batch": ("jobs",),
    "networking.k8s.io": ("ingresses",),
}
_EVERYWHERE: Final = (
    (GROUP, "reviewapps", ("get", "list", "watch", "patch")),
    (GROUP, "reviewapps/status", ("patch",)),
    ("apps", "deployments", ("list", "watch")),
    ("batch", "jobs", ("list", "watch")),
    ("", "pods", ("list", "watch")),
    ("", "namespaces", ("get", "list", "watch")),
)
_OWN: Final = (("", "secrets", ("get", "list", "create", "update", "delete")), ("", "pods", ("get",)))
_EVENTS: Final = (("", "events", ("create",)),)


@dataclasses.dataclass(frozen=True)
class Right:
    """One verb on one resource, in a namespace or, where that is None, in all."""

    group: str
    resource: str
    verb: str
    namespace: str | None = None

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''} {where}"


def needed(namespace: str, stack_namespaces: Iterable[str]) -> Iterator[Right]:
    """Yield each right that the watcher needs.

    Args:
        namespace: its own.
        stack_namespaces: where stacks have objects: that of builds and those of apps.
    """
    yield from _expand(_EVERYWHERE, None)
    yield from _expand(_OWN, namespace)
    yield from _expand(_EVENTS, "default")
    stack = [(group, resource, _STACK_VERBS) for group, resources in _STACK.items() for resource in resources]
    for place in stack_namespaces:
        yield from _expand(stack, place)


def _expand(rules: Iterable[tuple[str, str, tuple[str, ...]]], namespace: str | None) -> Iterator[Right]:
    for group, resource, verbs in rules:
        yield from (Right(group, resource, verb, namespace) for verb in verbs)


def review(right: Right, namespace: str) -> dict[str, object]:
    """Return the SubjectAccessReview that asks whether the watcher of a namespace has a right."""
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
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
