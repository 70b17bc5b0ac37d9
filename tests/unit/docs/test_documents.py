"""What documents say is there: files and headings that they link to, commands and options that they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dev.__main__ import app as dev
from watcher.cli import app as reviewapp

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(file.relative_to(ROOT)) for file in DOCUMENTS]
_PROGRAMS: dict[str, Any] = {"reviewapp": typer.main.get_command(reviewapp), "dev": typer.main.get_command(dev)}
# At the begin of a command, or behind another program that runs it.
_OURS = re.compile(
    r"(?:\$ )?(?:kubectl |kubectl .* -- )?(?:\.venv/bin/)?(reviewapp|python -m dev|dev/bootstrap\.sh|make)(?= |$)(.*)"
)
_NAMED = {"python -m dev": "dev", "dev/bootstrap.sh": "dev"}
_TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def tokens(name: str) -> list[Token]:
    found: list[Token] = []
    for token in MarkdownIt().enable("table").parse((ROOT / name).read_text()):
        found += [token, *(token.children or ())]
    return found


def links(name: str) -> Iterator[str]:
    for token in tokens(name):
        target = token.attrs.get("href") or token.attrs.get("src")
        if isinstance(target, str) and not re.match(r"[a-z]+:", target):
            yield target


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(name: str) -> Iterator[str]:
    """Yield each line of a document's code that runs a program of ours, from that program's name on."""
    for token in tokens(name):
        if token.type in {"code_inline", "code_block"} or (token.type == "fence" and token.info in {"", "sh"}):
            for line in token.content.replace("\\\n", " ").splitlines():
                for part in re.split(r" \| | && |; | > ", re.sub(r" # .*| {2,}#.*", "", line)):
                    if found := _OURS.fullmatch(part.strip()):
                        yield _NAMED.get(found[1], found[1]) + found[2]


def wrong(command: str) -> str | None:
    """Return what of a command there is not."""
    words = shlex.split(command.replace("'", "").replace('"', ""), comments=True)
    program, *rest = words
    if program == "make":
        missing = [word for word in rest if re.fullmatch("[a-z]+", word) and word not in _TARGETS]
        return f"make has no {missing[0]}" if missing else None
    found = _PROGRAMS[program]
    while rest and hasattr(found, "commands"):
        verb = rest[0].rstrip(",")
        if verb.startswith("-"):
            break
        if verb not in found.commands:
            return None if re.fullmatch("[A-Z]+|…", verb) else f"{program} has no command {verb}"
        found, rest = found.commands[verb], rest[1:]
        if found.context_settings.get("ignore_unknown_options"):
            # What follows is another program's.
            return None
    options = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    options |= {"--help", "-h", "--install-completion", "--show-completion"}
    for word in rest:
        if word == "--":
            break
        option = word.partition("=")[0].rstrip(",")
        if option.startswith("-") and option != "-" and option not in options:
            return f"`{program} {found.name}` has no option {option}"
    return None


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    for target in links(name):
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(path.read_text()), f"{name}: {target} is no heading there"


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_options_exist(name: str) -> None:
    found = {command: what for command in commands(name) if (what := wrong(command))}
    assert found == {}


def test_commands_are_found() -> None:
    assert "reviewapp adopt --all --dry-run" in set(commands("docs/migration.md"))
    assert "make demo" in {command.strip() for command in commands("README.md")}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("reviewapp adopt --al", "`reviewapp adopt` has no option --al"),
        ("reviewapp adapt", "reviewapp has no command adapt"),
        ("reviewapp state reencript", "reviewapp has no command reencript"),
        ("make sit", "make has no sit"),
        ("dev up --wiped", "`dev up` has no option --wiped"),
        ("reviewapp ls -o wide", None),
        ("dev run -- kubectl get pods -A", None),
    ],
)
def test_what_there_is_not_is_said(command: str, said: str | None) -> None:
    assert wrong(command) == said


@pytest.mark.parametrize("name", NAMES)
def test_each_row_of_a_table_is_in_one(name: str) -> None:
    texts = [token.content for token in tokens(name) if token.type == "inline"]
    assert [text for text in texts if re.match(r"\|.*\|", text)] == []
