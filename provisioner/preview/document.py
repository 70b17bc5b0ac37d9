"""A preview for a program: JSON of a shape that stays."""

from __future__ import annotations

from typing import Any

from provisioner.preview.model import Preview, PropertyChange, ResourceChange

VERSION = 1
"""Version of the shape: raised when a field goes or changes its meaning. New fields may come at any time."""


def document(preview: Preview) -> dict[str, Any]:
    """Return the preview as JSON values.

    Its fields: `version`; `stack`, `newStack` and `verdict`; `counts` (`create`, `update`, `replace`, `delete` and
    `same`: numbers of objects); `losesData`, a list of objects with `data`, what is lost; `obstacles`, `unseen` and
    `assumptions`, lists of sentences; `changes`, a list of objects, each with `operation`, `apiVersion`, `kind`,
    `namespace`, `name` and `properties`, a list of `path`, `change` (`add`, `update`, `delete`), `old` and `new`
    (null where there is no value, or none that may be shown), `secret`, `unknown` and `replaces`.
    """
    return {
        "version": VERSION,
        "stack": preview.stack,
        "newStack": preview.is_new,
        "verdict": preview.verdict,
        "counts": {**preview.counts, "same": preview.unchanged},
        "losesData": [{**_object(change), "data": change.loses} for change in preview.losses],
        "obstacles": list(preview.obstacles),
        "unseen": list(preview.unseen),
        "assumptions": list(preview.assumptions),
        "changes": [
            {**_object(change), "properties": [_property(difference) for difference in change.properties]}
            for change in preview.changes
        ],
    }


def _object(change: ResourceChange) -> dict[str, Any]:
    return {
        "operation": change.operation,
        "apiVersion": change.api_version,
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
    }


def _property(difference: PropertyChange) -> dict[str, Any]:
    return {
        "path": difference.path,
        "change": difference.change,
        "old": difference.old,
        "new": difference.new,
        "secret": difference.secret,
        "unknown": difference.unknown,
        "replaces": difference.replaces,
    }
