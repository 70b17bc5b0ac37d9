"""A checkpoint that is lost, broken or another stack's: what is put in its place, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import StackLocked, StateDamaged, StateTampered
from provisioner.stack_files import StackFiles
from provisioner.state_store import FolderStore

STACK = "acme.shop.7"
STACKS = ".pulumi/stacks/reviewapp"
CHECKPOINT = f"{STACKS}/{STACK}.json"
HISTORY = f".pulumi/history/reviewapp/{STACK}/{STACK}"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def files(store: FolderStore) -> StackFiles:
    return StackFiles(store, STACK)


def checkpoint(minute: int = 0, stack: str = STACK, urn: str | None = None, **latest: Any) -> bytes:
    """A checkpoint as the engine writes it, of some minute."""
    resource = {"urn": urn or f"urn:pulumi:{stack}::reviewapp::pulumi:pulumi:Stack::reviewapp-{stack}"}
    manifest = {"time": f"2026-11-29T10:{minute:02}:00.123456789Z"}
    content = {
        "stack": f"organization/reviewapp/{stack}",
        "latest": {"manifest": manifest, "resources": [resource]} | latest,
    }
    return json.dumps({"version": 3, "checkpoint": content}).encode()


def test_a_whole_one_stays(files: StackFiles, store: FolderStore) -> None:
    assert files.repair() == "nothing"
    files.require_whole()
    for content in (checkpoint(), checkpoint(resources=None, pending_operations=None)):
        store.write(CHECKPOINT, content)
        assert files.repair() == "whole"
        files.require_whole()
        assert store.read(CHECKPOINT) == content


BROKEN = {
    "empty": b"",
    "cut off": checkpoint()[:-40],
    "no text": b"\x00\x9f" * 40,
    "another document": b"[]",
    "what the engine takes for no resources": b"{}",
    "without its content": b'{"version": 3, "checkpoint": {}}',
    "without resources' names": checkpoint(resources=[{"type": "a"}]),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_one_gives_way_to_the_newest_copy(broken: bytes, files: StackFiles, store: FolderStore) -> None:
    store.write(CHECKPOINT, broken)
    store.write(f"{CHECKPOINT}.bak", checkpoint(3))
    store.write(f"{HISTORY}-1.checkpoint.json", checkpoint(2))
    store.write(f"{HISTORY}-1.history.json", b"{}")
    store.write(f"{HISTORY}-2.checkpoint.json", checkpoint(4))
    store.write(f"{HISTORY}-3.checkpoint.json", broken)
    store.write(f"{HISTORY}-4.checkpoint.json", checkpoint(5, stack="acme.shop.8"))
    with pytest.raises(StateDamaged, match=r"the state of stack acme\.shop\.7 is damaged"):
        files.require_whole()
    assert files.repair() == "copy"
    assert store.read(CHECKPOINT) == checkpoint(4)
    assert store.read(f"{CHECKPOINT}.damaged") == broken
    assert files.repair() == "whole"


def test_without_a_copy_there_is_nothing(files: StackFiles, store: FolderStore) -> None:
    store.write(CHECKPOINT, b"{}")
    store.write(f"{CHECKPOINT}.bak", b"")
    assert files.repair() == "nothing"
    assert store.read(CHECKPOINT) is None


FOREIGN = {
    "by its name": checkpoint(stack="acme.shop.70"),
    "by a resource": checkpoint(urn="urn:pulumi:acme.shop.8::reviewapp::kubernetes:core/v1:Secret::Secret/a"),
    "by its project": checkpoint(urn=f"urn:pulumi:{STACK}::other::kubernetes:core/v1:Secret::Secret/a"),
    "by an operation": checkpoint(
        pending_operations=[{"resource": {"urn": "urn:pulumi:acme.shop.8::reviewapp::a::b"}}]
    ),
}


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
def test_anothers_is_refused_and_left(foreign: bytes, files: StackFiles, store: FolderStore) -> None:
    store.write(CHECKPOINT, foreign)
    store.write(f"{CHECKPOINT}.bak", checkpoint())
    for action in (files.require_whole, files.repair):
        with pytest.raises(StateTampered, match="nothing was changed: put back the right one"):
            action()
    assert store.read(CHECKPOINT) == foreign


@pytest.mark.parametrize(
    ("lock", "held_by"),
    [
        (
            b'{"pid": 4, "username": "w", "hostname": "pod-b", "timestamp": "2026-11-20T10:00:00.123456789Z"}',
            "process 4 of w@pod-b",
        ),
        (b"{}", "an owner that could not be read"),
        (b"\x00", "an owner that could not be read"),
    ],
)
def test_what_is_locked_is_not_mended(lock: bytes, held_by: str, files: StackFiles, store: FolderStore) -> None:
    store.write(CHECKPOINT, b"{}")
    store.write(f".pulumi/locks/organization/reviewapp/{STACK}/1.json", lock)
    store.write(f".pulumi/locks/organization/reviewapp/{STACK}0/1.json", lock)
    with pytest.raises(StackLocked, match=held_by):
        files.repair()
    assert store.read(CHECKPOINT) == b"{}"
    files.remove_locks()
    assert files.repair() == "nothing"
    assert len(store.keys(".pulumi/locks/")) == 1


def test_of_a_stack_that_is_no_more_nothing_is_left(files: StackFiles, store: FolderStore, tmp_path: Path) -> None:
    others = [f"{STACKS}/{STACK}0.json", f".pulumi/history/reviewapp/{STACK}0/a.json", f"{STACKS}/acme.shop.json"]
    for key in others:
        store.write(key, b"")
    store.write(CHECKPOINT, b"{}")
    store.write(f"{CHECKPOINT}.bak", b"{}")
    store.write(f"{HISTORY}-1.checkpoint.json", b"{}")
    files.tag({"owner": "acme"})
    assert json.loads(store.read(f"{STACKS}/{STACK}.pulumi-tags") or b"") == {"version": 1, "tags": {"owner": "acme"}}
    (tmp_path / f".pulumi/locks/organization/reviewapp/{STACK}").mkdir(parents=True)
    (tmp_path / f"{CHECKPOINT}.attrs").touch()
    (tmp_path / f"{CHECKPOINT}.18a.tmp").touch()
    files.remove()
    assert store.keys(".pulumi/") == sorted(others)
    assert [path for path in tmp_path.rglob(f"{STACK}*") if not path.name.startswith(f"{STACK}0")] == []
