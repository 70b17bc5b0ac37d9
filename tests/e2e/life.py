"""One pull request's life, played once and then looked at: opened, built, pushed to, built again, closed.

The same for every way in which the watcher runs: a module has a fixture `life`, and a class that is a `LifeAsSeen`.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from dev.sample import CONFIG_MAPS
from tests.e2e.pull_request import BUILDS, PullRequest
from tests.e2e.waiting import until
from watcher.cluster import INGRESSES, PODS, SECRETS, Cluster, Object, entries

VALUES = [{"name": "GREETING", "value": "hello $(APP_NAME) 'ünïcode'"}, {"name": "LIMIT", "value": 3}]
CONFIG: dict[str, Any] = {
    "env": {"secrets": ["keys"], "configMaps": ["flags"], "values": VALUES},
    "migrate": {"command": ["sh", "-c"], "args": ["echo migrating for $APP_NAME with $KEY"]},
}
READY = {"Accepted": "True", "Built": "True", "Available": "True", "Ready": "True"}


@dataclasses.dataclass
class Life:
    """What was seen of a pull request: as soon as it was opened, when it was ready, after a push, and at its end."""

    pull_request: PullRequest
    old: str
    new: str
    began: float = 0.0
    at_first: Object = dataclasses.field(default_factory=dict[str, Any])
    job_at_first: Object = dataclasses.field(default_factory=dict[str, Any])
    ready: Object = dataclasses.field(default_factory=dict[str, Any])
    events: list[tuple[str, str]] = dataclasses.field(default_factory=list[tuple[str, str]])
    page: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    pod: Object = dataclasses.field(default_factory=dict[str, Any])
    migrate_log: str = ""
    ingress: Object = dataclasses.field(default_factory=dict[str, Any])
    answers: list[str] = dataclasses.field(default_factory=list[str])
    jobs_after_push: list[str] = dataclasses.field(default_factory=list[str])
    events_after_push: list[tuple[str, str]] = dataclasses.field(default_factory=list[tuple[str, str]])
    kinds_before_close: set[str] = dataclasses.field(default_factory=set[str])
    events_at_the_end: list[tuple[str, str]] = dataclasses.field(default_factory=list[tuple[str, str]])
    left: list[str] = dataclasses.field(default_factory=list[str])
    secrets_left: list[str] = dataclasses.field(default_factory=list[str])

    def play(self, cluster: Cluster) -> None:
        """Play it all."""
        namespace = self.pull_request.namespace
        cluster.create(SECRETS, namespace, {"metadata": {"name": "keys"}, "stringData": {"KEY": "from a secret"}})
        cluster.create(CONFIG_MAPS, namespace, {"metadata": {"name": "flags"}, "data": {"FLAG": "from a config map"}})
        self._open()
        self._look(cluster)
        self._push()
        self._close(cluster)

    def _open(self) -> None:
        self.began = time.time()
        self.pull_request.open(self.old, CONFIG)
        until(lambda: self.pull_request.replicas() == 0, "the Deployment is there, at 0 replicas")
        (self.job_at_first,) = until(self.pull_request.jobs, "the build Job")
        self.at_first = self.pull_request.status()
        self.pull_request.until_ready(self.old)

    def _look(self, cluster: Cluster) -> None:
        self.ready = self.pull_request.status()
        self.events = self._events_until_ready(since=0)
        self.page = self.pull_request.page() or ""
        lines = (self.pull_request.page("environment") or "").splitlines()
        self.environment = dict(line.split("=", 1) for line in lines if "=" in line)
        (self.pod,) = self.pull_request.pods()
        path = PODS.path(self.pull_request.namespace, self.pod["metadata"]["name"], "log")
        self.migrate_log = cluster.text(f"{path}?container=migrate")
        self.ingress = cluster.get(INGRESSES, self.pull_request.namespace, self.pull_request.app) or {}

    def _push(self) -> None:
        self.pull_request.push(self.new)

        def is_ready_with_new() -> bool:
            self.answers.append(self.pull_request.page() or "nothing")
            status = self.pull_request.status()
            return status["buildCommit"] == self.new and self.pull_request.condition("Ready")["status"] == "True"

        until(is_ready_with_new, f"ready with {self.new}")
        self.answers.append(self.pull_request.page() or "nothing")
        self.jobs_after_push = [job["metadata"]["name"] for job in self.pull_request.jobs()]
        self.events_after_push = self._events_until_ready(since=len(self.events))

    def _events_until_ready(self, since: int) -> list[tuple[str, str]]:
        """Return the Events from the given place on; the last one comes a moment after the status that it tells of."""
        last = ("Normal", "Ready")
        until(lambda: last in self.pull_request.events()[since:], "the Event of being ready")
        return self.pull_request.events()[since:]

    def _close(self, cluster: Cluster) -> None:
        self.kinds_before_close = {entry.split()[0] for entry in self.pull_request.left()}
        self.pull_request.close()
        self.pull_request.until_gone()
        self.left = self.pull_request.left()
        self.events_at_the_end = self.pull_request.events()[len(self.events) + len(self.events_after_push) :]
        secrets, _ = cluster.list(SECRETS, self.pull_request.namespace)
        self.secrets_left = [secret["metadata"]["name"] for secret in secrets]


class LifeAsSeen:
    """What is to be seen of a life, from outside."""

    def test_it_starts_with_a_build_and_no_replica(self, life: Life) -> None:
        assert life.job_at_first["metadata"]["namespace"] == BUILDS
        assert (life.at_first["appStatus"], life.at_first["buildStatus"]) == ("building", "building")

    def test_it_answers_once_it_is_built(self, life: Life) -> None:
        assert life.page.startswith(f"telling, commit {life.old}\n")

    def test_its_status_says_it_all(self, life: Life) -> None:
        app, commit, status = life.pull_request.app, life.old, dict(life.ready)
        assert {condition["type"]: condition["status"] for condition in status.pop("conditions")} == READY
        assert int(life.began) <= status.pop("buildStartedAt") <= time.time()
        assert status.pop("image").endswith(f"/acme/shop:{life.pull_request.number}-{commit[:12]}")
        assert status.pop("imageDigest") == life.pod["spec"]["containers"][0]["image"].partition("@")[2]
        assert status == {
            "appStatus": "deployed",
            "buildStatus": "success",
            "buildJobName": life.job_at_first["metadata"]["name"],
            "buildCommit": commit,
            "url": f"http://{app}.review.example.com",
            "stack": life.pull_request.stack,
            "namespace": life.pull_request.namespace,
            "observedGeneration": 1,
        }

    def test_each_step_was_an_event(self, life: Life) -> None:
        steps = ["Accepted", "Building", "Built", "Starting", "Available", "Ready"]
        assert life.events == [("Normal", step) for step in steps]

    def test_the_app_got_its_environment(self, life: Life) -> None:
        expected = {
            "KEY": "from a secret",
            "FLAG": "from a config map",
            "GREETING": "hello $(APP_NAME) 'ünïcode'",
            "LIMIT": "3",
            "APP_NAME": life.pull_request.app,
            "APP_DOMAIN": f"{life.pull_request.app}.review.example.com",
            "CLUSTER_DISABLED": "1",
            "NODE_IP": life.pod["status"]["podIP"],
        }
        assert {name: life.environment.get(name) for name in expected} == expected

    def test_migrate_ran_before_it(self, life: Life) -> None:
        assert life.migrate_log == f"migrating for {life.pull_request.app} with from a secret\n"

    def test_its_host_is_routed_to_it(self, life: Life) -> None:
        (rule,) = entries(life.ingress, "spec", "rules")
        assert rule["host"] == f"{life.pull_request.app}.review.example.com"
        (path,) = rule["http"]["paths"]
        assert path["backend"]["service"]["name"] == life.pull_request.app

    def test_after_a_push_the_old_version_answered_until_the_new_one_did(self, life: Life) -> None:
        versions = ["old" if life.old in page else "new" if life.new in page else page for page in life.answers]
        switch = versions.index("new")
        assert switch > 0
        # Not one miss, and no way back.
        assert set(versions[:switch]) == {"old"}
        assert set(versions[switch:]) == {"new"}

    def test_after_a_push_only_the_new_build_is_there(self, life: Life) -> None:
        assert len(life.jobs_after_push) == 1
        assert life.jobs_after_push != [life.job_at_first["metadata"]["name"]]
        assert life.events_after_push == [("Normal", step) for step in ("Building", "Built", "Updating", "Ready")]

    def test_at_its_end_nothing_is_left(self, life: Life) -> None:
        assert life.events_at_the_end == [("Normal", "Deleting")]
        assert life.kinds_before_close == {
            *("Secret", "Service", "Deployment", "Job", "Ingress", "NetworkPolicy", "Pod", "journal", "state")
        }
        assert life.left == []
        assert life.secrets_left == ["keys"]
