"""Text that somebody else wrote, made fit for a terminal, a CI log and a comment in a pull request.

Build logs, branch names and conditions come out of pull requests. Pure; keeps what a person reads the same.
"""

from __future__ import annotations

import re

_NOTHING = "\u200b"
"""A space of no width: parts what would mean something to a program, and shows nothing."""

# Colours and other sequences (https://ecma-international.org/publications-and-standards/standards/ecma-48/), titles and
# links (OSC), then whatever controls are left, and the marks that turn a line's direction around.
_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MENTION = re.compile(r"(?<![A-Za-z0-9_])@(?=[A-Za-z0-9_])")
_AT_ENTITY = re.compile(r"&(?=(?:#0*64|#[xX]0*40|commat);)")
_HARMLESS_TAG = re.compile(r"</?(?:details|summary)>|<br ?/?>")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def printable(text: str) -> str:
    """Return a text without what steers a terminal: lines and tabs stay."""
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROLS.sub("", text)


def logged(text: str) -> str:
    """Return a text for a CI's log: printable, its further lines after a `|`, and no command to GitHub's runner.

    The runner takes `::` at the start of a line, spaces before it or not, and `##[` anywhere
    (https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs).
    """
    first, *further = printable(text).replace("##[", f"##{_NOTHING}[").split("\n")
    return "\n".join([re.sub(r"^(\s*):", rf"\1{_NOTHING}:", first), *(f"    | {line}" for line in further)])


def code(text: str, most: int = 200) -> str:
    """Return a text as Markdown's inline code, on one line and fit for a table's cell; empty if there is nothing."""
    line = " ".join(printable(text).split()).replace("`", "'").replace("|", "¦")
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    return f"`{line}`" if line else ""


def code_block(text: str) -> str:
    """Return a text as a fenced block of code, which nothing in it can end."""
    # First of all: what is taken out may have parted what then stands together.
    text = _without_commands(printable(text).strip())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def markdown(text: str) -> str:
    """Return Markdown that may hold others' words without mentions, images, hidden comments or HTML beyond folding."""
    parts: list[str] = []
    end = 0
    text = _MENTION.sub(f"@{_NOTHING}", _AT_ENTITY.sub(f"&{_NOTHING}", printable(text)))
    text = _without_commands(text.replace("![", f"!{_NOTHING}["))
    for tag in _HARMLESS_TAG.finditer(text):
        parts += [_TAG.sub(f"<{_NOTHING}", text[end : tag.start()]), tag[0]]
        end = tag.end()
    return "".join([*parts, _TAG.sub(f"<{_NOTHING}", text[end:])])


def _without_commands(text: str) -> str:
    """Return a text in which no line starts with a slash.

    GitLab carries out lines such as `/merge` with the rights of whoever comments, and its own idea of what is inside a
    fence differs from Markdown's (https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/gitlab/quick_actions/extractor.rb).
    """
    return re.sub(r"^/", f"{_NOTHING}/", text, flags=re.MULTILINE)
