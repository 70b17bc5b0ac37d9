"""A disk that is full during a copy: a real server whose volume is a small file system, and the copy's own script."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.postgres import PROGRAMS, Server
from stacks.database_copy import DUMP, RESTORE, SCRIPT
from watcher.databases import remedy

pytestmark = pytest.mark.postgres

_SIZE = "160m"
_ROWS = 400_000


@pytest.fixture(scope="module")
def source_place() -> Generator[Path]:
    yield from _folder()


@pytest.fixture
def place() -> Generator[Path]:
    yield from _folder()


def _folder() -> Generator[Path]:
    # Not pytest's: users other than root can't come into those.
    folder = Path(tempfile.mkdtemp(prefix="full-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def volume(place: Path) -> Generator[Path]:
    if os.geteuid():
        pytest.skip("to mount a small file system needs root")
    folder = place / "volume"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=777", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def source(source_place: Path) -> Generator[Server]:
    server = Server(source_place / "source")
    server.sql(
        f"""
        CREATE ROLE app LOGIN SUPERUSER PASSWORD 'secret';
        CREATE TABLE orders (id bigint PRIMARY KEY, note text);
        INSERT INTO orders SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, {_ROWS}) i;
        """
    )
    yield server
    server.stop()


@contextmanager
def target(place: Path, volume: Path, log: Path | None = None) -> Generator[Server]:
    """Yield a server whose data is on the volume, and its log too unless it has a place of its own."""
    server = Server(place / "target", volume / "data", log)
    server.sql("CREATE ROLE app LOGIN SUPERUSER PASSWORD 'secret'")
    server.sql("CREATE DATABASE app OWNER app")
    try:
        yield server
    finally:
        if server.runs:
            server.stop()


def step(name: str, place: Path, source: Server, target: Server) -> tuple[int, str]:
    """Run a step of the copy as its container would; return its exit code and last word."""
    word = place / "word"
    environment = {
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "COPY_FOLDER": str(place / "copy"),
        "COPY_LAST_WORD": str(word),
        "COPY_SCHEMA": "public",
    }
    if name == DUMP:
        environment |= {"COPY_HOST": source.address, "COPY_USER": "app", "COPY_DATABASE": "postgres"}
        environment["COPY_PASSWORD"] = "secret"
    else:
        environment |= {"TARGET_HOST": target.address, "TARGET_USER": "app", "TARGET_DATABASE": "app"}
        environment["TARGET_PASSWORD"] = "secret"
    done = subprocess.run(["sh", "-c", SCRIPT, "copy", name], env=environment, timeout=120, check=False)
    return done.returncode, word.read_text()


def test_where_data_has_no_room_it_is_said_and_nothing_half_copied_is_there(
    place: Path, volume: Path, source: Server
) -> None:
    subprocess.run(["mount", "-o", "remount,size=100m", volume], check=True)
    with target(place, volume, place / "log") as server:
        assert step(DUMP, place, source, server)[0] == 0
        code, said = step(RESTORE, place, source, server)
        assert (code, "No space left on device" in said) == (1, True), said
        assert "config.database.storageSize" in remedy(said)
        # The server goes on, without any of the table's rows.
        assert server.sql("SELECT count(*) FROM orders", "app") == "0"
        # Once it has more room, another try of the same copy is whole.
        subprocess.run(["mount", "-o", "remount,size=1g", volume], check=True)
        assert step(DUMP, place, source, server)[0] == 0
        assert step(RESTORE, place, source, server) == (0, "restored\n")
        assert server.sql("SELECT count(*) FROM orders", "app") == str(_ROWS)


def test_where_the_log_has_no_room_the_servers_own_last_lines_say_it(place: Path, volume: Path, source: Server) -> None:
    with target(place, volume) as server:
        assert step(DUMP, place, source, server)[0] == 0
        code, said = step(RESTORE, place, source, server)
        assert (code, "server closed the connection unexpectedly" in said) == (1, True), said
        assert "config.database.storageSize" in remedy(said)
        deadline = time.monotonic() + 30
        while server.runs:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        # As much as the kubelet keeps of a container that ended with an error; the condition repeats it.
        last_word = (server.folder / "log").read_text()[-2048:]
        assert re.search("FATAL: .*No space left on device", last_word)
