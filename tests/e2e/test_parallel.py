"""Several pull requests at once, each with what is its own."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Repository
from tests.e2e.side_by_side import side_by_side
from tests.e2e.watching import RunningWatcher

pytestmark = pytest.mark.cluster


@side_by_side
def test_five_opened_at_once_get_each_their_own(
    repository: Repository, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    pull_requests = [repository.pull_request() for _ in range(5)]
    versions = ["telling", "telling again"]
    for index, pull_request in enumerate(pull_requests):
        values = [{"name": "MINE", "value": pull_request.number}]
        pull_request.open(commits[versions[index % 2]], {"env": {"values": values}})
    for index, pull_request in enumerate(pull_requests):
        commit = commits[versions[index % 2]]
        pull_request.until_ready(commit)
        assert commit in (pull_request.page() or "")
        environment = (pull_request.page("environment") or "").splitlines()
        assert {f"MINE={pull_request.number}", f"APP_NAME={pull_request.app}"} <= set(environment)
        assert pull_request.status()["stack"] == pull_request.stack
        for entry in pull_request.left():
            assert pull_request.number in entry
        assert watcher.engine_runs(pull_request.name) == [2, 1]
