"""A preview as Markdown, for a comment in a pull request.

What comes out of a pull request or the cluster stands only in code, where nothing in it is markup, HTML, a mention
or a link. The same preview gives the same text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from provisioner.preview.model import Preview, PropertyChange, ResourceChange
from provisioner.preview.wording import CUT, one_line, sides

MOST_BYTES = 60_000
"""The longest preview. A comment on GitHub has at most 65,536 characters, and says other things too."""

_MOST_NOTES = 10
_LONGEST_NOTE = 200
_LONGEST_NAME = 100
_LONGEST_VALUE = 300
_MOST_PROPERTIES = 100
_CUT_NOTE_BYTES = 400

_PROPERTY_MARKS = {"add": "+", "update": "!", "delete": "-"}


def markdown(preview: Preview) -> str:
    """Return the preview as Markdown of at most `MOST_BYTES` bytes; where something had to be cut, it says so."""
    head = [*_losses(preview), _verdict(preview), *_obstacles(preview)]
    tail = [*_notes("Not seen:", preview.unseen), *_notes("Supposed:", preview.assumptions)]
    room = MOST_BYTES - _CUT_NOTE_BYTES - _size([*head, *tail, _TABLE_HEAD])
    rows = _fitting((_row(change) for change in preview.changes), room)
    room -= _size(rows)
    differing = [change for change in preview.changes if change.properties]
    blocks = _fitting((_block(change) for change in differing), room)
    table = ["\n".join([_TABLE_HEAD, *rows])] if rows else []
    cut = _cut_notes(len(preview.changes) - len(rows), len(differing) - len(blocks))
    if any(CUT in block for block in blocks):
        cut.append(f"Where a value ends in `{CUT}`, the rest is not shown.")
    return "\n\n".join([*head, *table, *blocks, *cut, *tail]) + "\n"


_TABLE_HEAD = "| | object | namespace | differences |\n| --- | --- | --- | --- |"


def _verdict(preview: Preview) -> str:
    return f"**{'New stack' if preview.is_new else 'Stack'} {code(preview.stack)}: {preview.outcome}.**"


def _losses(preview: Preview) -> list[str]:
    lines = [f"{code(str(change))} ({change.operation}): {change.loses}" for change in preview.losses]
    return _alert("CAUTION", "Data is lost:", lines)


def _obstacles(preview: Preview) -> list[str]:
    return _alert("WARNING", "As things are, the update fails:", map(code, preview.obstacles))


def _alert(kind: str, title: str, lines: Iterable[str]) -> list[str]:
    items = _items(lines)
    # https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#alerts
    return ["\n".join([f"> [!{kind}]", f"> **{title}**", ">", *(f"> {item}" for item in items)])] if items else []


def _notes(title: str, lines: Sequence[str]) -> list[str]:
    items = _items(map(code, lines))
    return ["\n".join([title, "", *items])] if items else []


def _items(lines: Iterable[str]) -> list[str]:
    items = [f"- {line}" for line in lines]
    more = len(items) - _MOST_NOTES
    return [*items[:_MOST_NOTES], f"- and {more} more"] if more > 0 else items


def _row(change: ResourceChange) -> str:
    cells = [
        change.operation,
        f"{_cell(change.kind)} {_cell(change.name)}",
        _cell(change.namespace) if change.namespace else "",
        str(len(change.properties) or ""),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    # A table takes its bars before it looks for code, and no name of Kubernetes has one.
    return code(text.replace("|", "¦"), _LONGEST_NAME)


def _block(change: ResourceChange) -> str:
    lines = [line for difference in change.properties[:_MOST_PROPERTIES] for line in _difference(difference)]
    more = len(change.properties) - _MOST_PROPERTIES
    if more > 0:
        lines.append(f"! and {more} more")
    text = "\n".join(lines)
    fence = "`" * max(3, _longest_run(text) + 1)
    # In here there is no code: what no name of Kubernetes has is left out.
    title = re.sub(r"[^A-Za-z0-9./ -]", "", one_line(str(change), _LONGEST_NAME))
    summary = f"{title}: {change.operation}"
    return f"<details>\n<summary>{summary}</summary>\n\n{fence}diff\n{text}\n{fence}\n\n</details>"


def _difference(difference: PropertyChange) -> list[str]:
    marks = f"{' (secret)' if difference.secret else ''}{' (replaces)' if difference.replaces else ''}"
    lines = [f"{_PROPERTY_MARKS[difference.change]} {one_line(difference.path, _LONGEST_VALUE)}{marks}"]
    if not difference.secret:
        old, new = sides(difference, _LONGEST_VALUE)
        lines += [f"-   {old}"] if old is not None else []
        lines += [f"+   {new}"] if new is not None else []
    return lines


def _cut_notes(objects: int, blocks: int) -> list[str]:
    parts = [f"{objects} more objects"] if objects else []
    parts += [f"the differences of {blocks} objects"] if blocks else []
    cut = f"Too long for a comment: {' and '.join(parts)} are left out. `reviewapp preview --format json` has all."
    return [cut] if parts else []


def _fitting(parts: Iterable[str], room: int) -> list[str]:
    """Return the first parts, as many as there is room for."""
    kept: list[str] = []
    for part in parts:
        room -= _size([part])
        if room < 0:
            break
        kept.append(part)
    return kept


def _size(parts: Iterable[str]) -> int:
    """Return how many bytes parts take, with an empty line after each."""
    return sum(len(part.encode()) + 2 for part in parts)


def code(text: str, most: int = _LONGEST_NOTE) -> str:
    """Return a text as Markdown's inline code, on one line, cut to `most` characters."""
    line = one_line(text, most)
    fence = "`" * (_longest_run(line) + 1)
    # A space on each side is taken off again: https://spec.commonmark.org/0.31.2/#code-spans
    padding = " " if line[:1] in {"", "`", " "} or line[-1:] in {"`", " "} else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
