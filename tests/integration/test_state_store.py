"""What a backend has, without the CLI: the same on each kind, and in the CLI's own format."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from provisioner.errors import StateUnreachable
from provisioner.settings import Settings
from provisioner.state_store import StateStore, open_store
from provisioner.workspace import environment
from tests.state_servers import PASSWORD, StateServers

pytestmark = [pytest.mark.every_backend, pytest.mark.engine, pytest.mark.postgres]

STACK = "acme.shop.7"
CHECKPOINT = f".pulumi/stacks/reviewapp/{STACK}.json"


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    """A project folder; and the backend, with a stack."""
    (settings.data_folder / "state").mkdir(parents=True)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: reviewapp\nruntime: python\n")
    pulumi(folder, settings, "stack", "init", STACK, "--secrets-provider", "passphrase")
    return folder


def pulumi(folder: Path, settings: Settings, *arguments: str) -> str:
    settings = settings.model_copy(update={"secrets_provider": "passphrase"})
    with environment(settings) as variables:
        command = ["pulumi", "--non-interactive", *arguments]
        variables |= {"PULUMI_HOME": str(folder / "home")}
        done = subprocess.run(
            command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=True
        )
    return done.stdout


def test_what_the_cli_wrote_is_read_and_the_other_way_round(
    folder: Path, settings: Settings, store: StateStore
) -> None:
    found = store.read(CHECKPOINT)
    assert found
    assert f'"stack":"organization/reviewapp/{STACK}"'.encode() in found
    assert store.keys(".pulumi/stacks/") == [CHECKPOINT, f"{CHECKPOINT}.bak"]
    store.write(CHECKPOINT.replace(".7", ".8"), found.replace(b".7", b".8"))
    assert [line.split()[0] for line in pulumi(folder, settings, "stack", "ls").splitlines()[1:]] == [
        f"{STACK}*",
        "acme.shop.8",
    ]
    store.delete(CHECKPOINT)
    assert STACK not in pulumi(folder, settings, "stack", "ls")


@pytest.mark.usefixtures("folder")
def test_keys(store: StateStore) -> None:
    assert store.read("a/1") is None
    assert store.keys("a/") == []
    store.delete("a/1")
    content = bytes(range(256))
    for key in ("a/1", "a/1.b", "a/c/2", "ab/3", "a_/4"):
        store.write(key, content)
    store.write("a/1", b"")
    assert (store.read("a/1"), store.read("a/c/2")) == (b"", content)
    assert store.keys("a/") == ["a/1", "a/1.b", "a/c/2"]
    assert store.keys("a/1") == ["a/1", "a/1.b"]
    assert store.keys("a_") == ["a_/4"]
    store.delete("a/1")
    store.delete_all("a/c/")
    assert store.keys("a") == ["a/1.b", "a_/4", "ab/3"]


@pytest.mark.usefixtures("settings")
def test_a_backend_that_is_not_there(state_kind: str, state_servers: StateServers) -> None:
    store = open_store(state_servers.absent(state_kind))
    assert store
    actions: list[Callable[[], object]] = [lambda: store.keys("a"), lambda: store.read("a")]
    for action in (*actions, lambda: store.write("a", b"")):
        with pytest.raises(StateUnreachable, match="see that it is up, that backend_url holds") as error:
            action()
        assert not any(secret in str(error.value) for secret in (PASSWORD, quote(PASSWORD, safe="")))


@pytest.mark.parametrize("state_kind", ["postgres"])  # The others keep no connection.
@pytest.mark.usefixtures("folder")
def test_a_server_that_was_started_anew_is_found_again(store: StateStore, state_servers: StateServers) -> None:
    assert store.read(CHECKPOINT)
    state_servers.restart_postgres()
    assert store.read(CHECKPOINT)


@pytest.mark.parametrize("state_kind", ["postgres"])  # Where the CLI's readers wait for each other, left to itself.
def test_many_stacks_are_listed(folder: Path, settings: Settings, store: StateStore) -> None:
    content = store.read(CHECKPOINT) or b""
    for number in range(40):
        stack = f"acme.shop.1{number:02}"
        store.write(CHECKPOINT.replace(STACK, stack), content.replace(STACK.encode(), stack.encode()))
    assert len(pulumi(folder, settings, "stack", "ls").splitlines()) == 42


@pytest.mark.parametrize("url", ["gs://bucket", "azblob://container"])
def test_what_only_the_cli_can_read(url: str) -> None:
    assert open_store(url) is None
