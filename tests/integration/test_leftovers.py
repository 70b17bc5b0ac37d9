"""What is left over of an app of which ReviewApp and journal were lost: found, and removed when that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provisioner.engine import Engine
from provisioner.inventory import stack_names
from provisioner.settings import Settings
from provisioner.stack import Stacks
from tests.integration.conftest import MakeInputs
from tests.integration.test_crashes import until
from watcher import leftover_checks
from watcher.cluster import SECRETS, SERVICES, Cluster
from watcher.findings import Finding

pytestmark = [pytest.mark.engine, pytest.mark.cluster]


def test_what_our_engine_made_is_removed_and_what_somebody_labelled_is_left(
    stacks: Stacks,
    make_inputs: MakeInputs,
    cluster: Cluster,
    namespace: str,
    engine: Engine,
    settings: Settings,
    objects: Callable[[str], dict[str, Any]],
) -> None:
    inputs = make_inputs("4711", build=False)
    stacks.up(inputs, 0)
    labels = cluster.get(SERVICES, namespace, inputs.name) or {}
    stray = {"metadata": {"name": "stray", "labels": labels["metadata"]["labels"]}}
    cluster.create(SECRETS, namespace, stray)

    def found() -> list[Finding]:
        everywhere = [
            *leftover_checks.objects(cluster, settings.namespace, set()),
            *leftover_checks.stacks(cluster, settings, engine, set()),
        ]
        return [one for one in everywhere if f" {namespace}/" in one.what or f" {inputs.stack}," in one.what]

    told = found()
    assert f"the backend has stack {inputs.stack}, which no ReviewApp asks for" in [one.what for one in told]
    assert f"Secret {namespace}/stray" in {one.what.partition(" is ")[0] for one in told if one.fix is None}
    for one in told:
        if one.fix:
            one.fix()
    until(lambda: objects(inputs.stack).keys() == {"Secret/stray"}, "only what is not ours is left")
    assert stack_names(settings, engine) == []
    assert [one.fix for one in found()] == [None]
