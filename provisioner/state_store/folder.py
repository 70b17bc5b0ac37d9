"""A state backend's content in a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from provisioner.errors import StateUnreachable

# The CLI's library writes one beside each file, with its checksum, and does without.
_ATTRIBUTES: Final = ".attrs"


class FolderStore:
    """A store in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that start with a prefix, sorted."""
        start = self._folder / prefix.rpartition("/")[0]
        with _said(self._folder):
            found = [
                str((Path(folder) / name).relative_to(self._folder))
                for folder, _, names in os.walk(start, onerror=_raise_unless_absent)
                for name in names
                if not name.endswith(_ATTRIBUTES)
            ]
        return sorted(key for key in found if key.startswith(prefix))

    def read(self, key: str) -> bytes | None:
        """Return what is stored under a key; None if there is nothing."""
        with _said(self._folder):
            try:
                return (self._folder / key).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, key: str, content: bytes) -> None:
        """Store something under a key, whole or not at all."""
        file = self._folder / key
        with _said(self._folder):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Where a listing of stacks takes it for none.
            descriptor, name = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".tmp", dir=file.parent)
            try:
                with os.fdopen(descriptor, "wb") as temporary:
                    temporary.write(content)
                    temporary.flush()
                    os.fsync(temporary.fileno())
                Path(name).replace(file)
                self._attributes(key).unlink(missing_ok=True)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def delete(self, key: str) -> None:
        """Delete what is stored under a key; fine if there is nothing."""
        with _said(self._folder):
            (self._folder / key).unlink(missing_ok=True)
            self._attributes(key).unlink(missing_ok=True)

    def delete_all(self, prefix: str) -> None:
        """Delete what is stored under all keys that start with a prefix; a folder too, where that is a folder's."""
        for key in self.keys(prefix):
            self.delete(key)
        if prefix.endswith("/"):
            # Of the CLI's own, with what it keeps beside its files.
            shutil.rmtree(self._folder / prefix, ignore_errors=True)

    def _attributes(self, key: str) -> Path:
        return self._folder / f"{key}{_ATTRIBUTES}"


@contextmanager
def _said(folder: Path) -> Generator[None]:
    """Say an error of the system as the backend's."""
    try:
        yield
    except OSError as error:
        raise StateUnreachable(f"{error.strerror}: {error.filename or folder}") from None


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
