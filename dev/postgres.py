"""PostgreSQL servers of this machine, of Debian's programs, for what is tested and measured without a cluster.

Each has an address of its own on loopback, and the port that every PostgreSQL has.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path
from typing import Final

PROGRAMS: Final = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"))
"""Where Debian has the server's and its tools' programs."""

# PostgreSQL does not run as root.
_USER = "nobody"
_SECONDS = 600


class Failed(Exception):
    """A program ended with an error; the text is what it said."""


class Server:
    """A server with one superuser, `postgres`, that needs no password on its socket; `start` it after it is made.

    Args:
        folder: is made; has the data, the socket and the log.
        data: the data folder; `data` in the folder if left out.
        log: the folder of the write-ahead log; in the data folder if left out.
    """

    def __init__(self, folder: Path, data: Path | None = None, log: Path | None = None) -> None:
        self.folder = folder
        self.address = "127." + ".".join(str(1 + byte % 250) for byte in secrets.token_bytes(3))
        folder.mkdir()
        folder.chmod(0o777)
        self.data = data or folder / "data"
        run(
            *("initdb", f"--pgdata={self.data}", "--username=postgres", "--auth-local=trust", "--no-sync"),
            *("--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            *([f"--waldir={log}"] if log else []),
        )
        self.start()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return (self.data / "postmaster.pid").exists()

    def start(self, *options: str) -> None:
        """Start it, with further options of `postgres`, as in `max_wal_size=1GB`."""
        given = (f"listen_addresses={self.address}", f"unix_socket_directories={self.folder}", "fsync=off", *options)
        text = " ".join(f"-c {option}" for option in given)
        run("pg_ctl", f"--pgdata={self.data}", "--wait", "--silent", f"--log={self.folder}/log", f"--options={text}",
            "start")  # fmt: skip

    def stop(self) -> None:
        """End it at once."""
        run("pg_ctl", f"--pgdata={self.data}", "--mode=immediate", "--silent", "stop")

    def sql(self, text: str, database: str = "postgres", **variables: str) -> str:
        """Run SQL as its superuser, with variables of psql; return what it prints.

        Raises:
            Failed: with what psql said.
        """
        settings = [f"--set={name}={value}" for name, value in variables.items()]
        environment = {"PGDATABASE": database, "PGHOST": str(self.folder), "PGUSER": "postgres"}
        options = ("--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1")
        return run("psql", *options, *settings, given=text, **environment)


def run(program: str, *arguments: str, given: str = "", **environment: str) -> str:
    """Run a program of PostgreSQL's, as a user other than root; return what it prints.

    Raises:
        Failed: with what it said.
    """
    command = [str(PROGRAMS / program), *arguments]
    if os.geteuid() == 0:
        command = ["runuser", "-u", _USER, "--", *command]
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        cwd="/",
        env=os.environ | environment,
    )
    if done.returncode:
        raise Failed(done.stderr)
    return done.stdout.strip()
