"""What the commands print on stdout: tables as kubectl's, and objects as JSON or YAML.

On a terminal a table has colours; elsewhere it is the same text without. Knows nothing of what the columns mean.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from bot.untrusted import printable
from provisioner.manifest_text import as_yaml

_GOOD = {"True", "ok", "deployed", "Ready", "Complete", "Running", "Normal", "success"}
_BAD = {"False", "wrong", "error", "missing", "Failed", "Warning", "failed", "BuildFailed", "BuildTimedOut"}
_GAP = "   "
_SELECT_GRAPHIC_RENDITION = re.compile(r"(\x1b\[[0-9;]*m)")
# kubectl's own steps, so that an age reads the same here and there:
# https://github.com/kubernetes/apimachinery/blob/master/pkg/util/duration/duration.go
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

NOTHING = "-"
"""Stands in a cell for what is not there."""


class Output(StrEnum):
    """How objects are printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


def cell(value: object) -> str:
    """Return a value as one line for a table's cell."""
    return " ".join(printable(str(value)).split()) if value not in (None, "") else NOTHING


def age(timestamp: str | None, now: float) -> str:
    """Return how long ago a time of the API was, as kubectl says it, such as `5m12s` or `3d4h`."""
    seconds = seconds_since(timestamp, now)
    return NOTHING if seconds is None else duration(seconds)


def seconds_since(timestamp: str | None, now: float) -> float | None:
    """Return how many seconds ago a time of the API was; None if it is none."""
    try:
        return max(0.0, now - datetime.datetime.fromisoformat(timestamp or "").timestamp())
    except ValueError:
        return None


def duration(seconds: float) -> str:
    """Return a duration in the one or two units that matter."""
    whole = int(seconds)
    minutes, hours, days = whole // _MINUTE, whole // _HOUR, whole // _DAY
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % _MINUTE, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    return _two(days, "d", hours % 24, "h") if days < 8 else f"{days}d"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


class TablePrinter:
    """Prints rows below a header, now and later, with columns that stay where they are."""

    def __init__(self, header: Sequence[str]) -> None:
        self._header = tuple(header)
        self._widths: list[int] = []

    def print(self, rows: Iterable[Sequence[str]]) -> None:
        """Print rows; the header before the first ones."""
        new = [tuple(row) for row in rows]
        if not self._widths:
            new = [self._header, *new]
            self._widths = [max(map(len, column)) for column in zip(*new, strict=True)]
        for row in new:
            typer.echo(_GAP.join(_padded(row, self._widths)).rstrip())


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: in colours on a terminal, else as plain text."""
    console = Console(highlight=False)
    if console.is_terminal:
        # A line that is too long goes on in the next one: nothing is cut.
        console.print(coloured(header, rows), soft_wrap=True)
    else:
        TablePrinter(header).print(rows)


def coloured(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Text:
    """Return a table for a terminal."""
    new = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *new, strict=True)]
    lines = [Text(_GAP.join(_padded(header, widths)).rstrip(), style="bold")]
    for row in new:
        cells = zip(row, _padded(row, widths), strict=True)
        lines.append(Text(_GAP).join(Text(padded, style=_style(value)) for value, padded in cells))
    return Text("\n").join(lines)


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [*map(str.ljust, row[:-1], widths), row[-1]]


def _style(value: str) -> str:
    return "green" if value in _GOOD else "red" if value in _BAD else ""


def print_document(document: Any, output: Output) -> None:
    """Print an object as JSON or YAML."""
    text = as_yaml(document) if output is Output.YAML else json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    typer.echo(text, nl=False)


def as_list(items: Sequence[Any]) -> dict[str, Any]:
    """Return objects as one document, as kubectl does."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": list(items)}


def log_line(line: str, *, terminal: bool) -> str:
    """Return a line of a log; for a terminal without what steers it, but for colours."""
    if not terminal:
        return line
    parts = _SELECT_GRAPHIC_RENDITION.split(line)
    # Every other one is what was split at.
    return "".join(part if number % 2 else printable(part) for number, part in enumerate(parts))
