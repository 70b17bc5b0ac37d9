"""The copy of another database's data: a Job of up to three steps, each a container that sees what it needs. Pure.

    dump (init)      source -> /copy     sees the source's credentials alone
    restore          /copy  -> database  sees the new database's credentials alone
    anonymise        SQL on the database, where the config has some

The kubelet starts each when the one before has ended well, so how far a copy is shows in the Pod's status. What they
run is `database_copy.sh`; every value reaches it from a Secret, which Kubernetes does not expand.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

from stacks import naming
from stacks.database_names import (
    COPY_COMPONENT,
    USER,
    auth_keys,
    auth_secret_name,
    copy_secret_name,
    host,
    own_name,
)
from stacks.inputs import Database, DatabaseCopy, StackInputs
from stacks.manifest import Manifest, metadata, object_labels

SCRIPT: Final = Path(__file__).with_name("database_copy.sh").read_text()
"""What each step runs; its first argument is the step."""

DUMP: Final = "dump"
RESTORE: Final = "restore"
ANONYMISE: Final = "anonymise"

FINAL_EXIT_CODE: Final = 2
"""With which a step ends that another try can't mend."""

_SOURCE: Final = ("URL", "HOST", "PORT", "DATABASE", "USER", "PASSWORD", "ALLOWED_HOSTS", "TABLES", "EXCLUDED_TABLES")
_VARIABLES: Final = {
    DUMP: frozenset(f"COPY_{name}" for name in (*_SOURCE, "SCHEMA")),
    RESTORE: frozenset({"COPY_SCHEMA", "COPY_EXTENSIONS"}),
    ANONYMISE: frozenset({"COPY_ANONYMISE"}),
}
# Of the installation, and so no part of what one app asks for.
_SETTINGS: Final = frozenset({"COPY_ALLOWED_HOSTS"})
_RESOURCES: Final[Manifest] = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}


def copy_job_name(inputs: StackInputs, database: Database, copy: DatabaseCopy) -> str:
    """Return the Job's name: another one whenever something else is to be copied, or otherwise."""
    values = {name: value for name, value in copy.values.items() if name not in _SETTINGS}
    text = json.dumps([inputs.stack, values, copy.references, database.extensions], sort_keys=True)
    return f"{database.name}-copy-{naming.attempt(text)}"


def copy_secret(inputs: StackInputs, database: Database, copy: DatabaseCopy, **more: str) -> Manifest:
    """Return the Secret with the values that the config gives, and with `more` by its keys."""
    values = copy.values | {"COPY_EXTENSIONS": "\n".join(database.extensions)} | more
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata(inputs, copy_secret_name(database), COPY_COMPONENT),
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


def copy_environment(database: Database, copy: DatabaseCopy, *steps: str) -> list[dict[str, Any]]:
    """Return what the script is told for these steps, each by reference to a Secret."""
    wanted = frozenset[str]().union(*(_VARIABLES[step] for step in steps))
    own = {name: (copy_secret_name(database), name) for name in (*copy.values, "COPY_EXTENSIONS")}
    found = {name: source for name, source in sorted((own | copy.references).items()) if name in wanted}
    return [_reference(name, *source) for name, source in found.items()]


def copy_job(inputs: StackInputs, database: Database, copy: DatabaseCopy) -> Manifest:
    """Return the Job that copies the data once; a step that may yet succeed is tried again from the first."""
    steps = [DUMP, RESTORE]
    if ANONYMISE.upper() in {name.removeprefix("COPY_") for name in (*copy.values, *copy.references)}:
        steps.append(ANONYMISE)
    *first, last = (_container(database, copy, step) for step in steps)
    labels = object_labels(inputs, COPY_COMPONENT)
    final = [
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": DUMP, "operator": "In", "values": [FINAL_EXIT_CODE]},
        }
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(inputs, copy_job_name(inputs, database, copy), COPY_COMPONENT),
        "spec": {
            "backoffLimit": copy.retries,
            "podFailurePolicy": {"rules": final},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 1,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": pod_security(),
                    "initContainers": first,
                    "containers": [last],
                    "volumes": [{"name": "copy", "emptyDir": {}}],
                },
            },
        },
    }


def pod_security() -> Manifest:
    """Return the security context of Pods that run PostgreSQL's programs."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """Return the security context of their containers."""
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def _container(database: Database, copy: DatabaseCopy, step: str) -> Manifest:
    user, password = auth_keys(database)
    environment = copy_environment(database, copy, step)
    if step != DUMP:
        environment += [
            {"name": "TARGET_HOST", "value": host(database)},
            {"name": "TARGET_DATABASE", "value": own_name(database)},
            _reference("TARGET_USER", auth_secret_name(database), user),
            _reference("TARGET_PASSWORD", auth_secret_name(database), password),
        ]
    return {
        "name": step,
        "image": copy.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", SCRIPT.replace("$", "$$"), "database-copy", step],
        "env": [*environment, {"name": "HOME", "value": "/copy"}],
        "volumeMounts": [{"name": "copy", "mountPath": "/copy"}],
        "resources": _RESOURCES,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
    }


def _reference(name: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
