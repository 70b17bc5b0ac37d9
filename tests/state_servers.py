"""State backends for tests: a folder, a table of a real PostgreSQL, a bucket of moto's S3; each new and empty."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dev.postgres import Server

KINDS = ("file", "postgres", "s3")
EVERY = "REVIEWAPP_TEST_EVERY_BACKEND"
"""A variable: with it, each test that can runs on every kind; without it, those that are marked `every_backend`."""

PASSWORD = "p@ss/word of PostgreSQL"
S3_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester", "AWS_DEFAULT_REGION": "us-east-1"}


def kinds_for(definition: pytest.Function) -> tuple[str, ...]:
    """Return the kinds of backend that a test runs on."""
    return KINDS if definition.get_closest_marker("every_backend") or os.environ.get(EVERY) else KINDS[:1]


class StateServers:
    """Servers of state backends, started when the first test needs them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._postgres: Server | None = None
        self._s3: ThreadedMotoServer | None = None

    def new(self, kind: str) -> str | None:
        """Return the URL of an empty backend; None for the one that settings have by default."""
        if kind == "file":
            return None
        if kind == "postgres":
            if self._postgres is None:
                self._postgres = Server(self._folder / "postgres")
                self._postgres.sql("ALTER USER postgres PASSWORD :'password'", password=PASSWORD)
            address = f"postgres:{quote(PASSWORD, safe='')}@{self._postgres.address}:5432/postgres"
            return f"postgres://{address}?sslmode=disable&table=state_{uuid.uuid4().hex[:8]}"
        if self._s3 is None:
            self._s3 = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
            self._s3.start()
        host, port = self._s3.get_host_and_port()
        bucket = f"state-{uuid.uuid4().hex[:8]}"
        client: Any = boto3.client("s3", region_name="us-east-1", endpoint_url=f"http://{host}:{port}")  # pyright: ignore[reportUnknownMemberType]
        client.create_bucket(Bucket=bucket)
        return f"s3://{bucket}/reviewapp?endpoint=http://{host}:{port}&s3ForcePathStyle=true&region=us-east-1"

    def absent(self, kind: str) -> str:
        """Return the URL of a backend that is not there; of a folder's kind, below a file."""
        if kind == "file":
            file = self._folder / "file"
            file.touch()
            return f"file://{file}/state"
        if kind == "postgres":
            return f"postgres://postgres:{quote(PASSWORD, safe='')}@127.0.0.1:1/postgres?sslmode=disable"
        return str(self.new(kind)).replace("s3://state-", "s3://none-")

    def restart_postgres(self, seconds: float = 0) -> None:
        """End PostgreSQL at once, and start it again after a while."""
        assert self._postgres
        self._postgres.stop()
        time.sleep(seconds)
        self._postgres.start()

    def stop(self) -> None:
        if self._postgres:
            self._postgres.stop()
        if self._s3:
            self._s3.stop()


@contextmanager
def state_servers() -> Generator[StateServers]:
    """Have servers, as far as they are asked for, until the block ends."""
    # Not below pytest's own folder: PostgreSQL runs as a user who may not look into that.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        servers = StateServers(Path(name))
        try:
            yield servers
        finally:
            servers.stop()
