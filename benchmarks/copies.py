"""`python -m benchmarks.copies`: the copy of a database as stacks make it, against pg_dump and pg_restore by hand.

Two servers of this machine; no cluster. Ours is the script of the copy's Job, run step by step with the environment
that its containers have. By hand is what PostgreSQL's documentation gives for parallel jobs, with as many of them:
https://www.postgresql.org/docs/current/app-pgdump.html, https://www.postgresql.org/docs/current/app-pgrestore.html.
Both go through a folder on one disk. Sides take turns at being first, so that whatever the machine does hits both.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dev.console import Step, console, fail
from dev.postgres import PROGRAMS, Failed, Server
from stacks.database_copy import DUMP, RESTORE, SCRIPT

_PASSWORD = "only-for-the-benchmark"
_JOBS = re.search(r"COPY_JOBS:-(\d+)", SCRIPT)
_STEP_SECONDS = 1800
# About 140 bytes a row, with its share of both indexes; half of the text is like that of other rows, as in real data.
_BYTES_OF_A_ROW = 208
_TABLES = ("orders", "items", "events", "visits", "mails", "logs")


class Copies:
    """Rounds of both sides between two servers, of a database of some size."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._folder = folder
        self._megabytes = megabytes
        self._source = Server(folder / "source")
        self._target = Server(folder / "target")
        self.jobs = _JOBS.group(1) if _JOBS else fail("the script names no number of jobs", "see its COPY_JOBS")
        self._environment = os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"}

    def run(self, rounds: int) -> Table:
        """Measure; return the figures as a table."""
        with Step(f"make a database of about {self._megabytes} MB") as step:
            size = self._fill(step)
        ours: list[float] = []
        by_hand: list[float] = []
        with Step(f"copy its {size} by our script and by hand, {self.jobs} jobs each, {rounds} rounds") as step:
            for number in range(rounds):
                step.progress(f"round {number + 1}")
                sides = [(ours, self._ours), (by_hand, self._by_hand)]
                for seconds, copy in sides if number % 2 else reversed(sides):
                    seconds.append(self._measured(copy))
        table = Table(f"copy of {size}", "median", "lowest", "highest", "against by hand")
        for label, seconds in (("pg_dump -j, pg_restore -j by hand", by_hand), ("the script of our Job", ours)):
            figures = (statistics.median(seconds), min(seconds), max(seconds))
            # Of pairs, since rounds differ by more than sides do.
            ratio = statistics.median(one / other for one, other in zip(seconds, by_hand, strict=True))
            table.add_row(label, *(f"{figure:.1f} s" for figure in figures), f"{ratio:.2f}")
        return table

    def stop(self) -> None:
        """End both servers."""
        for server in (self._source, self._target):
            server.stop()

    def _fill(self, step: Step) -> str:
        self._source.sql("CREATE ROLE reader LOGIN SUPERUSER PASSWORD :'password'", password=_PASSWORD)
        self._target.sql("CREATE ROLE app LOGIN SUPERUSER PASSWORD :'password'", password=_PASSWORD)
        self._source.sql("CREATE DATABASE shop")
        rows = self._megabytes * 1_000_000 // _BYTES_OF_A_ROW // len(_TABLES)
        for table in _TABLES:
            step.progress(table)
            self._source.sql(
                f"""
                CREATE TABLE {table} (id bigint PRIMARY KEY, at timestamptz, email text, note text);
                INSERT INTO {table} SELECT i, now() - i * interval '1 second', md5(i::text) || '@example.com',
                    'a customer wrote that ' || md5((i * 7)::text) FROM generate_series(1, :rows) i;
                CREATE INDEX ON {table} (email);
                """,
                "shop",
                rows=str(rows),
            )
        self._source.sql("VACUUM ANALYZE; CHECKPOINT", "shop")
        return self._source.sql("SELECT pg_size_pretty(pg_database_size('shop'))", "shop")

    def _measured(self, copy: Callable[[Path], None]) -> float:
        self._target.sql("DROP DATABASE IF EXISTS app")
        self._target.sql("CREATE DATABASE app OWNER app")
        self._target.sql("CHECKPOINT")
        place = self._folder / "copy"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        began = time.perf_counter()
        copy(place)
        seconds = time.perf_counter() - began
        counts = " + ".join(f"(SELECT count(*) FROM {table})" for table in _TABLES)
        if self._source.sql(f"SELECT {counts}", "shop") != self._target.sql(f"SELECT {counts}", "app"):
            fail("a copy lacks rows", "this is a bug of the script or of the benchmark")
        return seconds

    def _ours(self, place: Path) -> None:
        own = {"COPY_FOLDER": str(place), "COPY_LAST_WORD": str(place / "word"), "COPY_SCHEMA": "public"}
        source = {"COPY_HOST": self._source.address, "COPY_USER": "reader", "COPY_DATABASE": "shop"}
        target = {"TARGET_HOST": self._target.address, "TARGET_USER": "app", "TARGET_DATABASE": "app"}
        self._run("sh", "-c", SCRIPT, "copy", DUMP, **own, **source, COPY_PASSWORD=_PASSWORD)
        self._run("sh", "-c", SCRIPT, "copy", RESTORE, **own, **target, TARGET_PASSWORD=_PASSWORD)

    def _by_hand(self, place: Path) -> None:
        dump = str(place / "dump")
        source = ("--host", self._source.address, "--username=reader")
        target = ("--host", self._target.address, "--username=app")
        how = ("--format=directory", f"--jobs={self.jobs}")
        self._run("pg_dump", *source, *how, f"--file={dump}", "shop", PGPASSWORD=_PASSWORD)
        self._run("pg_restore", *target, *how, "--dbname=app", dump, PGPASSWORD=_PASSWORD)

    def _run(self, *command: str, **environment: str) -> None:
        done = subprocess.run(
            command,
            env=self._environment | environment,
            capture_output=True,
            text=True,
            timeout=_STEP_SECONDS,
            check=False,
        )
        if done.returncode:
            fail(f"{command[0]} failed: {done.stdout}{done.stderr}", "see what it says")


def main(
    megabytes: Annotated[int, typer.Option(min=1, help="Size of the database.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each side copies it.")] = 5,
) -> None:
    """Measure the copy of a database against pg_dump and pg_restore by hand; needs PostgreSQL of Debian, no cluster."""
    if not (PROGRAMS / "initdb").exists():
        fail("there is no PostgreSQL server of Debian's", "apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="reviewapp-copies-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        try:
            copies = Copies(folder, megabytes)
            try:
                console.print(copies.run(rounds))
            finally:
                copies.stop()
        except Failed as error:
            fail(str(error), "see whether the disk has room for four times the size")


if __name__ == "__main__":
    typer.run(main)
