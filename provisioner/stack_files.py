"""What a state backend has of one stack: its checkpoint, tags, locks and history, by the keys that the CLI gives them.

Reads and changes them beside the CLI, where that would take a run of it or can't do it at all. Locks nothing itself:
its caller works on the stack alone. https://github.com/pulumi/pulumi/tree/v3.274.1/pkg/backend/diy
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from provisioner import checkpoint
from provisioner.errors import LockOwner, StackLocked, StateDamaged, StateTampered
from provisioner.state_store import StateSource, StateStore

PROJECT: Final = "reviewapp"
"""Name of the Pulumi project that all stacks belong to."""
ROOT: Final = ".pulumi/"
"""What all keys of a backend start with."""
LOCKS: Final = f"{ROOT}locks/"
STACKS: Final = f"{ROOT}stacks/{PROJECT}/"
"""What the keys of checkpoints start with, beside those of their copies and tags."""

Repair = Literal["whole", "copy", "nothing"]
"""What there is of a checkpoint: itself, an older copy that was put in its place, or nothing."""

_TAGS_VERSION: Final = 1


def checkpoints(store: StateSource) -> dict[str, str]:
    """Return the key of each stack's checkpoint, by the stack's name."""
    names = ((key, key.removeprefix(STACKS)) for key in store.keys(STACKS))
    return {name.removesuffix(".json"): key for key, name in names if name.endswith(".json") and "/" not in name}


class StackFiles:
    """One stack's part of a store.

    Its methods raise StateUnreachable where the backend can't be read or written.
    """

    def __init__(self, store: StateStore, stack: str) -> None:
        self._store = store
        self._stack = stack
        self._checkpoint = f"{STACKS}{stack}.json"
        self._tags = f"{STACKS}{stack}.pulumi-tags"
        self._locks = f"{LOCKS}organization/{PROJECT}/{stack}/"
        # Each update ends with a copy of the checkpoint in the first; the second is the CLI's where it keeps backups.
        self._copies = [f"{ROOT}{kind}/{PROJECT}/{stack}/" for kind in ("history", "backups")]

    def has_state(self) -> bool:
        """Whether there is a checkpoint that is the engine's, be it another stack's."""
        content = self._store.read(self._checkpoint)
        try:
            return content is not None and self._written_at(content) is not None
        except StateTampered:
            return True

    def require_whole(self) -> None:
        """Go on only if the checkpoint can be worked with, or there is none.

        Raises:
            StateDamaged: it can't be read.
            StateTampered: it is that of another stack.
        """
        content = self._store.read(self._checkpoint)
        if content is not None and not self._written_at(content):
            raise StateDamaged(self._stack, "it is no checkpoint")

    def repair(self) -> Repair:
        """Put the newest copy that can be worked with in the place of a checkpoint that can't, else nothing.

        What could not be read stays beside it, as `<stack>.json.damaged`.

        Raises:
            StateTampered: the checkpoint is that of another stack.
            StackLocked: it can't be worked with, and is locked; whoever holds the lock may be writing it.
        """
        content = self._store.read(self._checkpoint)
        if content is None:
            return "nothing"
        if self._written_at(content):
            return "whole"
        if owners := self.lock_owners():
            # Of whom one is not known, nobody is proven dead.
            raise StackLocked(self._stack, [] if None in owners else [owner for owner in owners if owner])
        self._store.write(f"{self._checkpoint}.damaged", content)
        copies = sorted(self._whole_copies(), reverse=True)
        if not copies:
            self._store.delete(self._checkpoint)
            return "nothing"
        self._store.write(self._checkpoint, copies[0][1])
        return "copy"

    def lock_owners(self) -> list[LockOwner | None]:
        """Return who holds each of the stack's locks; None of one that can't be read."""
        return [_owner(self._store.read(key)) for key in self._store.keys(self._locks)]

    def tag(self, tags: Mapping[str, str]) -> None:
        """Give the stack these tags and no others."""
        content = json.dumps({"version": _TAGS_VERSION, "tags": dict(tags)}).encode()
        if self._store.read(self._tags) != content:
            self._store.write(self._tags, content)

    def remove_locks(self) -> None:
        """Remove the stack's locks, whoever holds them."""
        self._store.delete_all(self._locks)

    def remove(self) -> None:
        """Remove all that the CLI leaves of a stack that is no more."""
        # Killed while it writes a checkpoint to a folder, it leaves a temporary file beside it.
        for prefix in (self._locks, *self._copies, self._checkpoint, self._tags):
            self._store.delete_all(prefix)

    def _written_at(self, content: bytes) -> datetime.datetime | None:
        return checkpoint.written_at(content, PROJECT, self._stack)

    def _whole_copies(self) -> Iterator[tuple[datetime.datetime, bytes]]:
        kept = [key for prefix in self._copies for key in self._store.keys(prefix) if ".checkpoint." in key]
        for key in (f"{self._checkpoint}.bak", *kept):
            content = self._store.read(key)
            if content is None:
                continue
            try:
                written = self._written_at(content)
            except StateTampered:
                continue
            if written:
                yield written, content


def _owner(content: bytes | None) -> LockOwner | None:
    try:
        found = json.loads(content or b"")
        time = datetime.datetime.fromisoformat(found["timestamp"])
        return LockOwner(str(found["username"]), str(found["hostname"]), int(found["pid"]), time)
    except (ValueError, KeyError, TypeError):
        return None
