"""What the watchers' state has, read without the engine: locks, checkpoints, work folders; and how to spoil it."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any, Literal

from provisioner.backend import PROJECT
from provisioner.state_store import StateStore

_STACKS = f".pulumi/stacks/{PROJECT}/"
_LOCKS = ".pulumi/locks/"

Key = tuple[str, str, str]
"""Kind, namespace and name of an object."""
Damage = Literal["deleted", "cut off", "emptied", "garbled"]


class State:
    """The state backend and the work folders.

    Args:
        store: what the backend has.
        folder: the watchers' data folder.
    """

    def __init__(self, store: StateStore, folder: Path) -> None:
        self._store = store
        self._work = folder / "work"

    def stacks(self) -> list[str]:
        keys = [key.removeprefix(_STACKS) for key in self._store.keys(_STACKS)]
        return [key.removesuffix(".json") for key in keys if key.endswith(".json")]

    def locks(self) -> list[str]:
        """Return the stack of each lock that there is."""
        return [key.split("/")[-2] for key in self._store.keys(_LOCKS) if key.endswith(".json")]

    def objects(self, stack: str) -> set[Key]:
        """Return the objects that a stack's checkpoint has."""
        found: set[Key] = set()
        for resource in self._deployment(stack).get("resources", []):
            if resource["type"].startswith("kubernetes:"):
                namespace, _, name = str(resource["id"]).rpartition("/")
                found.add((resource["type"].rpartition(":")[2], namespace, name))
        return found

    def pending(self, stack: str) -> list[str]:
        """Return the operations that a stack's checkpoint has as begun and not ended."""
        operations: list[dict[str, Any]] = self._deployment(stack).get("pending_operations") or []
        return [f"{one['type']} {one['resource']['urn']}" for one in operations]

    def work_folders(self) -> list[str]:
        return [path.name for path in self._work.iterdir()] if self._work.exists() else []

    def work_folder(self, stack: str) -> Path:
        return self._work / stack

    def damage(self, stack: str, how: Damage) -> None:
        """Spoil a stack's checkpoint.

        Raises:
            LookupError: it has none.
        """
        key = f"{_STACKS}{stack}.json"
        content = self._read(key)
        if how == "deleted":
            self._store.delete(key)
        else:
            self._store.write(
                key, {"cut off": content[: len(content) // 2], "emptied": b"", "garbled": content[::-1]}[how]
            )

    def plant_lock(self, stack: str, host: str, pid: int) -> None:
        """Lock a stack as an engine of a machine would that has been gone for long."""
        lock = {"pid": pid, "username": "root", "hostname": host, "timestamp": "2026-01-01T00:00:00.000000000Z"}
        key = f"{_LOCKS}organization/{PROJECT}/{stack}/{uuid.uuid4()}.json"
        self._store.write(key, json.dumps(lock).encode())

    def _deployment(self, stack: str) -> dict[str, Any]:
        return json.loads(self._read(f"{_STACKS}{stack}.json"))["checkpoint"]["latest"] or {}

    def _read(self, key: str) -> bytes:
        content = self._store.read(key)
        if content is None:
            raise LookupError(key)
        return content


def dead_pid() -> int:
    """Return the number of a process that there was, and is no more."""
    pid = os.posix_spawnp("true", ["true"], os.environ)
    os.waitpid(pid, 0)
    return pid
