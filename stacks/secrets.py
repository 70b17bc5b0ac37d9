"""The Secrets of a stack: the config's environment values and the copy of the wildcard TLS secret. Pure."""

from __future__ import annotations

import base64

from stacks import naming
from stacks.inputs import TLS, StackInputs
from stacks.manifest import Manifest, metadata


def environment_secret_name(inputs: StackInputs) -> str:
    """Return the name of the Secret that holds the config's environment values."""
    return naming.part_name(inputs.name, "env")


def tls_secret_name(inputs: StackInputs) -> str:
    """Return the name of the app's copy of the wildcard TLS secret."""
    return naming.part_name(inputs.name, naming.TLS_SUFFIX)


def environment_secret(inputs: StackInputs) -> Manifest:
    """Return the Secret with the config's environment values; it has no `data` where there are none."""
    data = {name: _base64(value) for name, value in inputs.workload.environment.items()}
    secret: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata(inputs, environment_secret_name(inputs), "environment"),
    }
    # The API server keeps no empty mapping: each update would find that it is missing, and set it again.
    return secret | {"data": data} if data else secret


def adopted_secrets(inputs: StackInputs) -> list[Manifest]:
    """Return the Secrets that another operator made, of what goes on as that one made it."""
    workload, database = inputs.workload, inputs.database
    parts = [(workload.adopted, "environment"), (database and database.adopted, "database")]
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": secret.type,
            "metadata": metadata(inputs, secret.name, component),
            "data": secret.data,
        }
        for part, component in parts
        if part
        for secret in part.secrets
    ]


def tls_secret(inputs: StackInputs, tls: TLS) -> Manifest:
    """Return the app's copy of the wildcard TLS secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": metadata(inputs, tls_secret_name(inputs), "tls"),
        "data": {
            "tls.crt": _base64(tls.certificate.get_secret_value()),
            "tls.key": _base64(tls.key.get_secret_value()),
        },
    }


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
