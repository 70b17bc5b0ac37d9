"""A checkpoint that is cut off, emptied, lost or changed by hand: it is made anew, or refused with the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.errors import StateRefused
from provisioner.stack import Stacks
from tests.integration.conftest import MakeInputs, never
from watcher.cluster import Object

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

Objects = Callable[[str], dict[str, Object]]


def checkpoint(data_folder: Path, stack: str) -> Path:
    return data_folder / "state" / ".pulumi" / "stacks" / "reviewapp" / f"{stack}.json"


@pytest.mark.parametrize("left", [b"", b'{"version":3,"checkpoint":{"sta', None], ids=["empty", "cut off", "lost"])
def test_a_state_that_is_lost_is_made_anew(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, tmp_path: Path, left: bytes | None
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    before = {name: item["metadata"]["uid"] for name, item in objects(inputs.stack).items()}
    file = checkpoint(tmp_path / "data", inputs.stack)
    if left is None:
        file.unlink()
    else:
        file.write_bytes(left)

    changed = make_inputs(port=5001)
    assert stacks.up(changed, 0).stack_is_new
    after = objects(inputs.stack)
    assert {name: item["metadata"]["uid"] for name, item in after.items()} == before
    assert after["Service/shop-7"]["spec"]["ports"][0]["targetPort"] == 5001
    assert not stacks.up(changed, 0).stack_is_new

    stacks.destroy(inputs.stack, 0, never)
    assert objects(inputs.stack) == {}


def test_a_damaged_state_holds_up_no_destroy(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, tmp_path: Path
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    file = checkpoint(tmp_path / "data", inputs.stack)
    file.write_bytes(b"{")
    stacks.destroy(inputs.stack, 0, never)
    assert not file.exists()
    # What the state knew no more is for the sweep by label.
    assert objects(inputs.stack)


def test_a_state_that_was_changed_is_refused_and_can_be_forgotten(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, tmp_path: Path
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    file = checkpoint(tmp_path / "data", inputs.stack)
    text = file.read_text()
    file.write_text(text.replace('"magic":"', '"magic":"0'))
    for attempt in (lambda: stacks.up(inputs, 0), lambda: stacks.destroy(inputs.stack, 0, never)):
        with pytest.raises(StateRefused, match="pulumi stack import"):
            attempt()
    file.write_text(text)
    assert not stacks.up(inputs, 0).stack_is_new
    file.write_text(text.replace('"magic":"', '"magic":"0'))
    stacks.forget(inputs.stack, 0, never)
    assert not file.exists()
    assert objects(inputs.stack)


def test_what_was_begun_and_not_ended_is_taken_off_the_state(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, tmp_path: Path
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    file = checkpoint(tmp_path / "data", inputs.stack)
    document = json.loads(file.read_text())
    latest = document["checkpoint"]["latest"]
    # As an engine leaves it that is killed while it makes an object.
    latest["pending_operations"] = [{"type": "creating", "resource": latest["resources"].pop()}]
    file.write_text(json.dumps(document))

    assert stacks.up(inputs, 0).engine_runs == 3  # up, export, import
    assert "pending_operations" not in json.loads(file.read_text())["checkpoint"]["latest"]
    assert stacks.up(inputs, 0).engine_runs == 1
    assert stacks.up(make_inputs(port=5001), 0).changed
    stacks.destroy(inputs.stack, 0, never)
    assert objects(inputs.stack) == {}
