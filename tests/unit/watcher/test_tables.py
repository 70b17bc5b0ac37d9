"""What stands in tables, and how it is printed."""

from __future__ import annotations

import pytest
from rich.console import Console

from watcher.tables import TablePrinter, age, as_list, cell, coloured, duration, log_line, seconds_since


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (312, "5m12s"),
        (600, "10m"),
        (179 * 60, "179m"),
        (3 * 3600, "3h"),
        (4 * 3600 + 1800, "4h30m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (76 * 3600, "3d4h"),
        (8 * 86400, "8d"),
        (900 * 86400, "900d"),
    ],
)
def test_a_duration_reads_as_kubectls(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_an_age_is_that_of_a_time_of_the_api() -> None:
    now = 1_767_225_600.0
    assert age("2026-01-01T00:00:00Z", now + 5) == "5s"
    assert age("2026-01-01T00:00:00.500000Z", now + 5) == "4s"
    # Two clocks are never the same.
    assert age("2026-01-01T00:00:09Z", now) == "0s"
    assert (age(None, now), age("yesterday", now)) == ("-", "-")
    assert seconds_since("2026-01-01T00:00:00Z", now + 1.5) == 1.5


def test_a_cell_is_one_line_that_steers_no_terminal() -> None:
    assert cell("a\nb\t c\x1b[2J\x07") == "a b c"
    assert [cell(value) for value in (None, "", 0, False)] == ["-", "-", "0", "False"]


def test_rows_that_come_later_stay_in_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    printer = TablePrinter(("NAME", "STATE"))
    printer.print([["acme-shop-42", "building"]])
    printer.print([["a", "deployed"], ["acme-shop-1234567", "x"]])
    assert capsys.readouterr().out.splitlines() == [
        "NAME           STATE",
        "acme-shop-42   building",
        "a              deployed",
        "acme-shop-1234567   x",
    ]


def test_a_terminal_gets_the_same_in_colours() -> None:
    console = Console(force_terminal=True, color_system="standard", width=20, highlight=False)
    rows = [["[red]a", "Ready", "x" * 40], ["b", "BuildFailed", "y"]]
    with console.capture() as captured:
        console.print(coloured(("NAME", "READY", "URL"), rows), soft_wrap=True)
    text = captured.get()
    assert "x" * 40 in text
    assert len(text.splitlines()) == 3
    assert "[red]a" in text
    assert "\x1b[32mReady" in text
    assert "\x1b[31mBuildFailed" in text


def test_objects_are_one_list_as_kubectls() -> None:
    assert as_list([{"kind": "ReviewApp"}]) == {
        "apiVersion": "v1",
        "kind": "List",
        "metadata": {"resourceVersion": ""},
        "items": [{"kind": "ReviewApp"}],
    }


def test_a_log_keeps_its_colours_and_can_do_no_more_to_a_terminal() -> None:
    line = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2Jgone"
    assert log_line(line, terminal=True) == "\x1b[31mred\x1b[0m gone"
    assert log_line(line, terminal=False) == line
