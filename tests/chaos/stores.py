"""Where the watchers' state backend keeps its objects: a folder, or a PostgreSQL server of this machine."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from dev.postgres import Server

_PASSWORD = "chaos"
_DATABASE = "state"


class Store(Protocol):
    """Objects by key, as in a bucket."""

    @property
    def url(self) -> str:
        """The backend's address, as the watchers' settings have it."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin so, sorted."""
        ...

    def read(self, key: str) -> bytes:
        """Return an object.

        Raises:
            LookupError: it is not there.
        """
        ...

    def write(self, key: str, content: bytes) -> None:
        """Have an object be this, all of it at once."""
        ...

    def delete(self, key: str) -> None:
        """Have no such object."""
        ...


class Folder:
    """A file backend."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self.url = f"file://{folder}"

    def keys(self, prefix: str) -> list[str]:
        below = self._folder / prefix
        return sorted(str(path.relative_to(self._folder)) for path in below.rglob("*") if path.is_file())

    def read(self, key: str) -> bytes:
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError as error:
            raise LookupError(key) from error

    def write(self, key: str, content: bytes) -> None:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}")
        new.write_bytes(content)
        new.rename(path)

    def delete(self, key: str) -> None:
        (self._folder / key).unlink(missing_ok=True)


class Table:
    """The table that a PostgreSQL backend has: one row for each object, in Base64 within JSON."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"postgres://pulumi:{_PASSWORD}@{server.address}/{_DATABASE}?sslmode=disable"
        server.sql(f"CREATE ROLE pulumi LOGIN PASSWORD '{_PASSWORD}'")
        server.sql(f"CREATE DATABASE {_DATABASE} OWNER pulumi")

    def keys(self, prefix: str) -> list[str]:
        return self._ask("SELECT key FROM pulumi_state WHERE starts_with(key, :'key') ORDER BY key", prefix).split()

    def read(self, key: str) -> bytes:
        found = self._ask("SELECT data->>'data' FROM pulumi_state WHERE key = :'key'", key)
        if not found and key not in self.keys(key):
            raise LookupError(key)
        return base64.b64decode(found)

    def write(self, key: str, content: bytes) -> None:
        data = json.dumps({"data": base64.b64encode(content).decode()})
        self._ask(
            "INSERT INTO pulumi_state (key, data) VALUES (:'key', :'data') ON CONFLICT (key) DO UPDATE "
            "SET data = excluded.data",
            key,
            data=data,
        )

    def delete(self, key: str) -> None:
        self._ask("DELETE FROM pulumi_state WHERE key = :'key'", key)

    def _ask(self, text: str, key: str, **variables: str) -> str:
        return self.server.sql(text, _DATABASE, key=key, **variables)


@contextmanager
def table() -> Generator[Table]:
    """Run a PostgreSQL server with an empty database for state."""
    with tempfile.TemporaryDirectory() as name:
        # PostgreSQL's user has to come in.
        Path(name).chmod(0o777)
        server = Server(Path(name, "postgres"))
        try:
            yield Table(server)
        finally:
            if server.runs:
                server.stop()
