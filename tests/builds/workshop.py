"""A namespace of its own for build Jobs that no watcher made, with the tarballs of what they build."""

from __future__ import annotations

import base64
import dataclasses
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from dev.sample import Sample
from dev.target import BASE_IMAGE
from stacks.build import BUILD_CONTAINER, job
from stacks.inputs import Build
from stacks.naming import labels
from watcher.cluster import JOBS, NAMESPACES, PODS, SECRETS, Cluster, Object, entries, section

Seen = TypeVar("Seen")

DEADLINE_SECONDS = 120.0
SIGNATURE = "signature-of-the-url"
"""Stands in each tarball's address, where a credential could."""


@dataclasses.dataclass(frozen=True)
class Workshop:
    """A namespace for builds, with the tarballs of a few commits served in it."""

    cluster: Cluster
    sample: Sample
    commits: dict[str, str]
    namespace: str

    def build(self, kind: str, **changes: Any) -> Build:
        commit = self.commits[kind]
        build = Build(
            job_name=f"build-{kind}",
            namespace=self.namespace,
            commit=commit,
            tarball_url=f"{self.sample.url(commit)}?{SIGNATURE}",
            image=f"{os.environ['REVIEWAPP_REGISTRY']}/build-test/{kind}:{commit[:12]}",
            registry_insecure=os.environ.get("REVIEWAPP_REGISTRY_INSECURE") == "true",
            push_secret_name=None,
            tarball_secret_name=None,
            s3_endpoint_url=None,
            unpack_image=os.environ["REVIEWAPP_UNPACK_IMAGE"],
            builder_image=os.environ["REVIEWAPP_BUILDER_IMAGE"],
            push_image=os.environ["REVIEWAPP_PUSH_IMAGE"],
            seccomp_profile=os.environ.get("REVIEWAPP_BUILDER_SECCOMP_PROFILE"),
            timeout_seconds=int(DEADLINE_SECONDS),
            retries=0,
        )
        return build.model_copy(update=changes)

    def start(self, build: Build) -> None:
        """Create the build's Job, in place of one that an earlier test made."""
        self.cluster.delete(JOBS, self.namespace, build.job_name)
        wait_for(lambda: not self.pods(build))
        self.cluster.create(JOBS, self.namespace, job(build, labels("build-test", "1", "acme.build-test.1")))

    def outcome(self, build: Build) -> Object:
        """Run the build, and return the condition in which its Job ended."""
        self.start(build)
        return wait_for(lambda: self._final_condition(build))

    def _final_condition(self, build: Build) -> Object | None:
        found = self.cluster.get(JOBS, self.namespace, build.job_name) or {}
        ended = [one for one in entries(found, "status", "conditions") if one["type"] in ("Complete", "Failed")]
        return ended[0] if ended and ended[0]["status"] == "True" else None

    def pods(self, build: Build) -> list[Object]:
        return self.cluster.list(PODS, self.namespace, label_selector=f"job-name={build.job_name}")[0]

    def ending(self, build: Build, container: str) -> Object:
        """How the container of the build's only Pod ended: exitCode, reason, message."""
        (pod,) = self.pods(build)
        statuses = [*entries(pod, "status", "initContainerStatuses"), *entries(pod, "status", "containerStatuses")]
        (status,) = [status for status in statuses if status["name"] == container]
        return section(status, "state", "terminated")

    def log(self, build: Build, container: str) -> str:
        (pod,) = self.pods(build)
        return self.cluster.text(f"{PODS.path(self.namespace, pod['metadata']['name'], 'log')}?container={container}")


def wait_for(look: Callable[[], Seen | None]) -> Seen:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not seen within {DEADLINE_SECONDS:.0f} s"
        time.sleep(0.1)
    return seen


@contextmanager
def workshop(namespace: str, versions: dict[str, dict[str, str]]) -> Generator[Workshop]:
    """Open one, and close it with the block.

    Args:
        namespace: where; made, and deleted at the end.
        versions: the files of each version by its name; `{base}` in a Dockerfile is a base image.
    """
    cluster = Cluster.from_environment()
    base = os.environ[BASE_IMAGE]
    if cluster.get(NAMESPACES, None, namespace) is None:
        cluster.create(NAMESPACES, None, {"metadata": {"name": namespace}})
    sample = Sample(cluster, namespace, base)
    commits = {
        kind: sample.commit(kind, files | {"Dockerfile": files["Dockerfile"].replace("{base}", base)})
        for kind, files in versions.items()
    }
    sample.serve()
    yield Workshop(cluster, sample, commits, namespace)
    cluster.delete(NAMESPACES, None, namespace)
    wait_for(lambda: cluster.get(NAMESPACES, None, namespace) is None)


def make_secret(workshop: Workshop, name: str, kind: str, data: dict[str, str]) -> str:
    """Make a Secret beside the Jobs, in place of one of that name; return the name."""
    workshop.cluster.delete(SECRETS, workshop.namespace, name)
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    workshop.cluster.create(SECRETS, workshop.namespace, {"metadata": {"name": name}, "type": kind, "data": encoded})
    return name


def is_building(workshop: Workshop, build: Build) -> bool:
    """Whether its Dockerfile has said that it started."""
    for pod in workshop.pods(build):
        for status in entries(pod, "status", "initContainerStatuses"):
            if status["name"] == BUILD_CONTAINER and "running" in section(status, "state"):
                return "started" in workshop.log(build, BUILD_CONTAINER)
    return False
