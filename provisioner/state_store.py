"""What a state backend has stored, by key: read, written, listed and deleted without a run of the CLI.

A folder, an S3 bucket and a PostgreSQL table, found by the same URLs as the CLI finds them. Knows no stacks: what a key
means is `stack_files`'. Where the CLI's own locks forbid it, its caller must not write.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from provisioner.errors import StateUnreachable

_TABLE: Final = "pulumi_state"
# Parameters that are the CLI's library's own; ours would have the server set them. https://pkg.go.dev/github.com/lib/pq
_CLI_ALONE: Final = {
    *("connect_timeout", "binary_parameters", "disable_prepared_binary_result", "fallback_application_name"),
    *("sslinline", "sslsni", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout",),
}
_SECONDS: Final = 10
# The CLI's library writes one beside each file, with its checksum, and does without.
_ATTRIBUTES: Final = ".attrs"
_TRUE: Final = {"true", "1", "t"}


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
            return _S3Store(url)
        case "postgres":
            return _PostgresStore(url)
        case _:
            return None


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


class _S3Store:
    """A store in an S3 bucket, with the parameters of Pulumi's URL: https://gocloud.dev/howto/blob/#s3-compatible."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._bucket = parts.netloc
        self._prefix = _folder(parts.path)
        self._query = dict(parse_qsl(parts.query))
        self._lock = threading.Lock()
        self._client: Any = None

    def keys(self, prefix: str) -> list[str]:
        with self._said():
            pages = self._client.get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            return sorted(item["Key"].removeprefix(self._prefix) for page in found for item in page.get("Contents", []))

    def read(self, key: str) -> bytes | None:
        with self._said():
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def write(self, key: str, content: bytes) -> None:
        kind, key_id = self._query.get("ssetype"), self._query.get("kmskeyid")
        options = {"ServerSideEncryption": kind} if kind else {}
        options |= {"SSEKMSKeyId": key_id} if key_id else {}
        with self._said():
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content, **options)

    def delete(self, key: str) -> None:
        with self._said():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def delete_all(self, prefix: str) -> None:
        for key in self.keys(prefix):
            self.delete(key)

    @contextmanager
    def _said(self) -> Generator[None]:
        """Make the client, and say its errors as the backend's."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with self._lock:
                self._client = self._client or self._made()
            yield
        except (BotoCoreError, ClientError) as error:
            raise StateUnreachable(f"s3://{self._bucket}: {error}") from None

    def _made(self) -> Any:
        # Late: it takes a tenth of a second and 20 MB, which an installation without S3 saves.
        import boto3
        from botocore.config import Config

        query = self._query
        endpoint = query.get("endpoint")
        if endpoint and "://" not in endpoint:
            is_plain = _is_true(query, "disableSSL") or _is_true(query, "disable_https")
            endpoint = f"{'http' if is_plain else 'https'}://{endpoint}"
        by_path = _is_true(query, "s3ForcePathStyle") or _is_true(query, "use_path_style")
        style: Literal["path", "auto"] = "path" if by_path else "auto"
        config = Config(
            s3={"addressing_style": style},
            connect_timeout=_SECONDS,
            read_timeout=_SECONDS,
            retries={"mode": "standard"},
            # Storage that speaks S3 and is not AWS's may not know the checksums that boto3 adds.
            request_checksum_calculation="when_required",
        )
        session = boto3.Session(profile_name=query.get("profile"), region_name=query.get("region"))
        return session.client("s3", endpoint_url=endpoint, config=config)  # pyright: ignore[reportUnknownMemberType]


def _folder(path: str) -> str:
    return f"{path.strip('/')}/" if path.strip("/") else ""


def _is_true(query: dict[str, str], name: str) -> bool:
    return query.get(name, "").lower() in _TRUE


class _PostgresStore:
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
        self._prefix = _folder(parts.path)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Any = None

    def keys(self, prefix: str) -> list[str]:
        rows = self._run("SELECT key FROM {} WHERE starts_with(key, $1)", prefix)
        return sorted(row[0].removeprefix(self._prefix) for row in rows)

    def read(self, key: str) -> bytes | None:
        rows = self._run("SELECT data->>'data' FROM {} WHERE key = $1", key)
        return base64.b64decode(rows[0][0]) if rows else None

    def write(self, key: str, content: bytes) -> None:
        self._run(
            "INSERT INTO {} (key, data) VALUES ($1, json_build_object('data', $2::text)) "
            "ON CONFLICT (key) DO UPDATE SET data = excluded.data, updated_at = now()",
            key,
            base64.b64encode(content).decode(),
        )

    def delete(self, key: str) -> None:
        self._run("DELETE FROM {} WHERE key = $1", key)

    def delete_all(self, prefix: str) -> None:
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
