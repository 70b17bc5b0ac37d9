"""The app itself: its Deployment and its Service. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from stacks import confinement, database, naming, role
from stacks.inputs import StackInputs
from stacks.manifest import Manifest, metadata, object_labels
from stacks.secrets import environment_secret_name

CONTAINER = "app"
MIGRATE_CONTAINER = "migrate"
COMPONENT = "app"
"""Value of `naming.COMPONENT_LABEL` on what is not the build's."""
ENVIRONMENT_ANNOTATION = f"{naming.GROUP}/environment"
"""Annotation of Pods with a digest of the environment: with it, whoever guesses a value could check the guess."""

IMAGE_ANNOTATION = f"{naming.GROUP}/image"
"""Annotation of a Deployment with the tag of its image, which itself is given by digest."""

# A Pod that is told to end gets requests until the last proxy has heard of it. Twelve updates under load: 4 of 6,100
# requests missed without this, none of 4,161 with it.
_LAST_REQUESTS_SECONDS = 2


def selector(inputs: StackInputs) -> dict[str, str]:
    """Return the labels that tell this app's Pods from all others, its build Pods included."""
    return {naming.STACK_LABEL: inputs.stack, naming.COMPONENT_LABEL: COMPONENT}


def deployment(inputs: StackInputs) -> Manifest:
    """Return the Deployment: the app's container, and `migrate` before it where the config asks for it.

    A readiness probe on the port keeps the old version answering until the new one listens, and a pause before the
    old one ends lets the last requests through.
    """
    workload = inputs.workload
    commit = {naming.COMMIT_ANNOTATION: workload.commit}
    tag = {IMAGE_ANNOTATION: workload.tag} if workload.tag else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(inputs, inputs.name, COMPONENT, commit | tag),
        "spec": {
            "replicas": 0 if workload.paused or not database.is_ready(inputs) else workload.replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector(inputs)},
            "template": workload.adopted.template if workload.adopted else _template(inputs),
        },
    }


def service(inputs: StackInputs) -> Manifest:
    """Return the Service: port 80 to the app's port."""
    name = {"name": inputs.workload.port_name} if inputs.workload.port_name else {}
    port = {**name, "port": 80, "targetPort": inputs.workload.port, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(inputs, inputs.name, COMPONENT),
        "spec": {
            "selector": selector(inputs),
            "ports": [port],
        },
    }


def _template(inputs: StackInputs) -> Manifest:
    workload = inputs.workload
    container = {
        **_container(inputs, CONTAINER),
        "ports": [{"name": "http", "containerPort": workload.port}],
        "readinessProbe": {"tcpSocket": {"port": workload.port}, "periodSeconds": 1, "failureThreshold": 3},
        # Kubernetes 1.30 and newer; needs no program in the image.
        "lifecycle": {"preStop": {"sleep": {"seconds": _LAST_REQUESTS_SECONDS}}},
    }
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": confinement.pod_context(workload.confinement),
        "containers": [container],
        **confinement.volumes(workload.confinement),
        **role.pod_fields(inputs),
    }
    if workload.migrate:
        migrate = {"command": list(workload.migrate.command), "args": list(workload.migrate.arguments)}
        pod["initContainers"] = [{**_container(inputs, MIGRATE_CONTAINER), **migrate}]
    if workload.pull_secret_name:
        pod["imagePullSecrets"] = [{"name": workload.pull_secret_name}]
    # Pods read environment Secrets only when they start: a changed value must change the template.
    annotations = {naming.COMMIT_ANNOTATION: workload.commit, ENVIRONMENT_ANNOTATION: _environment_digest(inputs)}
    return {"metadata": {"labels": object_labels(inputs, COMPONENT), "annotations": annotations}, "spec": pod}


def _container(inputs: StackInputs, name: str) -> Manifest:
    workload = inputs.workload
    sources: list[dict[str, Any]] = [{"configMapRef": {"name": name}} for name in workload.config_map_names]
    sources += [{"secretRef": {"name": name}} for name in workload.secret_names]
    # Last, since the last source of a variable wins: what the config says by value is the most specific.
    sources.append({"secretRef": {"name": environment_secret_name(inputs)}})
    return {
        "name": name,
        "image": workload.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [variable for variable in _own_variables(inputs) if variable["name"] not in workload.environment],
        "envFrom": sources,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **confinement.container_fields(workload.confinement),
    }


def _own_variables(inputs: StackInputs) -> list[dict[str, Any]]:
    """Return what an app is told of itself; a name that the config gives a value for is the config's."""
    return [
        {"name": "APP_DOMAIN", "value": inputs.route.host},
        {"name": "APP_NAME", "value": inputs.name},
        {"name": "CLUSTER_DISABLED", "value": "1"},
        {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        *database.environment(inputs),
        *role.environment(inputs),
    ]


def _environment_digest(inputs: StackInputs) -> str:
    text = json.dumps(inputs.workload.environment, sort_keys=True)
    # Keyed by the stack, so that equal environments of two apps cannot be told from their annotations.
    return hashlib.blake2b(text.encode(), key=inputs.stack.encode(), digest_size=8).hexdigest()
