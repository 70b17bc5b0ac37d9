"""Show what a ReviewApp's stack declares, without a cluster. Pure: reads no file, prints nothing."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, SecretStr

from provisioner.databases import Known
from provisioner.desired import stack_inputs, wanted_build
from provisioner.errors import Refusal, SpecRefused
from provisioner.refusals import MISSING, escaped, without_credentials
from provisioner.review_app import KIND, VERSION, Spec, Status, parse
from provisioner.rules import require_allowed
from provisioner.settings import StackSettings
from stacks import naming, own_namespace
from stacks.inputs import TLS
from stacks.manifest import Manifest
from stacks.naming import GROUP, PAUSED_ANNOTATION, REBUILD_ANNOTATION, RESET_DATABASE_ANNOTATION
from stacks.review_app import manifests
from stacks.secrets import tls_secret_name

MASK: Final = "REDACTED"
"""Stands for each value of a Secret. It is Base64, so that what checks manifests takes it."""

_API_VERSION: Final = f"{GROUP}/{VERSION}"
# Only the cluster has the wildcard certificate.
_UNSEEN: Final = TLS(certificate=SecretStr(""), key=SecretStr(""))

_DIGEST: Final = re.compile("sha256:[0-9a-f]{64}")

_Part = TypeVar("_Part", bound=BaseModel)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a ReviewApp asks for.

    Attributes:
        spec: its validated spec.
        paused: whether its annotations ask for no Pod.
        attempt: which further build of the commit its annotations ask for; empty for the first.
        database_attempt: which further database they ask for; empty for the first.
        digest: of the image that its commit was built as, where its status says so; empty otherwise.
    """

    spec: Spec
    paused: bool = False
    attempt: str = ""
    database_attempt: str = ""
    digest: str = ""


def read(document: object) -> Asked:
    """Return what a ReviewApp asks for, from the whole object as JSON has it.

    Raises:
        SpecRefused: it is no ReviewApp, or one that asks for what it can't have.
    """
    if not isinstance(document, dict):
        raise SpecRefused([Refusal("kind", "", f"is missing: write a mapping with the fields of a {KIND}")])
    fields = cast("dict[str, Any]", document)
    wrong = [
        Refusal(name, escaped(value) if isinstance(value, str) else "", f"must be {wanted}: nothing else is taken")
        for name, wanted in (("apiVersion", _API_VERSION), ("kind", KIND))
        if (value := fields.get(name)) != wanted
    ]
    if not wrong and "spec" not in fields:
        wrong.append(Refusal("spec", "", MISSING))
    if wrong:
        raise SpecRefused(wrong)
    paused = _annotation(fields, PAUSED_ANNOTATION) == "true"
    again, reset = (_annotation(fields, name) for name in (REBUILD_ANNOTATION, RESET_DATABASE_ANNOTATION))
    spec, status = parse(fields["spec"]), Status.read(fields.get("status"))
    digest = status.image_digest if status.build_commit == spec.commit_hash else None
    is_digest = _DIGEST.fullmatch(digest or "")
    return Asked(
        spec,
        paused,
        attempt=naming.attempt(again) if again else "",
        database_attempt=naming.attempt(reset) if reset else "",
        digest=digest if digest and is_digest else "",
    )


def render(asked: Asked, settings: StackSettings, *, built: bool, show_secrets: bool) -> list[Manifest]:
    """Return every object that the stack declares, in its order.

    Args:
        asked: what the ReviewApp asks for.
        settings: the installation's.
        built: whether it is as after its build's success, or as at first.
        show_secrets: whether the values of Secrets and the credentials in addresses are shown. Otherwise the result
            does not depend on them at all. The certificate's copy is masked in any case: only the cluster has it.

    Raises:
        SpecRefused: the spec asks for what this installation does not give.
    """
    require_allowed(asked.spec, settings)
    build = wanted_build(asked.spec, settings, asked.attempt)
    tls = _UNSEEN if settings.tls_secret else None
    image = f"{build.image.rpartition(':')[0]}@{asked.digest}" if built and asked.digest else None
    inputs = stack_inputs(
        asked.spec,
        settings,
        previous=None,
        built=built,
        tls=tls,
        build=build,
        image=image,
        paused=asked.paused,
        known=Known(ready=built, attempt=asked.database_attempt),
    )
    declared = manifests(inputs if show_secrets else _masked(inputs))
    if own := inputs.own_namespace:
        # What the watcher makes before the stack.
        declared = [own_namespace.namespace(inputs, own), *own_namespace.bounds(inputs, own), *declared]
    for manifest in declared:
        unseen = manifest["metadata"]["name"] == tls_secret_name(inputs)
        if "data" in manifest and (unseen or not show_secrets):
            manifest["data"] = dict.fromkeys(manifest["data"], MASK)
    return declared


def _annotation(review_app: dict[str, Any], name: str) -> str:
    found: object = review_app
    for step in ("metadata", "annotations", name):
        found = cast("dict[str, object]", found).get(step) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _masked(part: _Part) -> _Part:
    """Return a part of the inputs without what they keep out of their `repr`."""
    changes: dict[str, Any] = {}
    for name, field in type(part).model_fields.items():
        value: object = getattr(part, name)
        if isinstance(value, BaseModel):
            changes[name] = _masked(value)
        elif isinstance(value, SecretStr):
            changes[name] = SecretStr("")
        elif isinstance(value, str) and name.endswith("url"):
            changes[name] = without_credentials(value)
        elif isinstance(value, dict) and not field.repr:
            changes[name] = dict.fromkeys(cast("dict[str, str]", value), "")
        elif value is not None and not field.repr:
            raise TypeError(f"{name} holds a secret of a kind that is not known here")
    return part.model_copy(update=changes)
