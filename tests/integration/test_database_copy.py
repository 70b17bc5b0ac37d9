"""The script of copies against real PostgreSQL servers of this machine: values that bite, tools that fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from dev.postgres import PROGRAMS, Server
from stacks.database_copy import SCRIPT

pytestmark = pytest.mark.postgres

USER = 'o\'hara "$(touch {folder}/ran)" `touch {folder}/ran`\n; touch {folder}/ran'
NAME = 'shop\'s "data" $(touch {folder}/ran) = postgresql://x\nsecond line'
PASSWORD = "p@ss:w/rd%41'\"$(touch {folder}/ran)`touch {folder}/ran`\n second \\line% "


@pytest.fixture(scope="module")
def place() -> Generator[Path]:
    # Not pytest's: users other than root can't come into those.
    folder = Path(tempfile.mkdtemp(prefix="copy-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def source(place: Path) -> Generator[Server]:
    server = Server(place / "source")
    server.sql('CREATE ROLE :"user" LOGIN SUPERUSER PASSWORD :\'password\'; CREATE DATABASE :"name";', **odd(place))
    server.sql(
        """
        CREATE TABLE orders (id bigint PRIMARY KEY, email text);
        INSERT INTO orders SELECT i, i || '@example.com' FROM generate_series(1, 1000) i;
        CREATE TABLE orders_old (id bigint);
        CREATE TABLE spatial_ref_sys (srid integer);
        CREATE SCHEMA other;
        CREATE TABLE other.hidden (id bigint);
        """,
        odd(place)["name"],
    )
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(place: Path) -> Generator[Server]:
    server = Server(place / "target")
    server.sql("CREATE ROLE app LOGIN PASSWORD 'secret'")
    yield server
    server.stop()


@pytest.fixture
def target(server: Server) -> Server:
    server.sql("DROP DATABASE IF EXISTS app")
    server.sql("CREATE DATABASE app OWNER app")
    return server


def odd(place: Path) -> dict[str, str]:
    values = {"user": USER, "name": NAME, "password": PASSWORD}
    return {key: value.replace("{folder}", str(place)) for key, value in values.items()}


class Copy:
    """Runs steps of the script as a container would."""

    def __init__(self, folder: Path, source: Server, target: Server) -> None:
        self.folder = folder
        self.word = folder / "word"
        values = odd(source.folder.parent)
        self.source = {
            "COPY_HOST": source.address,
            "COPY_USER": values["user"],
            "COPY_DATABASE": values["name"],
            "COPY_PASSWORD": values["password"],
            "COPY_SCHEMA": "public",
        }
        self.target = {
            "TARGET_HOST": target.address,
            "TARGET_USER": "app",
            "TARGET_PASSWORD": "secret",
            "TARGET_DATABASE": "app",
            "COPY_SCHEMA": "public",
        }

    def step(self, step: str, environment: dict[str, str]) -> tuple[int, str]:
        """Run a step; return its exit code and last word."""
        own = {
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "COPY_FOLDER": str(self.folder),
            "COPY_LAST_WORD": str(self.word),
        }
        self.word.unlink(missing_ok=True)
        done = subprocess.run(["sh", "-c", SCRIPT, "copy", step], env=own | environment, timeout=60, check=False)
        return done.returncode, self.word.read_text()


@pytest.fixture
def copy(tmp_path: Path, source: Server, target: Server) -> Copy:
    return Copy(tmp_path, source, target)


def tables(server: Server) -> str:
    return server.sql(
        "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY tablename) FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
        "app",
    )


class TestWhole:
    def test_values_arrive_as_they_are_and_run_nothing(self, copy: Copy, target: Server, place: Path) -> None:
        assert copy.step("dump", copy.source)[0] == 0
        assert copy.step("restore", copy.target) == (0, "restored\n")
        assert target.sql("SELECT count(*), sum(id) FROM orders", "app") == "1000|500500"
        assert not (place / "ran").exists()

    def test_what_was_dumped_is_said(self, copy: Copy) -> None:
        code, said = copy.step("dump", copy.source)
        assert (code, said.startswith("dumped 2 tables, ")) == (0, True)

    def test_it_takes_the_schema_and_leaves_out_what_it_should(self, copy: Copy, target: Server) -> None:
        assert copy.step("dump", copy.source)[0] == 0
        assert copy.step("restore", copy.target)[0] == 0
        assert tables(target) == "public.orders public.orders_old"

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ({"COPY_TABLES": "orders"}, "public.orders"),
            ({"COPY_TABLES": "orders*\nother.hidden"}, "other.hidden public.orders public.orders_old"),
            ({"COPY_EXCLUDED_TABLES": "orders_*"}, "public.orders"),
            ({"COPY_SCHEMA": "other"}, "other.hidden"),
        ],
    )
    def test_tables(self, copy: Copy, target: Server, asked: dict[str, str], expected: str) -> None:
        assert copy.step("dump", copy.source | asked)[0] == 0
        target.sql("CREATE SCHEMA IF NOT EXISTS other AUTHORIZATION app", "app")
        assert copy.step("restore", copy.target | asked)[0] == 0
        assert tables(target) == expected

    def test_a_try_that_was_cut_off_is_no_obstacle(self, copy: Copy, target: Server) -> None:
        for _ in range(2):
            assert copy.step("dump", copy.source)[0] == 0
            assert copy.step("restore", copy.target)[0] == 0
        assert target.sql("SELECT count(*) FROM orders", "app") == "1000"

    def test_anonymised(self, copy: Copy, target: Server) -> None:
        copy.step("dump", copy.source)
        copy.step("restore", copy.target)
        asked = {"COPY_ANONYMISE": "\\! touch {}\nUPDATE orders SET email = 'nobody'".format(copy.folder / "ran")}
        code, said = copy.step("anonymise", copy.target | asked)
        assert (code, (copy.folder / "ran").exists()) == (1, False)
        assert "the SQL of copyFrom.anonymise failed" in said
        asked = {"COPY_ANONYMISE": "UPDATE orders SET email = 'nobody'; DELETE FROM orders WHERE id > 10"}
        assert copy.step("anonymise", copy.target | asked)[0] == 0
        assert target.sql("SELECT count(*), max(email) FROM orders", "app") == "10|nobody"


def url(copy: Copy, password: str) -> str:
    user, name = (
        "".join(f"%{byte:02X}" for byte in copy.source[key].encode()) for key in ("COPY_USER", "COPY_DATABASE")
    )
    return f"postgresql://{user}:{password}@{copy.source['COPY_HOST']}:5432/{name}?sslmode=prefer&pool=5"


class TestAddresses:
    def test_encoded(self, copy: Copy) -> None:
        password = "".join(f"%{byte:02x}" for byte in copy.source["COPY_PASSWORD"].encode())
        code, said = copy.step("dump", {"COPY_URL": url(copy, password), "COPY_SCHEMA": "public"})
        assert (code, said.startswith("dumped 2 tables")) == (0, True), said

    @pytest.mark.parametrize("password", ["p@ss:w/rd", "100%", "a%zz@b", "@:/?#%"])
    def test_passwords_as_they_are(self, copy: Copy, source: Server, password: str) -> None:
        source.sql("DROP ROLE IF EXISTS plain")
        source.sql("CREATE ROLE plain LOGIN SUPERUSER PASSWORD :'password'", password=password)
        address = f"postgres://plain:{password}@{source.address}/postgres"
        code, said = copy.step("dump", {"COPY_URL": address, "COPY_SCHEMA": "public"})
        assert (code, said.startswith("dumped 0 tables")) == (0, True), said

    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("mysql://a:hidden@b/c", "must begin with postgresql:// or postgres://"),
            ("postgresql://a:hidden@b:x/c", "its port is no number"),
            ("postgresql://a:hidden@/c", "names no host"),
            ("postgresql://a:hidden%00@b/c", "holds a null byte"),
        ],
    )
    def test_what_does_not_parse_is_not_tried_again(self, copy: Copy, address: str, said: str) -> None:
        code, word = copy.step("dump", {"COPY_URL": address, "COPY_SCHEMA": "public"})
        assert code == 2
        assert said in word
        assert "hidden" not in word

    @pytest.mark.parametrize(
        ("host", "allowed", "code"),
        [
            ("{address}", "*.db.example.com 127.*.*", 0),
            ("{address}", "*.db.example.com", 2),
            ("{address},evil.example.com", "127.*", 2),
            ("/tmp", "127.*", 2),
        ],
    )
    def test_only_hosts_that_are_allowed(self, copy: Copy, host: str, allowed: str, code: int) -> None:
        host = host.replace("{address}", copy.source["COPY_HOST"])
        found, word = copy.step("dump", copy.source | {"COPY_HOST": host, "COPY_ALLOWED_HOSTS": allowed})
        assert found == code, word


class TestFailures:
    def test_a_source_that_is_not_there(self, copy: Copy) -> None:
        code, word = copy.step("dump", copy.source | {"COPY_PORT": "1"})
        assert code == 1
        assert "pg_dump failed" in word
        assert "Connection refused" in word

    def test_a_wrong_password_is_said_and_not_shown(self, copy: Copy) -> None:
        code, word = copy.step("dump", copy.source | {"COPY_PASSWORD": "hidden from all"})
        assert (code, "password authentication failed" in word, "hidden" in word) == (1, True, False)

    def test_credentials_in_what_a_tool_says_are_masked(self, copy: Copy) -> None:
        copy.step("dump", copy.source)
        copy.step("restore", copy.target)
        asked = {"COPY_ANONYMISE": "SELECT 'secret'::integer"}
        code, word = copy.step("anonymise", copy.target | asked)
        assert (code, "secret" in word, "***" in word) == (1, False, True)

    def test_a_table_that_is_not_there(self, copy: Copy) -> None:
        code, word = copy.step("dump", copy.source | {"COPY_TABLES": "nothing"})
        assert (code, "no matching tables" in word) == (1, True)

    def test_an_extension_that_is_not_there(self, copy: Copy) -> None:
        copy.step("dump", copy.source)
        code, word = copy.step("restore", copy.target | {"COPY_EXTENSIONS": "nowhere"})
        assert (code, 'extension "nowhere" is not available' in word) == (1, True)
