"""The search for planted secrets finds them: where it did not, all that rests on it would show nothing."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.planted import planted_in, planted_in_files

SECRETS = {"password": "p@ss:w/rd% \"é'+\n", "other": "not there at all"}
_PASSWORD = SECRETS["password"]


@pytest.mark.parametrize(
    "text",
    [
        _PASSWORD,
        json.dumps({"a": _PASSWORD}),
        json.dumps({"a": _PASSWORD}, ensure_ascii=False),
        quote(_PASSWORD, safe=""),
        quote(_PASSWORD),
        *(base64.b64encode(f"{'x' * before}{_PASSWORD}{'y' * after}".encode()).decode()
          for before in range(4) for after in range(4)),
        *(base64.urlsafe_b64encode(f"{'x' * before}{_PASSWORD}".encode()).decode() for before in range(4)),
    ],
)  # fmt: skip
def test_every_form_is_found(text: str) -> None:
    content = f"before {text} after".encode()
    assert planted_in(content, SECRETS) == ["password"]
    assert planted_in(gzip.compress(content), SECRETS) == ["password"]


def test_what_is_not_there_is_not_found() -> None:
    assert planted_in(b"password: p@ss", SECRETS) == []


def test_files_of_all_depths_are_looked_through(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    file = tmp_path / "deep" / "er" / "history.json"
    file.write_text(json.dumps(SECRETS))
    assert planted_in_files(tmp_path, SECRETS) == [(str(file), "password"), (str(file), "other")]
