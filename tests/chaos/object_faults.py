"""What somebody with kubectl does: deletes or changes an app's objects, its rights, its namespace, or the journal."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

from provisioner.errors import ReviewAppError
from stacks import naming
from tests.chaos.faults import Fault, NotReached
from tests.chaos.load import Open
from tests.chaos.stage import NAMESPACES_OF_APPS, Stage
from tests.e2e.pull_request import BUILDS, SYSTEM
from watcher.cluster import (
    DEPLOYMENTS,
    INGRESSES,
    JOBS,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    REVIEW_APPS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
    Resource,
)

_DELETED = (DEPLOYMENTS, STATEFUL_SETS, SERVICES, SECRETS, INGRESSES, NETWORK_POLICIES, JOBS, PODS)
_CHANGES: dict[Resource, Object] = {
    DEPLOYMENTS: {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "nowhere.invalid/image"}]}}}},
    SERVICES: {"spec": {"ports": [{"port": 80, "targetPort": 1, "protocol": "TCP", "name": "http"}]}},
    SECRETS: {"data": {"GREETING": "Y2hhbmdlZA=="}},
    INGRESSES: {"metadata": {"labels": {naming.COMPONENT_LABEL: "changed"}}},
}


def _app(stage: Stage, chosen: random.Random) -> Open:
    apps = stage.apps()
    if not apps:
        raise NotReached("no app is there")
    return chosen.choice(apps)


def _item(stage: Stage, chosen: random.Random, resource: Resource) -> Object:
    """Return one object of a kind, of any app."""
    items = stage.cluster.list(resource, label_selector=naming.STACK_LABEL)[0]
    # Who deletes the Pods of a build makes it fail.
    places = {*NAMESPACES_OF_APPS} | ({BUILDS} if resource is not PODS else set[str]())
    items = [item for item in items if item["metadata"]["namespace"] in places]
    if not items:
        raise NotReached(resource.kind)
    return chosen.choice(sorted(items, key=lambda item: item["metadata"]["name"]))


def _deleted(resource: Resource) -> Fault:
    def inject(stage: Stage, chosen: random.Random) -> str:
        item = _item(stage, chosen, resource)
        stage.cluster.delete_seen(resource, item)
        return f"{item['metadata']['namespace']}/{item['metadata']['name']}"

    return Fault(f"{resource.kind} deleted", "objects", inject, 0.6)


def _changed(resource: Resource, change: Object) -> Fault:
    def inject(stage: Stage, chosen: random.Random) -> str:
        item = _item(stage, chosen, resource)
        stage.cluster.patch(resource, item["metadata"]["namespace"], item["metadata"]["name"], change)
        return f"{item['metadata']['namespace']}/{item['metadata']['name']}"

    return Fault(f"{resource.kind} changed", "objects", inject, 0.6)


def _namespace(stage: Stage, chosen: random.Random) -> str:
    name = chosen.choice(NAMESPACES_OF_APPS)
    stage.cluster.delete(NAMESPACES, None, name)
    while True:
        try:
            stage.installation.namespace(name)
        except ReviewAppError:
            # The API server may be away itself.
            continue
        return name


def _binding(stage: Stage, chosen: random.Random) -> str:
    places: list[Any] = [item for name in NAMESPACES_OF_APPS for item in stage.cluster.list(ROLE_BINDINGS, name)[0]]
    if not places:
        raise NotReached("RoleBinding")
    item = chosen.choice(places)
    stage.cluster.delete_seen(ROLE_BINDINGS, item)
    return item["metadata"]["namespace"]


def _journal_deleted(stage: Stage, chosen: random.Random) -> str:
    secrets = stage.cluster.list(SECRETS, SYSTEM, label_selector=f"{naming.GROUP}/journal")[0]
    if not secrets:
        raise NotReached("the journal is empty")
    secret = chosen.choice(secrets)
    stage.cluster.delete_seen(SECRETS, secret)
    # The watcher that acts has it in memory, and writes it with the next update.
    stage.load.urge(json.loads(base64.b64decode(secret["data"]["entry"]))["inputs"]["stack"])
    return secret["metadata"]["name"]


def _finalizer(stage: Stage, chosen: random.Random) -> str:
    one = _app(stage, chosen)
    stage.cluster.patch(REVIEW_APPS, None, one.pull_request.name, {"metadata": {"finalizers": None}})
    return one.pull_request.name


FAULTS = (
    *(_deleted(kind) for kind in _DELETED),
    *(_changed(kind, change) for kind, change in _CHANGES.items()),
    Fault("Namespace deleted", "objects", _namespace, 1.0),
    Fault("RoleBinding deleted", "objects", _binding),
    Fault("journal deleted", "objects", _journal_deleted),
    Fault("finalizer removed", "objects", _finalizer, 0.5),
)
