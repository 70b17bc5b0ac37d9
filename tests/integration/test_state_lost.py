"""A stack's state that is lost, broken or another stack's: made anew around what is there, or left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.errors import StateTampered
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.state_store import StateStore
from provisioner.workspace import environment
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests.integration.conftest import MakeInputs, never
from tests.integration.test_workspace import Folder
from watcher.cluster import Cluster, Object
from watcher.state_checks import checkpoints
from watcher.sweep import clear_undeclared

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

Objects = Callable[[str], dict[str, Object]]


@pytest.fixture
def first(make_inputs: MakeInputs) -> StackInputs:
    """What a stack declares, with a build."""
    return make_inputs(commitHash="a" * 40)


@pytest.fixture
def second(make_inputs: MakeInputs) -> StackInputs:
    """What it declares after a push: another build, and another port."""
    return make_inputs(commitHash="b" * 40, port=5001)


def checkpoint(inputs: StackInputs) -> str:
    return f".pulumi/stacks/reviewapp/{inputs.stack}.json"


def verdicts(settings: Settings) -> set[str]:
    """What the doctor says of the stacks' states."""
    return {finding.verdict for finding in checkpoints(settings)}


def uids(objects: dict[str, Object]) -> dict[str, str]:
    return {name: item["metadata"]["uid"] for name, item in objects.items() if not name.startswith("Job/")}


def names(inputs: StackInputs) -> set[str]:
    return {f"{manifest['kind']}/{manifest['metadata']['name']}" for manifest in manifests(inputs)}


def lose(store: StateStore, inputs: StackInputs) -> None:
    """Lose the state with all its copies."""
    for prefix in (".pulumi/stacks/reviewapp/", f".pulumi/history/reviewapp/{inputs.stack}/"):
        store.delete_all(prefix)


def cut_off(store: StateStore, inputs: StackInputs) -> None:
    content = store.read(checkpoint(inputs)) or b""
    store.write(checkpoint(inputs), content[: len(content) // 2])


def cut_off_without_a_copy(store: StateStore, inputs: StackInputs) -> None:
    cut_off(store, inputs)
    content = store.read(checkpoint(inputs)) or b""
    lose(store, inputs)
    store.write(checkpoint(inputs), content)


LOSSES = {"lost": lose, "cut off": cut_off, "cut off, without a copy": cut_off_without_a_copy}


@pytest.mark.every_backend
@pytest.mark.parametrize("damage", LOSSES.values(), ids=LOSSES)
def test_it_is_made_anew_and_forgets_nothing(
    damage: Callable[[StateStore, StackInputs], None],
    stacks: Stacks,
    backend: Backend,
    settings: Settings,
    store: StateStore,
    first: StackInputs,
    second: StackInputs,
    objects: Objects,
    cluster: Cluster,
    namespace: str,
) -> None:
    stacks.up(first, 0)
    before = uids(objects(first.stack))
    damage(store, first)
    assert backend.lacking_state([first.stack]) == [first.stack]
    assert verdicts(settings) == ({"ok"} if damage is lose else {"wrong", "ok"})
    assert stacks.up(second, 0).stack_is_new
    assert backend.lacking_state([first.stack]) == []
    assert verdicts(settings) == {"ok"}
    if damage is not cut_off:
        # Of the first build's Job nothing says that there was one: that is the watcher's to see.
        assert set(objects(first.stack)) == names(first) | names(second)
        clear_undeclared(cluster, second, [namespace], namespace)
    assert set(objects(first.stack)) == names(second)
    assert uids(objects(first.stack)) == before
    again = stacks.up(second, 0)
    assert (again.changed, again.stack_is_new) == (False, False)
    stacks.destroy(first.stack, 0, never)
    assert objects(first.stack) == {}
    assert [key for key in store.keys(".pulumi/") if first.stack in key] == []


@pytest.mark.parametrize("damage", [cut_off, cut_off_without_a_copy])
def test_a_destroy_of_a_broken_one(
    damage: Callable[[StateStore, StackInputs], None],
    stacks: Stacks,
    store: StateStore,
    first: StackInputs,
    objects: Objects,
) -> None:
    stacks.up(first, 0)
    damage(store, first)
    stacks.destroy(first.stack, 0, never)
    # Without a copy, the sweep by label does it, which is the watcher's.
    left: set[str] = set() if damage is cut_off else names(first)
    assert set(objects(first.stack)) == left
    assert [key for key in store.keys(".pulumi/") if first.stack in key] == []


def test_a_broken_one_is_forgotten(stacks: Stacks, store: StateStore, first: StackInputs, objects: Objects) -> None:
    stacks.up(first, 0)
    cut_off(store, first)
    stacks.forget(first.stack, 0, never)
    assert set(objects(first.stack)) == names(first)
    assert [key for key in store.keys(".pulumi/") if first.stack in key] == []


@pytest.mark.every_backend
def test_another_stacks_state_is_left_alone(
    stacks: Stacks,
    backend: Backend,
    store: StateStore,
    first: StackInputs,
    make_inputs: MakeInputs,
    objects: Objects,
    settings: Settings,
    engine: Engine,
    tmp_path: Path,
) -> None:
    other = make_inputs("8", build=False)
    stacks.up(first, 0)
    stacks.up(other, 0)
    before = [objects(first.stack), objects(other.stack)]
    store.write(checkpoint(first), store.read(checkpoint(other)) or b"")
    for action in (
        lambda: stacks.up(first, 0),
        lambda: stacks.destroy(first.stack, 0, never),
        lambda: stacks.preview(first, 1),
    ):
        with pytest.raises(StateTampered, match=r"that of organization/reviewapp/acme\.shop\.8; nothing was changed"):
            action()
    assert [objects(first.stack), objects(other.stack)] == before
    # The watcher can't make it anew; the doctor says it.
    assert backend.lacking_state([first.stack]) == []
    assert verdicts(settings) == {"wrong", "ok"}

    # What the message advises heals it.
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: reviewapp\nruntime: python\n")
    with environment(settings) as variables:
        Folder(folder, variables).pulumi("stack", "rm", "--yes", "--force", first.stack)
    assert stacks.up(first, 0).stack_is_new
    assert [uids(objects(inputs.stack)) for inputs in (first, other)] == [uids(found) for found in before]
    for inputs in (first, other):
        stacks.destroy(inputs.stack, 0, never)
        assert objects(inputs.stack) == {}
