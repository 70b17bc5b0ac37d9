"""The model of the watcher's core, for a few histories; `python -m tests.model 10000` runs as many as one likes."""

from __future__ import annotations

from tests import model


def test_no_history_breaks_what_must_hold() -> None:
    model.run(40)
