"""What becomes of a call when one verb of one rule is taken away: the real authorizer says.

RBAC only adds up: a role without a verb gives what all its other verbs give. So each verb of each rule becomes a role
of its own, bound to a group of its own, and the API server is asked about somebody who is in all groups but one.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import yaml

from tests.e2e.api_recorder import Call
from watcher.cluster import ROLE_BINDINGS, Cluster, Object, Resource, section
from watcher.rights import Right

_GROUP = "rbac.authorization.k8s.io"
_VERSION = f"{_GROUP}/v1"
_REVIEWS = Resource("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False)
_LABEL = "reviewapp-test-rights"
_EFFECT_SECONDS = 20.0
_THREADS = 8


def needless(cluster: Cluster, calls: Mapping[Right, Call]) -> list[Right]:
    """Return the rights without which the call that took them would be allowed all the same.

    Args:
        cluster: where, as somebody who may do anything.
        calls: all rights that there are, each with a call that took it.
    """
    groups = {right: f"{_LABEL}:{number}" for number, right in enumerate(calls)}
    with _bound(groups), ThreadPoolExecutor(_THREADS) as threads:
        _until_all_are_known(cluster, calls, groups)

        def is_needless(right: Right) -> bool:
            return _is_allowed(cluster, calls[right], set(groups.values()) - {groups[right]})

        found = threads.map(is_needless, calls)
        return [right for right, is_one in zip(calls, found, strict=True) if is_one]


def call_of(right: Right) -> Call:
    """Return a call that takes a right, where none was recorded."""
    resource, _, name = right.resource.partition(":")
    return Call(right.verb, right.group, resource, right.namespace or "", name)


def _until_all_are_known(cluster: Cluster, calls: Mapping[Right, Call], groups: Mapping[Right, str]) -> None:
    deadline = time.monotonic() + _EFFECT_SECONDS
    for right, call in calls.items():
        while not _is_allowed(cluster, call, {groups[right]}):
            assert time.monotonic() < deadline, f"{right} does not give {call}"
            time.sleep(0.02)


@contextmanager
def _bound(groups: Mapping[Right, str]) -> Generator[None]:
    documents = [document for right, group in groups.items() for document in _documents(right, group)]
    try:
        _kubectl("create", "-f", "-", text=yaml.safe_dump_all(documents))
        yield
    finally:
        kinds = f"clusterrolebindings.{_GROUP},clusterroles.{_GROUP}"
        _kubectl("delete", kinds, "--wait=false", f"--selector={_LABEL}")
        places = {right.namespace for right in groups if right.namespace}
        for place in sorted(places):
            kinds = f"rolebindings.{_GROUP},roles.{_GROUP}"
            _kubectl("delete", kinds, "--wait=false", f"--namespace={place}", f"--selector={_LABEL}")


def _documents(right: Right, group: str) -> Iterable[Object]:
    resource, _, name = right.resource.partition(":")
    rule: Object = {"apiGroups": [right.group], "resources": [resource], "verbs": [right.verb]}
    if name:
        rule["resourceNames"] = [name]
    kind = "Role" if right.namespace else "ClusterRole"
    metadata: Object = {"name": group.replace(":", "-"), "labels": {_LABEL: "true"}}
    if right.namespace:
        metadata["namespace"] = right.namespace
    yield {"apiVersion": _VERSION, "kind": kind, "metadata": metadata, "rules": [rule]}
    yield {
        "apiVersion": _VERSION,
        "kind": ROLE_BINDINGS.kind if right.namespace else f"Cluster{ROLE_BINDINGS.kind}",
        "metadata": metadata,
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": metadata["name"]},
        "subjects": [{"apiGroup": _GROUP, "kind": "Group", "name": group}],
    }


def _is_allowed(cluster: Cluster, call: Call, groups: Iterable[str]) -> bool:
    resource, _, subresource = call.resource.partition("/")
    attributes = {
        "verb": call.verb,
        "group": call.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": call.namespace,
        "name": call.name,
    }
    body = {"spec": {"resourceAttributes": attributes, "user": _LABEL, "groups": sorted(groups)}}
    return bool(section(cluster.create(_REVIEWS, None, body), "status").get("allowed"))


def _kubectl(*arguments: str, text: str | None = None) -> None:
    done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
