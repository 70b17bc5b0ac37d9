"""A new passphrase: every stack's secrets are encrypted by it, also where the command was killed half-way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from provisioner.backend import Backend, DataFolderInUse, in_use
from provisioner.engine import Engine
from provisioner.errors import SecretsUnreadable
from provisioner.inventory import stack_names
from provisioner.reencryption import NoPassphrase, reencrypt
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.workspace import environment
from stacks.inputs import StackInputs
from tests.integration.conftest import SECRET_VALUE, MakeInputs, never
from tests.integration.test_workspace import Folder

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

OLD, NEW = "the passphrase that was", "the passphrase that is to be"


@pytest.fixture
def old(settings: Settings) -> Settings:
    return with_passphrase(settings, OLD)


def made(old: Settings, engine: Engine, *every: StackInputs) -> list[str]:
    """Return the names of stacks that a watcher with the old passphrase has made."""
    backend = Backend(old, engine)
    for inputs in every:
        Stacks(backend).up(inputs, 0)
    backend.close()
    return [inputs.stack for inputs in every]


def goes_on(settings: Settings, engine: Engine, *every: StackInputs) -> bool:
    """Whether a watcher with these settings finds each stack as it was; it destroys them."""
    backend = Backend(settings, engine)
    found = [Stacks(backend).up(inputs, 0).changed for inputs in every]
    for inputs in every:
        Stacks(backend).destroy(inputs.stack, 0, never)
    backend.close()
    return not any(found)


def with_passphrase(settings: Settings, passphrase: str) -> Settings:
    return settings.model_copy(update={"passphrase": SecretStr(passphrase)})


def test_it_can_be_killed_and_run_again(
    old: Settings, engine: Engine, make_inputs: MakeInputs, namespace: str, tmp_path: Path
) -> None:
    every = [make_inputs(number, build=False) for number in ("7", "8")]
    stacks = made(old, engine, *every)
    new = with_passphrase(old, NEW)
    variables = {
        "REVIEWAPP_APP_DOMAIN": "example.com",
        "REVIEWAPP_REGISTRY": "registry",
        # Where no watcher of another test leads.
        "REVIEWAPP_NAMESPACE": namespace,
        "REVIEWAPP_DATA_FOLDER": str(old.data_folder),
        "REVIEWAPP_BACKEND_URL": old.backend_url or "",
        "REVIEWAPP_SECRETS_PROVIDER": old.secrets_provider,
        "REVIEWAPP_PASSPHRASE": NEW,
        "REVIEWAPP_OLD_PASSPHRASE": OLD,
    }
    command = [sys.executable, "-m", "watcher", "state", "reencrypt"]
    first = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True)
    assert first.stdout
    assert "1/2 acme.shop.7: re-encrypted" in first.stdout.readline()
    # It is at the second by now, whose engine outlives it.
    first.send_signal(signal.SIGKILL)
    first.wait(30)

    file = tmp_path / "old"
    file.write_text(f"{OLD}\n")
    del variables["REVIEWAPP_OLD_PASSPHRASE"]
    again = subprocess.run(
        [*command, "--old-passphrase-file", str(file)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "1/2 acme.shop.7: was so already" in again.stdout
    assert "2 stacks are encrypted by the new passphrase, and were read back with it" in again.stdout
    assert not any(secret in again.stdout + again.stderr for secret in (OLD, NEW, SECRET_VALUE))

    # The old passphrase opens none, and a watcher with the new one goes on with each.
    assert stack_names(new, engine) == stacks
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: reviewapp\nruntime: python\n")
    with environment(old) as shut:
        shown = Folder(folder, shut).run("stack", "export", "--show-secrets", "--stack", stacks[0])
        assert SECRET_VALUE not in shown.stdout
    assert goes_on(new, engine, *every)


def test_with_the_wrong_old_passphrase_nothing_changes(old: Settings, engine: Engine, make_inputs: MakeInputs) -> None:
    inputs = make_inputs(build=False)
    (stack,) = made(old, engine, inputs)
    wrong = SecretStr("a passphrase that never was")
    found = dict(reencrypt([stack], with_passphrase(old, NEW), wrong, engine))
    assert isinstance(found[stack], SecretsUnreadable)
    assert goes_on(old, engine, inputs)


def test_pulumis_own_passphrase_can_change_too(old: Settings, engine: Engine, make_inputs: MakeInputs) -> None:
    old = old.model_copy(update={"secrets_provider": "passphrase"})
    new, inputs = with_passphrase(old, NEW), make_inputs(build=False)
    (stack,) = made(old, engine, inputs)
    assert dict(reencrypt([stack], new, SecretStr(OLD), engine)) == {stack: "re-encrypted"}
    assert dict(reencrypt([stack], new, SecretStr(OLD), engine)) == {stack: "was so already"}
    assert goes_on(new, engine, inputs)


def test_what_a_key_service_keeps_is_not_ours_to_change(old: Settings, engine: Engine) -> None:
    elsewhere = old.model_copy(update={"secrets_provider": "awskms://alias/reviewapp"})
    with pytest.raises(NoPassphrase, match="awskms, which keeps the key itself"):
        next(reencrypt([], elsewhere, SecretStr(OLD), engine))


def test_no_watcher_works_on_the_same_folder_meanwhile(tmp_path: Path) -> None:
    with in_use(tmp_path, alone=True), pytest.raises(DataFolderInUse, match="state reencrypt"), in_use(tmp_path):
        pass
    with in_use(tmp_path), in_use(tmp_path):
        alone = in_use(tmp_path, alone=True)
        with pytest.raises(DataFolderInUse, match="a watcher works with"), alone:
            pass
