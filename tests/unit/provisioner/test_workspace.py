"""`reviewapp unlock`, as a process of its own: it takes over signals. The CLI itself is for integration tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.engine import PROVIDER_VERSION

_SETTINGS = {
    "REVIEWAPP_APP_DOMAIN": "review.example.com",
    "REVIEWAPP_REGISTRY": "registry.example.com",
    "REVIEWAPP_PASSPHRASE": "a passphrase of a test",
}


def start(*command: str, **settings: str) -> subprocess.Popen[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("REVIEWAPP_", "PULUMI_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "watcher", "unlock", *command],
        env=bare | _SETTINGS | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*command: str, **settings: str) -> tuple[int, str, str]:
    process = start(*command, **settings)
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def test_the_command_finds_the_state_and_the_key_service() -> None:
    script = 'echo $PULUMI_BACKEND_URL; echo $VAULT_ADDR; test -n "$VAULT_TOKEN"'
    code, out, _ = run("sh", "-c", script, REVIEWAPP_DATA_FOLDER="/data")
    state, keys = out.split()
    assert (code, state) == (0, "file:///data/state")
    assert keys.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("provider", "passphrase"), [("passphrase", "a passphrase of a test"), ("awskms://alias/reviewapp", "")]
)
def test_other_providers_need_no_service(provider: str, passphrase: str) -> None:
    settings = {"REVIEWAPP_SECRETS_PROVIDER": provider, "REVIEWAPP_BACKEND_URL": "s3://bucket"}
    script = 'echo "$PULUMI_BACKEND_URL,$VAULT_ADDR,$PULUMI_CONFIG_PASSPHRASE"'
    assert run("sh", "-c", script, **settings)[:2] == (0, f"s3://bucket,,{passphrase}\n")


@pytest.mark.parametrize(("user", "seen"), [("somebody", "somebody"), (None, "reviewapp")])
def test_a_user_without_a_name_has_one_for_the_cli(
    monkeypatch: pytest.MonkeyPatch, user: str | None, seen: str
) -> None:
    if user:
        monkeypatch.setenv("USER", user)
    else:
        monkeypatch.delenv("USER", raising=False)
    assert run("sh", "-c", "echo $USER")[:2] == (0, f"{seen}\n")


def test_without_a_command_it_is_a_shell(tmp_path: Path) -> None:
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\necho a shell; exit 3\n")
    shell.chmod(0o755)
    assert run(SHELL=str(shell))[:2] == (3, "a shell\n")


def test_options_after_the_command_are_the_commands() -> None:
    assert run("echo", "--help", "-f", "--", "x")[:2] == (0, "--help -f -- x\n")


def test_a_command_that_is_none() -> None:
    code, out, error = run("no-such-command")
    assert (code, out) == (1, "")
    assert error == "error: no-such-command can't be run (No such file or directory): correct its name\n"


def test_a_signal_that_ends_the_command_is_told() -> None:
    assert run("sh", "-c", "kill -9 $$")[0] == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_the_commands_to_answer(number: signal.Signals) -> None:
    # A Ctrl-C comes to both; SIGTERM to the first alone.
    script = f"trap 'echo asked; exit 5' {number.name[3:]}; echo ready; while :; do sleep 0.1; done"
    process = start("sh", "-c", script)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    if number is signal.SIGINT:
        child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        os.kill(int(child), number)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (5, "asked\n")


def test_the_clis_own_python_host_can_ask_what_is_installed() -> None:
    # As it does before it starts a program: sdk/python/toolchain/pip.go of Pulumi.
    command = [sys.executable, "-m", "pip", "list", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    installed = {package["name"].replace("-", "_"): package["version"] for package in json.loads(done.stdout)}
    assert installed["pulumi_kubernetes"] == PROVIDER_VERSION
