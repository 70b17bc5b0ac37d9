"""What a state backend has stored, by key: read, written, listed and deleted without a run of the CLI.

A folder, an S3 bucket and a PostgreSQL table, found by the same URLs as the CLI finds them. Knows no stacks: what a key
means is `stack_files`'. Where the CLI's own locks forbid it, its caller must not write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from provisioner.state_store.bucket import BucketStore
from provisioner.state_store.folder import FolderStore
from provisioner.state_store.table import TableStore


class StateSource(Protocol):
    """A state backend's content, to be read. Safe from any thread.

    Each method raises StateUnreachable where it can't be done.
    """

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that start with a prefix, sorted."""
        ...

    def read(self, key: str) -> bytes | None:
        """Return what is stored under a key; None if there is nothing."""
        ...


class StateStore(StateSource, Protocol):
    """A state backend's content, to be read and changed."""

    def write(self, key: str, content: bytes) -> None:
        """Store something under a key, whole or not at all."""
        ...

    def delete(self, key: str) -> None:
        """Delete what is stored under a key; fine if there is nothing."""
        ...

    def delete_all(self, prefix: str) -> None:
        """Delete what is stored under all keys that start with a prefix."""
        ...


def open_store(url: str) -> StateStore | None:
    """Return the store behind a backend's URL; None of a kind that only the CLI can read. Connects to nothing yet."""
    match url.partition("://")[0]:
        case "file":
            return FolderStore(Path(url.removeprefix("file://").partition("?")[0]).expanduser())
        case "s3":
            return BucketStore(url)
        case "postgres":
            return TableStore(url)
        case _:
            return None
