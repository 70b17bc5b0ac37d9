"""The command line as a whole: every command has a help that says enough, and a line in docs/cli.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from watcher.cli import app

DOCUMENT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
# What docs/cli.md does not repeat options of: their own help has them all.
_LISTED = {"ls", "show", "logs", "events", "open", "rebuild", "pause", "resume", "delete", "doctor"}


def commands() -> Iterator[tuple[str, Any]]:
    group: Any = typer.main.get_command(app)
    yield from group.commands.items()


def line_of(command: str) -> str:
    found = re.search(rf"^\| `reviewapp {command}\b.*$", DOCUMENT, re.MULTILINE)
    assert found, f"docs/cli.md has no line for `reviewapp {command}`"
    return found[0]


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_each_command_is_described(name: str) -> None:
    assert line_of(name)
    done = CliRunner().invoke(app, [name, "--help"], env={"NO_COLOR": "1", "COLUMNS": "200"})
    assert done.exit_code == 0
    assert name in done.stdout


@pytest.mark.parametrize("name", sorted(_LISTED))
def test_each_option_of_a_daily_command_is_described(name: str) -> None:
    command = dict(commands())[name]
    line = line_of(name)
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            assert parameter.metavar in line
        else:
            for option in parameter.opts:
                assert f"`{option}" in line or f"{option}`" in line, f"{option} is not in: {line}"


def test_what_is_described_exists() -> None:
    named = set(re.findall(r"^\| `reviewapp ([a-z]+)", DOCUMENT, re.MULTILINE))
    assert named == {name for name, _ in commands()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["logs", "x", "--follow", "--previous"], "leave one of the two out"),
        (["ls", "-o", "name"], "'name' is not one of"),
        (["show"], "Missing argument 'APP'"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, arguments, env={"NO_COLOR": "1", "COLUMNS": "200"})
    assert done.exit_code == 2
    assert said in done.stderr
