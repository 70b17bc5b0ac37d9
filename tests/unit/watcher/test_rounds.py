"""A look that fails is made again, and keeps no other back."""

from __future__ import annotations

import threading

import pytest

from provisioner.errors import StateUnreachable
from watcher import rounds
from watcher.rounds import Rounds


def test_a_look_that_fails_is_made_again_and_keeps_no_other_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_FIRST_SECONDS", (0.0,))
    monkeypatch.setattr(rounds, "_EVERY_SECONDS", 0.01)
    failed: list[str] = []
    looked = threading.Semaphore(0)

    def fail() -> None:
        failed.append("again")
        raise StateUnreachable("no answer")

    made = Rounds({"the state": fail, "the rest": looked.release})
    made.start()
    try:
        assert all(looked.acquire(timeout=10) for _ in range(3))
        assert len(failed) >= 3
    finally:
        made.stop()
