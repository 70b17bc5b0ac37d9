"""Back up, lose the state, put it back: the next update finds each stack as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from typer.testing import CliRunner

from dev.postgres import PROGRAMS
from provisioner.settings import Settings
from provisioner.stack import Stacks, UpdateResult
from provisioner.state_store import StateStore
from stacks.inputs import StackInputs
from tests.integration.conftest import SECRET_VALUE, MakeInputs, never
from watcher.cli import app
from watcher.cluster import Cluster
from watcher.journal import Entry, Journal

pytestmark = [pytest.mark.engine, pytest.mark.cluster, pytest.mark.every_backend]


@pytest.fixture
def both(
    stacks: Stacks, make_inputs: MakeInputs, cluster: Cluster, namespace: str, give: Callable[[], None]
) -> list[StackInputs]:
    """Two stacks that the engine made, with tags, as the journal has them."""
    both = [make_inputs(number, build=False) for number in ("7", "8")]
    journal = Journal(cluster, namespace)
    for inputs in both:
        stacks.up(inputs, 0)
        stacks.tag(inputs.stack, {"owner": "acme"}, 0)
        journal.write(Entry(inputs.stack.replace(".", "-"), "applied", inputs, (namespace,), "host"))
    give()
    return both


def state(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["state", *arguments])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def looked_at(stacks: Stacks, cluster: Cluster, namespace: str) -> list[UpdateResult]:
    """Do what a watcher does at its start with what was not finished."""
    journal = Journal(cluster, namespace)
    journal.load()
    assert {entry.phase for entry in journal.all()} == {"applying"}
    return [stacks.recover(entry.inputs, 0, never) for entry in journal.all()]


def test_our_own(
    stacks: Stacks, store: StateStore, both: list[StackInputs], cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    before = {key: store.read(key) for key in store.keys(".pulumi/stacks/")}
    assert "2 stacks are in " in state("backup", str(file))
    assert file.stat().st_mode & 0o077 == 0
    assert SECRET_VALUE.encode() not in file.read_bytes()

    store.delete_all(".pulumi/")
    assert "2 stacks are as they were at " in state("restore", str(file))
    assert {key: store.read(key) for key in store.keys(".pulumi/stacks/")} == before
    results = looked_at(stacks, cluster, namespace)
    assert [(result.changed, result.engine_runs, result.stack_is_new) for result in results] == [(False, 1, False)] * 2

    # What came later is caught up with, and nothing is put in its place unasked.
    changed = both[0].model_copy(update={"workload": both[0].workload.model_copy(update={"port": 5001})})
    stacks.up(changed, 0)
    refused = CliRunner().invoke(app, ["state", "restore", str(file)])
    assert "are not as in the backup (acme.shop.7, acme.shop.8): with --replace it gets the 2" in str(refused.exception)
    state("restore", str(file), "--replace")
    assert stacks.up(changed, 0).changed
    assert not stacks.up(changed, 0).changed
    for inputs in both:
        stacks.destroy(inputs.stack, 0, never)


def _folder(settings: Settings, tmp_path: Path) -> Callable[[], None]:
    folder = settings.data_folder / "state"
    archive = shutil.make_archive(str(tmp_path / "state"), "gztar", folder)

    def put_back() -> None:
        shutil.rmtree(folder)
        shutil.unpack_archive(archive, folder)

    return put_back


def _postgres(settings: Settings, tmp_path: Path) -> Callable[[], None]:
    url, _, table = settings.state_url.partition("&table=")
    file = tmp_path / "state.sql"

    def run(program: str, *arguments: str) -> None:
        subprocess.run([PROGRAMS / program, url, *arguments], check=True, capture_output=True)

    run("pg_dump", f"--table={table}", "--clean", "--if-exists", f"--file={file}")
    return lambda: run("psql", "--set=ON_ERROR_STOP=1", f"--file={file}")


def _s3(settings: Settings, tmp_path: Path) -> Callable[[], None]:
    """Have the bucket keep versions, as `reviewapp platform` makes it; take away what marks them as deleted."""
    bucket = urlsplit(settings.state_url).netloc
    endpoint = settings.state_url.partition("endpoint=")[2].partition("&")[0]
    client: Any = boto3.client("s3", endpoint_url=endpoint)  # pyright: ignore[reportUnknownMemberType]
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def put_back() -> None:
        for marker in client.list_object_versions(Bucket=bucket)["DeleteMarkers"]:
            client.delete_object(Bucket=bucket, Key=marker["Key"], VersionId=marker["VersionId"])

    return put_back


BACKUPS = {"file": _folder, "postgres": _postgres, "s3": _s3}


@pytest.mark.usefixtures("both")
def test_the_backends(
    state_kind: str,
    settings: Settings,
    stacks: Stacks,
    store: StateStore,
    cluster: Cluster,
    namespace: str,
    tmp_path: Path,
) -> None:
    put_back = BACKUPS[state_kind](settings, tmp_path)
    before = {key: store.read(key) for key in store.keys(".pulumi/")}
    store.delete_all(".pulumi/")
    put_back()
    assert {key: store.read(key) for key in store.keys(".pulumi/")} == before
    assert "it looks at each stack once" in state("restore")
    assert [result.changed for result in looked_at(stacks, cluster, namespace)] == [False, False]


@pytest.mark.parametrize("state_kind", ["file"])
def test_a_file_that_is_no_backup(tmp_path: Path, store: StateStore, give: Callable[[], None]) -> None:
    give()
    good = tmp_path / "good"
    store.write(".pulumi/stacks/reviewapp/acme.shop.7.json", os.urandom(4000))
    state("backup", str(good))
    content = bytearray(good.read_bytes())
    content[-3000] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    (tmp_path / "other").write_bytes(b"no backup")
    for name in ("damaged", "other", "missing"):
        refused = CliRunner().invoke(app, ["state", "restore", str(tmp_path / name), "--replace"])
        assert f"{tmp_path / name} is" in str(refused.exception)
    assert "can't be written" in str(CliRunner().invoke(app, ["state", "backup", "/proc/backup"]).exception)
