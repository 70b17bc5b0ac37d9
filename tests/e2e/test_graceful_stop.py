"""SIGTERM, as a rollout of the watcher sends it, in the middle of work."""

from __future__ import annotations

import time

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher

pytestmark = pytest.mark.cluster


def test_in_the_middle_of_an_update_it_ends_in_order_and_goes_on_later(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    pull_request.open(commits["broken"])
    until(lambda: pull_request.objects(), "the engine has made something")
    began = time.monotonic()
    assert watcher.stop() == 0
    assert time.monotonic() - began < 10
    assert watcher.engines() == []
    locks = (watcher.folder / "state" / ".pulumi" / "locks").rglob("*.json")
    assert [lock for lock in locks if pull_request.stack in str(lock)] == []

    watcher.start()
    pull_request.until_condition("Built", "False", "BuildFailed")
