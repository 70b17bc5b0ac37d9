"""The demo: one pull request's life on a real cluster, told line by line.

Every step is what a bot, a platform owner and a visitor would do: ReviewApps are created through the
API, tarballs come from a web server in the cluster, the page is fetched through the Service.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from dev.console import Step, fail, say
from dev.installation import Installation
from dev.paths import STATE
from dev.sample import Sample
from dev.target import BASE_IMAGE
from provisioner.errors import ReviewAppError
from stacks import naming
from watcher.cluster import DECLARED, PODS, REVIEW_APPS, SECRETS, SERVICES, Cluster, Object
from watcher.conditions import find_condition

_NAME = "acme-shop-42"
_NAMESPACE = "review-shop"
_APP = "shop-42"
_SYSTEM = "reviewapp-system"
_DEADLINE_SECONDS = 300.0
_POLL_SECONDS = 0.05


class Demo:
    """The story, step by step. Each step ends the program with what is wrong if it does not come true in time."""

    def __init__(self, cluster: Cluster, installation: Installation) -> None:
        self._cluster = cluster
        self._installation = installation

    def play(self) -> None:
        """Play it all; leave nothing in the cluster but the installation."""
        self._installation.install()
        self._installation.namespace(_NAMESPACE)
        sample = Sample(self._cluster, "default", os.environ[BASE_IMAGE])
        first, second = sample.commit("the first version"), sample.commit("the second version")
        sample.serve()
        with self._installation.watcher():
            if self._review_app():
                self._cluster.delete(REVIEW_APPS, None, _NAME)
                self._until_gone("clear away what an earlier run left")
            self._create(sample, first)
            self._update(sample, first, second)
            self._delete()

    def _create(self, sample: Sample, commit: str) -> None:
        began = time.monotonic()
        self._cluster.create(REVIEW_APPS, None, _manifest(sample, commit))
        say(f"  ReviewApp {_NAME} created: pull request 42 of acme/shop, commit {commit[:10]}")
        with Step("the stack: build Job, Secret, Deployment at 0, Service, Ingress"):
            self._until(lambda: self._deployment_replicas() == 0, "the Deployment is there")
        with Step("the build Job unpacks the tarball, builds the image, pushes it"):
            self._until(lambda: self._is_true("Built"), "Built is True")
        with Step("the Deployment goes from 0 to 1 and the app starts"):
            self._until(lambda: self._is_true("Ready"), "Ready is True")
        say(f"  the page, through the Service: {self._page_of(commit)}")
        say(f"  {time.monotonic() - began:.1f} s from ReviewApp to page")

    def _update(self, sample: Sample, old: str, new: str) -> None:
        began = time.monotonic()
        spec = {"commitHash": new, "tarballUrl": sample.url(new)}
        self._cluster.patch(REVIEW_APPS, None, _NAME, {"spec": spec})
        say(f"  a second commit is pushed: {new[:10]}")
        fetched = 0
        with Step("the old version goes on answering while the new one builds"):
            deadline = time.monotonic() + _DEADLINE_SECONDS
            while new not in (page := self._page() or ""):
                if old not in page:
                    fail(f"no version answered: {page!r}", f"see {self._installation.log}")
                if time.monotonic() > deadline:
                    fail("the new version did not answer in time", f"see {self._installation.log}")
                fetched += 1
                time.sleep(_POLL_SECONDS)
        say(f"  the old page was fetched {fetched} times without a miss; now: {self._page_of(new)}")
        say(f"  {time.monotonic() - began:.1f} s from push to new page")

    def _delete(self) -> None:
        self._cluster.delete(REVIEW_APPS, None, _NAME)
        say("  the pull request is closed: ReviewApp deleted")
        self._until_gone("the stack is destroyed")
        left = self._left()
        say("  what is left of it, by kind: " + ", ".join(f"{kind} {count}" for kind, count in left.items()))
        if any(left.values()):
            fail("something is left", f"see {self._installation.log}")

    def _until_gone(self, label: str) -> None:
        # What it failed at, it may go with.
        with Step(label):
            self._until(lambda: self._review_app() is None, "the ReviewApp is gone", failing=())

    def _until(self, true: Callable[[], bool], what: str, failing: Sequence[str] = ("Accepted", "Built")) -> None:
        """Wait until it is true; end the demo if it does not come, or one of the conditions `failing` is False."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not true():
            failed = self._failed_condition(failing)
            if failed or time.monotonic() > deadline:
                fail(
                    f"{failed or f'not in time: {what}'}",
                    f"see {self._installation.log}, or `kubectl describe reviewapps`",
                )
            time.sleep(_POLL_SECONDS)

    def _review_app(self) -> Object | None:
        return self._cluster.get(REVIEW_APPS, None, _NAME)

    def _condition(self, kind: str) -> Object:
        return find_condition(self._review_app() or {}, kind) or {}

    def _is_true(self, kind: str) -> bool:
        return self._condition(kind).get("status") == "True"

    def _failed_condition(self, kinds: Sequence[str]) -> str | None:
        for kind in kinds:
            found = self._condition(kind)
            if found.get("status") == "False":
                return f"{kind} is False ({found['reason']}): {found['message']}"
        return None

    def _deployment_replicas(self) -> int | None:
        deployment = self._cluster.get(DECLARED["apps/v1", "Deployment"], _NAMESPACE, _APP)
        return deployment["spec"]["replicas"] if deployment else None

    def _page(self) -> str | None:
        """Fetch the page through the API server's proxy to the Service, which any kubeconfig reaches."""
        try:
            return self._cluster.text(f"{SERVICES.path(_NAMESPACE, _APP)}:80/proxy/")
        except ReviewAppError:
            return None

    def _page_of(self, commit: str) -> str:
        self._until(lambda: commit in (self._page() or ""), f"the page shows {commit}")
        return (self._page() or "").splitlines()[0]

    def _left(self) -> dict[str, int]:
        selector = f"{naming.APP_LABEL}=shop,{naming.BUILD_LABEL}=42"
        kinds = [*DECLARED.values(), PODS]
        counts = {r.kind: len(self._cluster.list(r, label_selector=selector)[0]) for r in kinds}
        journal, _ = self._cluster.list(SECRETS, _SYSTEM, label_selector=f"{naming.GROUP}/journal")
        stacks = list((self._installation.folder / "state").rglob(f"*/{_STACK}.json"))
        return counts | {"journal entry": len(journal), "Pulumi stack": len(stacks)}


_STACK = naming.stack_name("acme", "shop", "42")


def _manifest(sample: Sample, commit: str) -> dict[str, Any]:
    return {
        "apiVersion": REVIEW_APPS.api_version,
        "kind": REVIEW_APPS.kind,
        "metadata": {"name": _NAME},
        "spec": sample.spec(commit, _NAMESPACE),
    }


def main() -> None:
    """Play the demo on the cluster of KUBECONFIG."""
    try:
        cluster = Cluster.from_environment()
        Demo(cluster, Installation(cluster, STATE / "demo")).play()
    except ReviewAppError as error:
        fail(str(error), "see whether the cluster is up: `make down`, then `make demo`")
    say("✓ that was one pull request's life")


if __name__ == "__main__":
    main()
