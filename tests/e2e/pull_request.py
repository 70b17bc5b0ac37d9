"""One pull request of `acme/shop` as its bot, a visitor and somebody with kubectl see it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from dev.sample import Sample
from provisioner.errors import ReviewAppError
from stacks import naming
from tests.e2e.waiting import DEADLINE_SECONDS, until
from watcher.cluster import (
    DECLARED,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    PODS,
    REVIEW_APPS,
    SECRETS,
    SERVICES,
    Cluster,
    Object,
    section,
)
from watcher.conditions import find_condition

SYSTEM = "reviewapp-system"
BUILDS = "reviewapp-builds"


class PullRequest:
    """A pull request by its number: its ReviewApp, and all that the cluster has of it.

    Args:
        cluster: where everything is.
        sample: the repository.
        namespace: where the app runs.
        number: the pull request's.
        state: the folder of the watcher's state backend.
    """

    def __init__(self, cluster: Cluster, sample: Sample, namespace: str, number: int, state: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.number = str(number)
        self.name = f"acme-shop-{number}"
        self.app = f"shop-{number}"
        self.stack = naming.stack_name("acme", "shop", self.number)
        self._sample = sample
        self._state = state
        self._uid = ""

    def manifest(self, commit: str, config: dict[str, Any] | None = None, **changes: Any) -> Object:
        """Return its ReviewApp, with fields of the spec and of its config replaced."""
        spec = self._sample.spec(commit, self.namespace, self.number) | changes
        return {
            "apiVersion": REVIEW_APPS.api_version,
            "kind": REVIEW_APPS.kind,
            "metadata": {"name": self.name},
            "spec": spec | {"config": spec["config"] | (config or {})},
        }

    def open(self, commit: str, config: dict[str, Any] | None = None, **changes: Any) -> None:
        created = self.cluster.create(REVIEW_APPS, None, self.manifest(commit, config, **changes))
        self._uid = created["metadata"]["uid"]

    def open_unbuildable(self, commit: str) -> None:
        """Open it with a commit that can't be built, and wait until that is said: all that it declares is there."""
        self.open(commit)
        self.until_condition("Built", "False", "BuildFailed")

    def push(self, commit: str, **changes: Any) -> None:
        spec = {"commitHash": commit, "tarballUrl": self._sample.url(commit)} | changes
        self.cluster.patch(REVIEW_APPS, None, self.name, {"spec": spec})

    def close(self) -> None:
        """Delete its ReviewApp; return at once."""
        self.cluster.delete(REVIEW_APPS, None, self.name)

    def review_app(self) -> Object | None:
        return self.cluster.get(REVIEW_APPS, None, self.name)

    def status(self) -> Object:
        return section(self.review_app() or {}, "status")

    def condition(self, kind: str) -> Object:
        return find_condition(self.review_app() or {}, kind) or {}

    def until_condition(
        self, kind: str, status: str, reason: str | None = None, seconds: float = DEADLINE_SECONDS
    ) -> Object:
        """Wait until a condition has this status and, if one is given, this reason; return the condition."""

        def look() -> Object | None:
            found = self.condition(kind)
            return (
                found if (found.get("status"), reason or found.get("reason")) == (status, found.get("reason")) else None
            )

        return until(look, f"{self.name}: {kind} is {status} {reason or ''}", seconds, self._as_yaml)

    def until_ready(self, commit: str, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until the version of this commit is what answers."""

        def look() -> bool:
            status = self.status()
            return status.get("buildCommit") == commit and self.condition("Ready").get("status") == "True"

        until(look, f"{self.name}: ready with {commit}", seconds, self._as_yaml)

    def until_gone(self, seconds: float = DEADLINE_SECONDS) -> None:
        until(lambda: self.review_app() is None, f"{self.name} is gone", seconds, self._as_yaml)

    def page(self, path: str = "") -> str | None:
        """Return a page of the app, fetched through its Service; None if nothing answers."""
        try:
            return self.cluster.text(f"{SERVICES.path(self.namespace, self.app)}:80/proxy/{path}")
        except ReviewAppError:
            return None

    def deployment(self) -> Object | None:
        return self.cluster.get(DEPLOYMENTS, self.namespace, self.app)

    def replicas(self) -> int | None:
        deployment = self.deployment()
        return deployment["spec"]["replicas"] if deployment else None

    def tarball_url(self, commit: str) -> str:
        return self._sample.url(commit)

    def jobs(self) -> list[Object]:
        return self._labelled(JOBS)

    def pods(self) -> list[Object]:
        """Return the app's Pods, without those of builds."""
        return [pod for pod in self._labelled(PODS) if pod["metadata"]["namespace"] == self.namespace]

    def build_pods(self) -> list[Object]:
        return [pod for pod in self._labelled(PODS) if pod["metadata"]["namespace"] == BUILDS]

    def events(self) -> list[tuple[str, str]]:
        """Return type and reason of each Event on the ReviewApp, in their order."""
        items = self.cluster.list(EVENTS, "default")[0]
        mine = [item for item in items if item["involvedObject"].get("uid") == self._uid]
        mine.sort(key=lambda item: int(item["metadata"]["resourceVersion"]))
        return [(item["type"], item["reason"]) for item in mine]

    def objects(self) -> list[str]:
        """Return the objects of its stack, as `Kind namespace/name`, the Pods that they made included."""
        return [
            f"{resource.kind} {item['metadata']['namespace']}/{item['metadata']['name']}"
            for resource in (*DECLARED.values(), PODS)
            for item in self._labelled(resource)
        ]

    def left(self) -> list[str]:
        """Return all that is there of its stack: its objects, and the watcher's own records."""
        found = [*self.objects(), *(f"journal {name}" for name in self._journal() if name == self.name)]
        return found + [f"state {entry}" for entry in self.recorded()]

    def recorded(self) -> list[str]:
        """Return what the state backend has of its stack."""
        return [str(path) for path in self._state.rglob("*") if path.is_file() and self.stack in str(path)]

    def _journal(self) -> list[str]:
        secrets = self.cluster.list(SECRETS, SYSTEM, label_selector=f"{naming.GROUP}/journal")[0]
        return [json.loads(base64.b64decode(secret["data"]["entry"]))["reviewApp"] for secret in secrets]

    def _labelled(self, resource: Any) -> list[Object]:
        return self.cluster.list(resource, label_selector=f"{naming.STACK_LABEL}={self.stack}")[0]

    def _as_yaml(self) -> str:
        return json.dumps(self.status(), indent=1)
