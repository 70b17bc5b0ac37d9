"""Every test that docs/security.md names to show a row of its tables is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TEXT = (ROOT / "docs" / "security.md").read_text()


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[^`]+)`", _TEXT))))
def test_a_test_that_is_named_is_there(named: str) -> None:
    path, *parts = named.split("::")
    text = (ROOT / path).read_text()
    for part in parts:
        assert re.search(rf"^\s*(def|class) {re.escape(part)}\b", text, re.MULTILINE), part


def test_every_row_names_a_test() -> None:
    threats = re.findall(r"^\| who \|.*\n\| ---.*\n((?:\|.*\n?)+)", _TEXT, re.MULTILINE)
    rows = [row for table in threats for row in table.splitlines()]
    assert rows
    assert [row for row in rows if "`tests/" not in row.rsplit(" | ", 1)[-1]] == []
