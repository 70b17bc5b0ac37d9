"""What a Job, a Deployment and their Pods say of themselves, as states and reasons. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from stacks import naming
from watcher.cluster import Object, entries, section

JobState = Literal["missing", "running", "succeeded", "failed"]

# Reasons for which a container waits that only somebody's act can end, and those that every start passes through.
_JOB_LABEL = "batch.kubernetes.io/job-name"
_PASSING = {"ContainerCreating", "PodInitializing"}


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Why a container does not run: a reason in CamelCase, and what the node and the container said."""

    reason: str
    message: str


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
    """Return why the newest of these Pods does not run, or None where nothing is wrong yet."""
    for pod in reversed(pods):
        for status in entries(pod, "status", "initContainerStatuses") + entries(pod, "status", "containerStatuses"):
            found = _container_trouble(status)
            if found:
                return found
        unscheduled = find_condition(pod, "PodScheduled")
        if unscheduled and unscheduled["status"] == "False" and unscheduled.get("reason") == "Unschedulable":
            return Trouble("Unschedulable", unscheduled.get("message", ""))
    return None


def _container_trouble(status: Object) -> Trouble | None:
    name: str = status["name"]
    terminated = section(status, "state", "terminated")
    if terminated.get("exitCode"):
        return Trouble(terminated.get("reason") or "Error", _ended(name, terminated))
    waiting = section(status, "state", "waiting")
    reason: str | None = waiting.get("reason")
    if reason is None or reason in _PASSING:
        return None
    last = section(status, "lastState", "terminated")
    if last:
        return Trouble(reason, _ended(name, last))
    return Trouble(reason, f"container {name}: {waiting.get('message') or reason}")


def _ended(name: str, terminated: Object) -> str:
    lines: str = (terminated.get("message") or "").strip()
    text = f"container {name} ended with exit code {terminated.get('exitCode')}"
    if terminated.get("reason") == "OOMKilled":
        text = f"container {name} used more memory than its limit"
    return f"{text}; its last lines:\n{lines}" if lines else text
