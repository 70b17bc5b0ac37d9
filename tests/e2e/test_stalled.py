"""What stands in the way of an app and does not go by itself: no engine runs until it has gone, and then at once."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Repository
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import QUOTAS, Cluster, section

pytestmark = pytest.mark.cluster


@side_by_side
def test_a_quota_is_waited_for_without_an_engine_and_holds_up_nobody(
    repository: Repository, commits: dict[str, str], cluster: Cluster, watcher: RunningWatcher
) -> None:
    first, second = repository.pull_request(), repository.pull_request()
    first.open(commits["broken"])
    watcher.until_updated(first.name)
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"services": "1"}}}
    cluster.create(QUOTAS, repository.namespace, quota)
    until(lambda: section(cluster.get(QUOTAS, repository.namespace, "few") or {}, "status", "used"), "it is counted")
    second.open(commits["broken"])
    said = second.until_condition("Stalled", "True", "QuotaExceeded")["message"]
    assert "exceeded quota: few" in said
    assert "raise the namespace's quota" in said
    runs = list(watcher.folder.glob(f"state/.pulumi/history/*/{second.stack}/*.history.json"))
    assert 0 < len(runs) < 4, "it has been looked at seven times, and the engine did not run each time"
    assert len(watcher.said("update_failed", second.name)) == 1

    first.push(commits["crashing"])
    until(lambda: len(watcher.engine_runs(first.name)) > 1, "others go on")

    cluster.delete(QUOTAS, repository.namespace, "few")
    watcher.until_updated(second.name)
    until(lambda: not second.condition("Stalled"), "it says so no more", 10)
