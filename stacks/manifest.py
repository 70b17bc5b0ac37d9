"""The metadata that every object of a stack carries. Pure."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.inputs import StackInputs

Manifest = dict[str, Any]
"""A Kubernetes object, in the words of its API: the same keys as in YAML."""


def metadata(inputs: StackInputs, name: str, component: str, annotations: dict[str, str] | None = None) -> Manifest:
    """Return `metadata` for an object in the app's namespace."""
    return {
        "name": name,
        "namespace": inputs.namespace,
        "labels": object_labels(inputs, component),
        "annotations": annotations or {},
    }


def object_labels(inputs: StackInputs, component: str) -> dict[str, str]:
    """Return the labels of one object: the stack's and which component of it this is."""
    return {**inputs.labels, naming.COMPONENT_LABEL: component}


def engine_annotations(stack: str) -> dict[str, str]:
    """Return what tells the engine how to treat an object of this stack.

    Readiness is observed, never waited for. The field manager is one for each stack: the engine's
    own default is random for each object, so that after a lost checkpoint a changed object would be
    in conflict with itself. Deleted objects go at once, and what they own after them: the engine's default
    keeps a worker waiting until the last Pod has ended, and the name taken for as long.

    https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/
    """
    return {
        "pulumi.com/skipAwait": "true",
        "pulumi.com/patchFieldManager": stack,
        "pulumi.com/deletionPropagationPolicy": "background",
    }
