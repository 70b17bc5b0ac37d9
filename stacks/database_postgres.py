"""The built-in database, for clusters without an operator: one PostgreSQL as a StatefulSet. Pure.

Its claim is an object of the stack, and not of the StatefulSet, so that it goes with the stack.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stacks import naming
from stacks.database_copy import container_security, pod_security
from stacks.database_names import COMPONENT, PORT, auth_keys, auth_secret_name, own_name, user
from stacks.inputs import Database, StackInputs
from stacks.manifest import Manifest, metadata, object_labels

CONTAINER: Final = "postgres"
SCRIPT: Final = Path(__file__).with_name("database_start.sh").read_text()
"""What the container runs."""

_MEBIBYTES: Final = {"Mi": 1, "Gi": 1 << 10, "Ti": 1 << 20}
_VOLUME: Final = "/var/lib/postgresql/data"
_AUTH: Final = "/etc/postgresql-auth"


def manifests(inputs: StackInputs, database: Database) -> list[Manifest]:
    """Return the claim, where the data is to outlive its Pod, the Service and the StatefulSet."""
    claims = [] if database.ephemeral else [_claim(inputs, database)]
    return [*claims, _service(inputs, database), _stateful_set(inputs, database)]


def _selector(inputs: StackInputs, database: Database) -> dict[str, str]:
    return {
        naming.STACK_LABEL: inputs.stack,
        naming.COMPONENT_LABEL: COMPONENT,
        "app.kubernetes.io/name": database.name,
    }


def _claim(inputs: StackInputs, database: Database) -> Manifest:
    spec: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": database.storage_size}},
    }
    if database.storage_class:
        spec["storageClassName"] = database.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(inputs, database.name, COMPONENT),
        "spec": spec,
    }


def _service(inputs: StackInputs, database: Database) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(inputs, database.name, COMPONENT),
        "spec": {
            "selector": _selector(inputs, database),
            "ports": [{"name": "postgres", "port": PORT, "targetPort": PORT, "protocol": "TCP"}],
        },
    }


def _stateful_set(inputs: StackInputs, database: Database) -> Manifest:
    volume: Manifest = (
        {"name": "data", "emptyDir": {"sizeLimit": database.storage_size}}
        if database.ephemeral
        else {"name": "data", "persistentVolumeClaim": {"claimName": database.name}}
    )
    _, password = auth_keys(database)
    auth = {"secretName": auth_secret_name(database), "items": [{"key": password, "path": "password"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(inputs, database.name, COMPONENT),
        "spec": {
            "replicas": 1,
            "serviceName": database.name,
            # In order, a Pod that never gets ready would keep the one with the next template from coming.
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": _selector(inputs, database)},
            "template": {
                "metadata": {"labels": object_labels(inputs, COMPONENT) | _selector(inputs, database)},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": pod_security(),
                    "containers": [_container(database)],
                    "volumes": [volume, {"name": "auth", "secret": auth}, {"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    }


def _most_of_log(size: str) -> int:
    """Return how many MB of a volume the write-ahead log may take.

    By default it is 1 GB, whatever the volume is. A copy into one that is as small fills it with log first, and where
    that has no room the server ends, and does not come up any more; where data has none, the copy is told so. On a
    volume of 160 MB the first was seen in each of 3 tries, and with this limit in 2 of 6: the log may pass it.
    """
    number, unit = int(size[:-2]), size[-2:]
    return max(32, min(1024, number * _MEBIBYTES[unit] // 8))


def _container(database: Database) -> Manifest:
    # Asked over TCP: the server that makes the data folder listens on a socket alone.
    ready = {"exec": {"command": ["pg_isready", "--quiet", "--host=127.0.0.1"]}}
    variables = {
        "PGDATA": f"{_VOLUME}/postgres",
        "POSTGRES_USER": user(database),
        "POSTGRES_DATABASE": own_name(database),
        "POSTGRES_PASSWORD_FILE": f"{_AUTH}/password",
        "POSTGRES_EXTENSIONS": "\n".join(database.extensions),
        "POSTGRES_MAX_WAL_SIZE": f"{_most_of_log(database.storage_size)}MB",
    }
    return {
        "name": CONTAINER,
        "image": database.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", SCRIPT.replace("$", "$$")],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "ports": [{"name": "postgres", "containerPort": PORT}],
        "startupProbe": ready | {"periodSeconds": 1, "failureThreshold": 300},
        "readinessProbe": ready | {"periodSeconds": 10, "failureThreshold": 3},
        "volumeMounts": [
            {"name": "data", "mountPath": _VOLUME},
            {"name": "auth", "mountPath": _AUTH, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the Pod's own.
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        # A fast shutdown: what SIGTERM asks for waits until the last client has gone.
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "kill -INT 1"]}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
    }
