"""With a limit on parallel builds: one at a time, repositories in turn, and each app says where it stands."""

from __future__ import annotations

import time
from collections.abc import Generator

import pytest

from stacks import naming
from tests.e2e.conftest import Repository
from tests.e2e.pull_request import BUILDS, PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import JOBS, PODS, REVIEW_APPS, Cluster, Object
from watcher.conditions import job_state

pytestmark = pytest.mark.cluster

SECONDS = 120.0


@pytest.fixture
def one_at_a_time(session_watcher: RunningWatcher) -> Generator[RunningWatcher]:
    if session_watcher.runs:
        session_watcher.stop()
    session_watcher.start(maximum_builds="1")
    yield session_watcher
    session_watcher.stop()
    session_watcher.start()


def of_repository(pull_request: PullRequest, name: str) -> PullRequest:
    """Return a pull request of another repository of acme's."""
    pull_request.app = f"{name}-{pull_request.number}"
    pull_request.stack = naming.stack_name("acme", name, pull_request.number)
    return pull_request


def running(cluster: Cluster, pull_requests: list[PullRequest]) -> list[Object]:
    stacks = {one.stack for one in pull_requests}
    jobs, _ = cluster.list(JOBS, BUILDS)
    mine = [job for job in jobs if job["metadata"].get("labels", {}).get(naming.STACK_LABEL) in stacks]
    return [job for job in mine if job_state(job) == "running"]


def test_one_at_a_time_in_a_fair_order(
    one_at_a_time: RunningWatcher, repository: Repository, cluster: Cluster, commits: dict[str, str]
) -> None:
    first, second, third = (repository.pull_request() for _ in range(3))
    other = of_repository(repository.pull_request(), "cart")
    everyone = [first, second, third, other]

    first.open(commits["slow"])
    first.until_condition("Built", "Unknown", "Building")
    for pull_request in (second, third):
        pull_request.open(commits["broken"])
        pull_request.until_condition("Built", "Unknown", "Queued")
        # In the status a time has whole seconds.
        time.sleep(1.1)
    other.open(commits["broken"], repo="cart")
    other.until_condition("Built", "Unknown", "Queued")

    most = 0
    order: list[PullRequest] = []
    messages: set[tuple[str, str]] = set()
    deadline = time.monotonic() + SECONDS
    while len(order) < len(everyone):
        assert time.monotonic() < deadline, order
        most = max(most, len(running(cluster, everyone)))
        for pull_request in everyone:
            built = pull_request.condition("Built")
            if built.get("reason") == "Queued":
                messages.add((pull_request.app, built["message"].partition("turn: ")[2]))
            elif built.get("status") in {"True", "False"} and pull_request not in order:
                order.append(pull_request)
        time.sleep(0.1)
    assert most == 1
    # The other repository's goes before the second of the first, though that has waited longer.
    assert [one.app for one in order] == [first.app, other.app, second.app, third.app]
    tail = "in the queue, while 1 of at most 1 builds run"
    assert (other.app, f"1 of 3 {tail}") in messages
    assert (third.app, f"3 of 3 {tail}") in messages
    assert (third.app, f"1 of 1 {tail}") in messages

    # What failed says why, also when its Pod is gone.
    said = third.condition("Built")["message"]
    assert "its last lines:\n" in said
    assert "the reason is here" in said
    for pod in third.build_pods():
        cluster.delete(PODS, BUILDS, pod["metadata"]["name"])
    until(lambda: not third.build_pods(), "the Pod is gone")
    metadata = {"annotations": {"example.com/look": "again"}}
    cluster.patch(REVIEW_APPS, None, third.name, {"metadata": metadata})
    time.sleep(2)
    assert third.condition("Built")["message"] == said
