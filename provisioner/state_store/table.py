"""A state backend's content in a table of PostgreSQL."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from provisioner.errors import StateUnreachable
from provisioner.state_store.bucket import key_prefix

_TABLE: Final = "pulumi_state"
# Parameters that are the CLI's library's own; ours would have the server set them. https://pkg.go.dev/github.com/lib/pq
_CLI_ALONE: Final = {
    *("connect_timeout", "binary_parameters", "disable_prepared_binary_result", "fallback_application_name"),
    *("sslinline", "sslsni", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout",),
}
_SECONDS: Final = 10


class TableStore:
    """A store in a table of PostgreSQL, which the CLI makes at its first run.

    https://github.com/pulumi/pulumi/blob/v3.274.1/pkg/backend/diy/postgres/bucket.go
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = {name: value for name, value in parse_qsl(parts.query) if name not in _CLI_ALONE}
        # As the CLI has it, without quotes: PostgreSQL takes it in lower case then.
        names = query.pop("table", _TABLE).lower().split(".")
        self._table = ".".join('"' + name.replace('"', '""') + '"' for name in names)
        # What the CLI's library has by default.
        query.setdefault("sslmode", os.environ.get("PGSSLMODE", "require"))
        self._address = urlunsplit(parts._replace(query=urlencode(query)))
        # The CLI takes the database's name for a folder, as it does with a bucket's path.
        self._prefix = key_prefix(parts.path)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Any = None

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that start with a prefix, sorted."""
        rows = self._run("SELECT key FROM {} WHERE starts_with(key, $1)", prefix)
        return sorted(row[0].removeprefix(self._prefix) for row in rows)

    def read(self, key: str) -> bytes | None:
        """Return what is stored under a key; None if there is nothing."""
        rows = self._run("SELECT data->>'data' FROM {} WHERE key = $1", key)
        return base64.b64decode(rows[0][0]) if rows else None

    def write(self, key: str, content: bytes) -> None:
        """Store something under a key, whole or not at all."""
        self._run(
            "INSERT INTO {} (key, data) VALUES ($1, json_build_object('data', $2::text)) "
            "ON CONFLICT (key) DO UPDATE SET data = excluded.data, updated_at = now()",
            key,
            base64.b64encode(content).decode(),
        )

    def delete(self, key: str) -> None:
        """Delete what is stored under a key; fine if there is nothing."""
        self._run("DELETE FROM {} WHERE key = $1", key)

    def delete_all(self, prefix: str) -> None:
        """Delete what is stored under all keys that start with a prefix."""
        self._run("DELETE FROM {} WHERE starts_with(key, $1)", prefix)

    def _run(self, query: str, key: str, *values: str) -> list[Any]:
        """Run a query whose first value is a key, or the beginning of one."""
        import asyncpg

        text = query.format(self._table)
        with self._lock:
            self._loop = self._loop or asyncio.new_event_loop()
            try:
                return self._loop.run_until_complete(self._fetch(text, self._prefix + key, *values))
            except asyncpg.UndefinedTableError as error:
                if query.startswith("INSERT"):
                    raise StateUnreachable(str(error)) from None
                return []
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
                raise StateUnreachable(f"PostgreSQL: {error or type(error).__name__}") from None

    async def _fetch(self, text: str, *values: str) -> list[Any]:
        import asyncpg

        connection = self._connection
        is_new = connection is None or connection.is_closed()
        if connection is None or is_new:
            connection = await self._connected()
        try:
            return await connection.fetch(text, *values)
        except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError, OSError):
            if is_new:
                raise
            # The server may have started anew since.
            return await (await self._connected()).fetch(text, *values)

    async def _connected(self) -> Any:
        import asyncpg

        # Without prepared statements that last: a pooler in between may give each call another session.
        options: Any = {"timeout": _SECONDS, "command_timeout": _SECONDS, "statement_cache_size": 0}
        self._connection = cast("Any", await asyncpg.connect(self._address, **options))  # pyright: ignore[reportUnknownMemberType]
        return self._connection
