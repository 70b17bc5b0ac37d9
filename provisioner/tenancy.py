"""Whom a namespace takes: what its owner wrote on it, against the repository of a ReviewApp. Pure.

The annotation is the only thing that lets an app in. It is read anew at each look, so that an app heals when it comes.
When it goes, what runs is left alone and nothing new is let in.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from provisioner.errors import Refusal, SpecRefused
from provisioner.patterns import BadPattern, parse_list
from provisioner.review_app import Spec
from stacks import naming

_FIELD = "spec.config.namespace"
# A command that nobody can read helps nobody.
_LONGEST_LIST = 500


class NamespaceNotOpen(SpecRefused):
    """The namespace's owner has not let the repository in; the message has the command that does."""

    reason = "NamespaceNotOpen"


class NamespaceNotFound(SpecRefused):
    """There is no such namespace."""

    reason = "NamespaceNotFound"


def require_open(spec: Spec, annotations: Mapping[str, str] | None) -> None:
    """Look whether the app's namespace takes its repository.

    Args:
        spec: what the ReviewApp asks for.
        annotations: those of the namespace; None where there is no such namespace.

    Raises:
        NamespaceNotFound: there is none.
        NamespaceNotOpen: its owner has not let the repository in, or has written what is no list of patterns.
    """
    name, repository = spec.config.namespace, f"{spec.repo_owner}/{spec.repo}"
    shown = repr(name)
    if annotations is None:
        remedy = f"is not there: `kubectl create namespace {name}`, then `{allow_command(name, repository)}`"
        raise NamespaceNotFound([Refusal(_FIELD, shown, remedy)])
    allowed = annotations.get(naming.ALLOW_ANNOTATION, "")
    try:
        patterns = parse_list(allowed)
    except BadPattern as bad:
        remedy = f"takes nobody until its annotation {naming.ALLOW_ANNOTATION} is right: {bad}"
        raise NamespaceNotOpen([Refusal(_FIELD, shown, remedy)]) from None
    if not any(pattern.takes(spec.repo_owner, spec.repo) for pattern in patterns):
        if len(allowed) > _LONGEST_LIST:
            remedy = f"is not open to {repository}: its owner adds it to the annotation {naming.ALLOW_ANNOTATION}"
        else:
            command = allow_command(name, repository, allowed)
            remedy = f"is not open to {repository}: its owner opens it with `{command}`"
        raise NamespaceNotOpen([Refusal(_FIELD, shown, remedy)])


def allow_command(namespace: str, repository: str, allowed: str = "") -> str:
    """Return the command that lets a repository into a namespace, beside those that are `allowed` already."""
    value = ", ".join(part for part in (allowed.strip(" ,"), repository) if part)
    overwrite = "--overwrite " if allowed else ""
    annotation = shlex.quote(f"{naming.ALLOW_ANNOTATION}={value}")
    return f"kubectl annotate namespace {namespace} {overwrite}{annotation}"
