"""A checkpoint that was changed by hand, or has what was begun and not ended. One that is lost: test_state_lost.py."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from provisioner.errors import StateRefused
from provisioner.stack import Stacks
from provisioner.state_store import StateStore
from tests.integration.conftest import MakeInputs, never
from watcher.cluster import Object

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

Objects = Callable[[str], dict[str, Object]]


def checkpoint(stack: str) -> str:
    return f".pulumi/stacks/reviewapp/{stack}.json"


def test_a_state_that_was_changed_is_refused_and_can_be_forgotten(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, store: StateStore
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    key = checkpoint(inputs.stack)
    content = store.read(key) or b""
    changed = content.replace(b'"magic":"', b'"magic":"0')
    store.write(key, changed)
    for attempt in (lambda: stacks.up(inputs, 0), lambda: stacks.destroy(inputs.stack, 0, never)):
        with pytest.raises(StateRefused, match="pulumi stack import"):
            attempt()
    store.write(key, content)
    assert not stacks.up(inputs, 0).stack_is_new
    store.write(key, changed)
    stacks.forget(inputs.stack, 0, never)
    assert store.read(key) is None
    assert objects(inputs.stack)


def test_what_was_begun_and_not_ended_is_taken_off_the_state(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, store: StateStore
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    key = checkpoint(inputs.stack)
    document = json.loads(store.read(key) or b"")
    latest = document["checkpoint"]["latest"]
    # As an engine leaves it that is killed while it makes an object.
    latest["pending_operations"] = [{"type": "creating", "resource": latest["resources"].pop()}]
    store.write(key, json.dumps(document).encode())

    assert stacks.up(inputs, 0).engine_runs == 3  # up, export, import
    assert "pending_operations" not in json.loads(store.read(key) or b"")["checkpoint"]["latest"]
    assert stacks.up(inputs, 0).engine_runs == 1
    assert stacks.up(make_inputs(port=5001), 0).changed
    stacks.destroy(inputs.stack, 0, never)
    assert objects(inputs.stack) == {}
