"""What is copied from one backend to another, what both are marked with meanwhile, and what is refused."""

from __future__ import annotations

import datetime
import json
import os
import socket
from pathlib import Path

import pytest

from provisioner.errors import StackLocked
from provisioner.state_copy import (
    MARK,
    StateMoved,
    StateNotCopied,
    begin,
    by_stack,
    compare,
    copy,
    finish,
    have_gone,
    require_here,
    require_unlocked,
)
from provisioner.state_store import FolderStore

HERE, THERE, ELSEWHERE = "file:///here", "postgres://user:password@there/database?table=a", "s3://elsewhere/a"
STACKS = ".pulumi/stacks/reviewapp"


@pytest.fixture
def here(tmp_path: Path) -> FolderStore:
    """A backend with two stacks, one of a repository whose name is an ending; and with what is not to be copied."""
    store = FolderStore(tmp_path / "here")
    for stack in ("acme.json.7", "acme.shop.8"):
        store.write(f"{STACKS}/{stack}.json", stack.encode())
        store.write(f"{STACKS}/{stack}.json.bak", b"older")
        store.write(f"{STACKS}/{stack}.pulumi-tags", b"tags")
        store.write(f".pulumi/history/reviewapp/{stack}/{stack}-1.checkpoint.json", b"history")
    for key in (
        f"{STACKS}/acme.shop.8.json.1.tmp",
        f"{STACKS}/acme.shop.8.json.damaged",
        f"{STACKS}/acme.gone.9.json.bak",
        ".pulumi/stacks/other/stack.json",
        ".pulumi/meta.yaml",
    ):
        store.write(key, b"left")
    return store


@pytest.fixture
def there(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "there")


def test_what_belongs_to_a_stack(here: FolderStore) -> None:
    found = by_stack(here)
    assert found == {
        stack: [
            f".pulumi/history/reviewapp/{stack}/{stack}-1.checkpoint.json",
            f"{STACKS}/{stack}.json.bak",
            f"{STACKS}/{stack}.pulumi-tags",
            f"{STACKS}/{stack}.json",
        ]
        for stack in ("acme.json.7", "acme.shop.8")
    }


def test_copied_once_and_again(here: FolderStore, there: FolderStore) -> None:
    there.write(f"{STACKS}/acme.destroyed.1.json", b"of an earlier run")
    there.write(f"{STACKS}/acme.shop.8.json", b"of an earlier run")
    assert dict(copy(here, there)) == {"acme.json.7": "copied", "acme.shop.8": "copied"}
    assert compare(here, there) == 2
    assert by_stack(there) == by_stack(here)
    assert there.read(f"{STACKS}/acme.shop.8.json") == b"acme.shop.8"
    assert dict(copy(here, there)) == dict.fromkeys(("acme.json.7", "acme.shop.8"), "was there already")


@pytest.mark.parametrize("key", [f"{STACKS}/acme.shop.8.json", f"{STACKS}/acme.new.1.json"])
def test_a_difference_is_found(key: str, here: FolderStore, there: FolderStore) -> None:
    list(copy(here, there))
    here.write(key, b"written by somebody meanwhile")
    with pytest.raises(StateNotCopied, match=f"1 stacks are not the same in both places .{key[len(STACKS) + 1 : -5]}"):
        compare(here, there)


def test_where_work_may_go_on(here: FolderStore, there: FolderStore) -> None:
    require_here(here)
    begin(here, HERE, there, THERE)
    require_here(here)
    with pytest.raises(StateMoved, match="not all brought here from file:///here: run"):
        require_here(there)
    begin(here, HERE, there, THERE)
    assert not have_gone(here, there, THERE)
    list(copy(here, there))
    finish(here, there, THERE)
    assert have_gone(here, there, THERE)
    require_here(there)
    with pytest.raises(StateMoved, match="moved to postgres://…@there/database…: set backend_url") as moved:
        require_here(here)
    assert "password" not in str(moved.value) + str(here.read(MARK))
    # What is left of the first move does not stand in the way of the second, back.
    begin(there, THERE, here, HERE)


def test_broken_off_between_the_two_marks(here: FolderStore, there: FolderStore) -> None:
    begin(here, HERE, there, THERE)
    mark = there.read(MARK)
    list(copy(here, there))
    finish(here, there, THERE)
    there.write(MARK, mark or b"")
    for store in (here, there):
        with pytest.raises(StateMoved):
            require_here(store)
    assert not have_gone(here, there, THERE)
    begin(here, HERE, there, THERE)
    finish(here, there, THERE)
    require_here(there)


def test_refused(here: FolderStore, there: FolderStore, tmp_path: Path) -> None:
    there.write(f"{STACKS}/acme.other.1.json", b"{}")
    with pytest.raises(StateNotCopied, match=r"has 1 stacks already \(acme\.other\.1\): name an empty one"):
        begin(here, HERE, there, THERE)
    there.delete(f"{STACKS}/acme.other.1.json")
    begin(here, HERE, there, THERE)
    with pytest.raises(
        StateNotCopied, match="a move from file:///here to the same place was broken off: finish that first"
    ):
        begin(FolderStore(tmp_path / "elsewhere"), ELSEWHERE, there, THERE)
    with pytest.raises(StateNotCopied, match="has not all stacks itself: finish the move from file:///here first"):
        begin(there, THERE, FolderStore(tmp_path / "elsewhere"), ELSEWHERE)
    finish(here, there, THERE)
    with pytest.raises(
        StateNotCopied, match="have gone from file:///here to postgres://…@there/database…: move them from"
    ):
        begin(here, HERE, FolderStore(tmp_path / "elsewhere"), ELSEWHERE)


def test_a_mark_that_is_none_says_nothing(here: FolderStore) -> None:
    here.write(MARK, b"\x00")
    require_here(here)


def test_a_lock_of_somebody_who_may_live(here: FolderStore) -> None:
    lock = ".pulumi/locks/organization/reviewapp/acme.shop.8/1.json"

    def locked(host: str, pid: int) -> None:
        time = datetime.datetime.now(datetime.UTC).isoformat()
        here.write(lock, json.dumps({"pid": pid, "username": "w", "hostname": host, "timestamp": time}).encode())

    require_unlocked(here)
    locked(socket.gethostname(), 4_194_304)
    require_unlocked(here)
    for host, pid in (("pod-b", 4), ("pod-b", os.getpid())):
        locked(host, pid)
        with pytest.raises(StackLocked, match=rf"acme\.shop\.8 is locked by process {pid} of w@pod-b"):
            require_unlocked(here)
    here.write(lock, b"\x00")
    with pytest.raises(StackLocked, match="an owner that could not be read"):
        require_unlocked(here)
