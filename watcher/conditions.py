"""What a Job, a Deployment and their Pods say of themselves, as states and reasons. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from stacks import naming
from watcher.cluster import Object, entries, section

JobState = Literal["missing", "running", "succeeded", "failed"]

_JOB_LABEL = "batch.kubernetes.io/job-name"
# Reasons for which a container waits: those that every start passes through, and those that go round in a circle.
_PASSING = {"ContainerCreating", "PodInitializing"}
_ALIASES = {"ErrImagePull": "ImagePullBackOff"}
_NOT_ROOT = (
    "apps don't run as root: end the Dockerfile's last stage with a user other than 0, by its number, as in USER 1000; "
    "or have the platform's owner add the repository to the setting root_repositories"
)


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Why a container does not run.

    Attributes:
        reason: in CamelCase, the kubelet's or the controller's own.
        message: what the node and the container, or the controller, said.
        has_ended: whether it was started and ended, rather than waits to be started.
    """

    reason: str
    message: str
    has_ended: bool = False


def job_state(job: Object | None) -> JobState:
    """Return how far a Job is, by its conditions.

    https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
    """
    if job is None:
        return "missing"
    if condition(job, "Complete") == "True":
        return "succeeded"
    return "failed" if condition(job, "Failed") == "True" else "running"


def condition(item: Object, kind: str) -> str | None:
    """Return the status of a condition of an object."""
    found = find_condition(item, kind)
    return found["status"] if found else None


def find_condition(item: Object, kind: str) -> Object | None:
    """Return a condition of an object."""
    return next((entry for entry in entries(item, "status", "conditions") if entry["type"] == kind), None)


def is_retried(job: Object | None) -> bool:
    """Whether a Pod of a Job has failed, and the Job has decided to start another."""
    if job is None or not section(job, "status").get("failed"):
        return False
    return condition(job, "FailureTarget") != "True" and job_state(job) == "running"


def job_pods(pods: Sequence[Object], job: str) -> list[Object]:
    """Return the Pods of a Job, oldest first."""
    mine = [pod for pod in pods if section(pod, "metadata", "labels").get(_JOB_LABEL) == job]
    return sorted(mine, key=lambda pod: pod["metadata"]["creationTimestamp"])


def commit_pods(pods: Sequence[Object], commit: str) -> list[Object]:
    """Return the app's Pods that run a commit, oldest first; those on their way out are left out."""
    mine = [
        pod
        for pod in pods
        if section(pod, "metadata", "annotations").get(naming.COMMIT_ANNOTATION) == commit
        and _JOB_LABEL not in section(pod, "metadata", "labels")
        and "deletionTimestamp" not in pod["metadata"]
    ]
    return sorted(mine, key=lambda pod: pod["metadata"]["creationTimestamp"])


def trouble(pods: Sequence[Object]) -> Trouble | None:
    """Return why the newest of these Pods does not run, or None where nothing is wrong yet.

    A container that is started again and again goes through several states, and an image that can't be pulled
    through two: each such circle is one trouble, with one reason.
    """
    for pod in reversed(pods):
        is_jobs = _JOB_LABEL in section(pod, "metadata", "labels")
        for kind in ("initContainerStatuses", "containerStatuses"):
            serves = kind == "containerStatuses" and not is_jobs
            for status in entries(pod, "status", kind):
                found = _end(status, serves) or _wait(status)
                if found:
                    return found
        unscheduled = find_condition(pod, "PodScheduled")
        if unscheduled and unscheduled["status"] == "False" and unscheduled.get("reason") == "Unschedulable":
            return Trouble("Unschedulable", unscheduled.get("message", ""))
    return None


def refused_pods(deployment: Object | None) -> Trouble | None:
    """Return why a Deployment can't have the Pods that it asks for: a quota, an admission policy, an unknown account.

    https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment
    """
    found = find_condition(deployment or {}, "ReplicaFailure") or {}
    if (found.get("status"), found.get("reason")) != ("True", "FailedCreate"):
        return None
    return Trouble("FailedCreate", f"no Pod can be made: {found.get('message', '')}")


def _end(status: Object, serves: bool) -> Trouble | None:
    """Say how a container ended that should not have: the last time, where it is being started again.

    One that `serves` should never end, any other not with an error.
    """
    ended = section(status, "state", "terminated") or section(status, "lastState", "terminated")
    if not ended or status.get("ready") or not (serves or ended.get("exitCode")):
        return None
    name: str = status["name"]
    if ended.get("reason") == "OOMKilled":
        text = f"container {name} used more memory than its limit"
    else:
        text = f"container {name} ended with exit code {ended.get('exitCode')}"
    lines: str = (ended.get("message") or "").strip()
    reason = "OOMKilled" if ended.get("reason") == "OOMKilled" else "CrashLoopBackOff"
    return Trouble(reason, f"{text}; its last lines:\n{lines}" if lines else text, has_ended=True)


def _wait(status: Object) -> Trouble | None:
    """Say what a container waits for, where that is more than what every start passes through."""
    waiting = section(status, "state", "waiting")
    reason: str | None = waiting.get("reason")
    if reason is None or reason in _PASSING:
        return None
    text = f"container {status['name']}: {waiting.get('message') or reason}"
    # The kubelet's own word for an image whose user is root, or is given by name, so that it can't tell.
    return Trouble(_ALIASES.get(reason, reason), f"{text}; {_NOT_ROOT}" if "runAsNonRoot" in text else text)
