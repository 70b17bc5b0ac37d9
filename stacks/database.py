"""The app's own database, whatever runs it: its objects, and what an app is told of it. Pure.

A module for each backend says what that one declares. The Secret with user and password is the stack's own with
every backend.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from stacks import database_cnpg, database_kubedb, database_postgres
from stacks.database_copy import copy_job, copy_secret
from stacks.database_names import COMPONENT, PORT, auth_keys, auth_secret_name, host, own_name, user
from stacks.inputs import Database, StackInputs
from stacks.manifest import Manifest, metadata


def manifests(inputs: StackInputs, database: Database) -> list[Manifest]:
    """Return what the stack declares for its database; the copy, and the source's credentials, only until it is done.

    Secrets come first, since Pods start with what is in them.
    """
    objects = [_auth_secret(inputs, database)]
    if database.backend == "kubedb":
        return objects + database_kubedb.manifests(inputs, database)
    backend = database_cnpg if database.backend == "cloudnative-pg" else database_postgres
    if database.copy_from is None:
        return objects + backend.manifests(inputs, database)
    objects.append(copy_secret(inputs, database, database.copy_from))
    objects += backend.manifests(inputs, database)
    return [*objects, copy_job(inputs, database, database.copy_from)]


def is_ready(inputs: StackInputs) -> bool:
    """Whether the app may run, as far as its database goes."""
    return inputs.database is None or inputs.database.settled


def environment(inputs: StackInputs) -> list[dict[str, Any]]:
    """Return the variables that tell an app of its database; none where it has none."""
    database = inputs.database
    if database is None:
        return []
    user_key, password_key = auth_keys(database)
    secret = auth_secret_name(database)
    return [
        {"name": "POSTGRES_HOSTNAME", "value": host(database)},
        {"name": "POSTGRES_PORT", "value": str(PORT)},
        {"name": "POSTGRES_USER", "valueFrom": {"secretKeyRef": {"name": secret, "key": user_key}}},
        {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": secret, "key": password_key}}},
        {"name": "POSTGRES_DATABASE", "value": own_name(database)},
        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": secret, "key": "url"}}},
    ]


def _auth_secret(inputs: StackInputs, database: Database) -> Manifest:
    user_key, password_key = auth_keys(database)
    name, password = user(database), database.password.get_secret_value()
    values = {
        user_key: name,
        password_key: password,
        # One that another operator has drawn may hold anything.
        "url": f"postgresql://{name}:{quote(password, safe='')}@{host(database)}:{PORT}/{own_name(database)}",
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/basic-auth" if user_key == "username" else "Opaque",
        "metadata": metadata(inputs, auth_secret_name(database), COMPONENT),
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
