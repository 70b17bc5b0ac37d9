"""What `deploy/overlays/demo` installs: two watchers of the Dockerfile's image, as Pods with the rights of deploy/.

The same life as in test_life.py is played with them. The tests run in their order, on one installation.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Generator

import pytest

from dev.installation import Installation
from dev.sample import Sample
from tests.e2e.installed import InstalledPullRequest, InstalledWatchers, kubectl
from tests.e2e.life import Life, LifeAsSeen
from tests.e2e.pull_request import SYSTEM
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import NAMESPACES, Cluster, Object

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

_NUMBER = 901


@pytest.fixture(scope="module")
def watchers(
    cluster: Cluster, session_watcher: RunningWatcher, tmp_path_factory: pytest.TempPathFactory
) -> Generator[InstalledWatchers]:
    """The installation, in place of the watcher of the other tests."""
    watchers = InstalledWatchers(cluster, tmp_path_factory.mktemp("overlay"))
    if session_watcher.runs:
        assert session_watcher.stop() == 0
    try:
        watchers.apply()
        yield watchers
        logs = watchers.logs()
    finally:
        watchers.remove()
        session_watcher.start()
    assert [name for name, log in logs.items() if "Traceback" in log] == []


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, installation: Installation) -> Generator[str]:
    name = f"e2e-installed-{uuid.uuid4().hex[:4]}"
    installation.namespace(name)
    yield name
    cluster.delete(NAMESPACES, None, name)


@pytest.fixture(scope="module")
def life(
    watchers: InstalledWatchers, cluster: Cluster, sample: Sample, commits: dict[str, str], namespace: str
) -> Generator[Life]:
    pull_request = InstalledPullRequest(watchers, cluster, sample, namespace, _NUMBER)
    life = Life(pull_request, commits["telling"], commits["telling again"])
    try:
        life.play(cluster)
        yield life
    finally:
        pull_request.close()
        pull_request.until_gone()


class TestPods:
    def test_one_of_two_acts(self, watchers: InstalledWatchers) -> None:
        assert len(watchers.ready()) == 2
        until(lambda: len(watchers.leaders()) == 1, "one acts")

    def test_each_is_alive_ready_and_tells_its_metrics(self, watchers: InstalledWatchers) -> None:
        for pod in watchers.ready():
            assert (watchers.answer(pod, "livez"), watchers.answer(pod, "readyz")) == ("ok\n", "ok\n")
            assert "\nreviewapp_is_leader " in watchers.answer(pod, "metrics")

    def test_each_has_an_init_and_no_root(self, watchers: InstalledWatchers) -> None:
        for pod in watchers.ready():
            assert watchers.run(pod, "cat", "/proc/1/comm") == (0, "tini\n")
            assert watchers.run(pod, "sh", "-c", "echo $(id -u):$(id -g)") == (0, "10001:10001\n")
            _, status = watchers.run(pod, "cat", "/proc/self/status")
            facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert (facts["CapBnd"], facts["NoNewPrivs"], facts["Seccomp"]) == ("0" * 16, "1", "2")

    def test_each_writes_to_its_volumes_alone(self, watchers: InstalledWatchers) -> None:
        for pod in watchers.ready():
            for folder in ("/", "/opt/reviewapp", "/usr/local/bin", "/etc/reviewapp"):
                code, said = watchers.run(pod, "touch", f"{folder}/x")
                assert code != 0, folder
                assert "Read-only file system" in said
            assert watchers.run(pod, "touch", "/tmp/x", "/var/lib/reviewapp/x") == (0, "")

    def test_the_image_has_no_compiler_and_no_cache(self, watchers: InstalledWatchers) -> None:
        pod = watchers.ready()[0]
        assert watchers.run(pod, "sh", "-c", "command -v cc gcc clang go make; true") == (0, "")
        cached = "-path '/var/cache/apt/*' -o -path '/var/lib/apt/lists/*' -o -path '*/.cache/*'"
        found = watchers.run(pod, "sh", "-c", f"find / -xdev -type f '(' {cached} ')' 2>/dev/null; true")
        assert found == (0, "")

    def test_what_protects_them_is_in_force(self, watchers: InstalledWatchers) -> None:
        budget = until(
            lambda: (
                _object("poddisruptionbudget")["status"].get("currentHealthy") == 2
                and _object("poddisruptionbudget")["status"]
            ),
            "the budget counts both",
        )
        assert (budget["expectedPods"], budget["disruptionsAllowed"]) == (2, 1)
        assert {pod["spec"]["priority"] for pod in watchers.pods()} == {1000}
        assert _object("networkpolicy")["spec"]["policyTypes"] == ["Ingress"]

    def test_what_is_printed_for_programs_is_nothing_else(self, watchers: InstalledWatchers) -> None:
        code, said = watchers.run(watchers.ready()[0], "reviewapp", "ls", "-o", "json")
        assert code == 0, said
        json.loads(said)

    def test_the_doctor_finds_nothing(self, watchers: InstalledWatchers) -> None:
        code, said = watchers.run(watchers.ready()[0], "reviewapp", "doctor")
        assert code == 0, said


class TestLife(LifeAsSeen):
    """As seen from outside."""


def test_when_the_one_that_acts_goes_the_other_goes_on(
    watchers: InstalledWatchers, cluster: Cluster, sample: Sample, commits: dict[str, str], namespace: str
) -> None:
    (leader,) = until(watchers.leaders, "one acts")
    pull_request = InstalledPullRequest(watchers, cluster, sample, namespace, _NUMBER + 1)
    pull_request.open(commits["first"])
    try:
        until(pull_request.recorded, "its stack is begun")
        watchers.delete(leader)
        (other,) = until(watchers.leaders, "another acts", 15)
        assert other != leader
        pull_request.until_ready(commits["first"])
        until(lambda: len(watchers.ready()) == 2, "there are two again")
    finally:
        pull_request.close()
        pull_request.until_gone()
    assert pull_request.left() == []


def _object(kind: str) -> Object:
    return json.loads(kubectl("get", kind, "reviewapp", f"--namespace={SYSTEM}", "-o", "json"))
