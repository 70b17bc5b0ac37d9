"""Pushes faster than builds."""

from __future__ import annotations

import threading
import time

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.versions import PUSHES
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import Object

pytestmark = pytest.mark.cluster


@side_by_side
def test_of_twenty_pushes_the_last_wins_and_builds_one_at_a_time(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    most_jobs: list[int] = []
    deployed: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            most_jobs.append(len([job for job in pull_request.jobs() if goes_on(job)]))
            found = pull_request.deployment()
            if found and found["spec"]["replicas"]:
                deployed.append(
                    found["spec"]["template"]["metadata"]["annotations"]["reviewtron.k8s.revelry.co/commit"]
                )
            time.sleep(0.05)

    pull_request.open(commits[PUSHES[0]])
    until(pull_request.jobs, "the first commit is being built")
    watching = threading.Thread(target=look)
    watching.start()
    for push in PUSHES[1:]:
        pull_request.push(commits[push])
        time.sleep(0.2)
    pull_request.until_ready(commits[PUSHES[-1]])
    done.set()
    watching.join()
    assert max(most_jobs) == 1
    # Whatever got through before the last one did so in the order of the pushes.
    order = [PUSHES.index(next(name for name in PUSHES if commits[name] == commit)) for commit in deployed]
    assert order == sorted(order)
    assert order[-1] == len(PUSHES) - 1
    assert [job["metadata"]["name"] for job in pull_request.jobs()] == [pull_request.status()["buildJobName"]]


def goes_on(job: Object) -> bool:
    return "deletionTimestamp" not in job["metadata"]
