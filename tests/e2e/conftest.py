"""An installation with a running watcher, and a repository with versions of every kind.

One watcher for all tests. What one test leaves is cleared away before the next; what is left after the last one fails.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import uuid
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from dev.installation import Installation
from dev.paths import STATE
from dev.sample import Sample
from dev.stand_ins.kubedb import KubeDB
from dev.target import BASE_IMAGE
from tests.e2e import side_by_side, versions
from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import NAMESPACES, REVIEW_APPS, Cluster

TARBALLS = "reviewapp-e2e-tarballs"
CERTIFICATES = "reviewapp-e2e-certificates"
_NAMES = "acme-shop-"
# No test's build depends on what another one left in the registry; those of the cache turn it on. Many builds at once
# find room on a small node.
SETTINGS = {
    "build_cache": "false",
    "build_cpu_request": "20m",
    "build_retries": "0",
    "build_timeout_seconds": "120",
    "engine_timeout_seconds": "60",
}

_numbers = itertools.count(1001)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those that run side by side last: by then other processes' tests leave them the machine."""
    items.sort(key=lambda item: side_by_side.is_marked(getattr(item, "function", None)))


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.from_environment()


@pytest.fixture(scope="session")
def installation(cluster: Cluster) -> Generator[Installation]:
    installation = Installation(cluster, STATE / "e2e")
    installation.install()
    installation.log.unlink(missing_ok=True)
    for namespace in (TARBALLS, CERTIFICATES):
        installation.namespace(namespace)
    installation.certificate(CERTIFICATES, "wildcard")
    yield installation
    for namespace in (TARBALLS, CERTIFICATES):
        cluster.delete(NAMESPACES, None, namespace)


@pytest.fixture(scope="session")
def sample(cluster: Cluster, installation: Installation) -> Sample:
    return Sample(cluster, TARBALLS, os.environ[BASE_IMAGE])


@pytest.fixture(scope="session")
def commits(sample: Sample) -> dict[str, str]:
    """The commit of each version, with its tarball served in the cluster."""
    commits = {version: sample.commit(version, files) for version, files in versions.files().items()}
    for version, pack in versions.REPACKED.items():
        sample.repack(commits[version], pack)
    sample.serve()
    return commits


@pytest.fixture(scope="session")
def session_watcher(cluster: Cluster, installation: Installation) -> Generator[RunningWatcher]:
    watcher = RunningWatcher(installation, SETTINGS | {"tls_secret": f"{CERTIFICATES}/wildcard"})
    # An earlier run may have been broken off, and its stand-ins of operators with it.
    KubeDB(cluster).let_go()
    watcher.start()
    for name in _names(cluster):
        cluster.delete(REVIEW_APPS, None, name)
    until(lambda: not _names(cluster), "what an earlier run left is gone")
    yield watcher
    if watcher.runs:
        assert watcher.stop() == 0
    assert watcher.engines() == []
    # A LocalWorkspace without a folder would make one for each update.
    assert list(watcher.temporary_folder.glob("automation-*")) == []
    assert list(watcher.folder.glob("work/*")) == []
    assert "Traceback" not in watcher.log.read_text()


def _names(cluster: Cluster) -> list[str]:
    names = [item["metadata"]["name"] for item in cluster.list(REVIEW_APPS)[0]]
    return [name for name in names if name.startswith(_NAMES)]


@pytest.fixture
def watcher(session_watcher: RunningWatcher) -> RunningWatcher:
    """The watcher, running, whatever the test before did to it."""
    if not session_watcher.runs:
        session_watcher.start()
    return session_watcher


@dataclasses.dataclass(frozen=True)
class Repository:
    """Makes pull requests that nobody had before, with a namespace for their apps; closes them at the end."""

    cluster: Cluster
    sample: Sample
    watcher: RunningWatcher
    namespace: str
    pull_requests: list[PullRequest] = dataclasses.field(default_factory=list[PullRequest])

    def pull_request(self) -> PullRequest:
        state = self.watcher.folder / "state"
        self.pull_requests.append(PullRequest(self.cluster, self.sample, self.namespace, next(_numbers), state))
        return self.pull_requests[-1]

    def close(self) -> None:
        if not self.watcher.runs:
            self.watcher.start()
        for pull_request in self.pull_requests:
            pull_request.close()
        for pull_request in self.pull_requests:
            pull_request.until_gone()
        left = [entry for pull_request in self.pull_requests for entry in pull_request.left()]
        self.cluster.delete(NAMESPACES, None, self.namespace)
        assert left == []


@pytest.fixture(scope="session")
def new_repository(
    cluster: Cluster, installation: Installation, sample: Sample, session_watcher: RunningWatcher
) -> Callable[[str], AbstractContextManager[Repository]]:
    @contextmanager
    def new(name: str) -> Generator[Repository]:
        words = re.sub(r"[^a-z0-9]+", "-", name.removeprefix("test_").lower())[:40].strip("-")
        namespace = f"e2e-{words}-{uuid.uuid4().hex[:4]}"
        installation.namespace(namespace)
        repository = Repository(cluster, sample, session_watcher, namespace)
        try:
            yield repository
        finally:
            repository.close()

    return new


@pytest.fixture
def repository(
    request: pytest.FixtureRequest,
    new_repository: Callable[[str], AbstractContextManager[Repository]],
    watcher: RunningWatcher,
) -> Generator[Repository]:
    """One test's pull requests."""
    with new_repository(request.node.name) as repository:
        yield repository


@pytest.fixture
def pull_request(repository: Repository) -> PullRequest:
    """A pull request that nobody had before."""
    return repository.pull_request()


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest,
    new_repository: Callable[[str], AbstractContextManager[Repository]],
    session_watcher: RunningWatcher,
    cluster: Cluster,
    commits: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> side_by_side.Outcomes:
    """What came of the tests that run side by side."""
    if not session_watcher.runs:
        session_watcher.start()
    functions: list[Any] = [getattr(item, "function", None) for item in request.session.items]
    folder = tmp_path_factory.mktemp("side-by-side")
    fixtures = {"watcher": session_watcher, "cluster": cluster, "commits": commits}
    return side_by_side.run(functions, new_repository, folder, **fixtures)
