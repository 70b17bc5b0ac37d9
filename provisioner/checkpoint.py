"""Whether a stored checkpoint can be worked with: it can be read, is a stack's state, and is that of this very stack.

Pure. The engine checks less: it takes `{}` for a stack without resources, and another stack's checkpoint for this
one's, whose objects it would delete.
https://github.com/pulumi/pulumi/blob/v3.274.1/sdk/go/common/apitype/core.go
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError

from provisioner.errors import StateTampered

_URN = "urn:pulumi:"


class _Manifest(BaseModel):
    time: datetime.datetime


class _Resource(BaseModel):
    urn: str


class _Operation(BaseModel):
    resource: _Resource


class _SecretsProvider(BaseModel):
    type: str


class _Deployment(BaseModel):
    manifest: _Manifest
    secrets_providers: _SecretsProvider | None = None
    resources: list[_Resource] | None = None
    pending_operations: list[_Operation] | None = None


class _Content(BaseModel):
    stack: str
    latest: _Deployment


class _Versioned(BaseModel):
    version: int
    checkpoint: _Content


def written_at(content: bytes, project: str, stack: str) -> datetime.datetime | None:
    """Return when the engine wrote a stack's checkpoint; None if it can't be read, or is no checkpoint.

    Raises:
        StateTampered: it is that of another stack.
    """
    try:
        found = _Versioned.model_validate_json(content).checkpoint
    except ValidationError:
        return None
    if found.stack.rpartition("/")[2] != stack:
        raise StateTampered(stack, found.stack)
    for urn in _urns(found.latest):
        if not urn.startswith(f"{_URN}{stack}::{project}::"):
            raise StateTampered(stack, urn.removeprefix(_URN).partition("::")[0])
    return found.latest.manifest.time


def has_secrets(content: bytes) -> bool:
    """Whether a checkpoint can be read, and says what encrypts the secrets in it."""
    try:
        return _Versioned.model_validate_json(content).checkpoint.latest.secrets_providers is not None
    except ValidationError:
        return False


def _urns(deployment: _Deployment) -> Iterator[str]:
    for resource in deployment.resources or []:
        yield resource.urn
    for operation in deployment.pending_operations or []:
        yield operation.resource.urn
