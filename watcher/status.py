"""What a ReviewApp's status says, from what was observed. Pure.

`status` gives the whole status; `changes` gives the Events that tell of its way from the last one.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
from typing import Literal

from provisioner.errors import ReviewAppError, SpecRefused
from provisioner.review_app import Condition, Status
from stacks import database, naming, route
from stacks.inputs import Build, StackInputs
from watcher.build_log import MARK, is_kept
from watcher.builds import find_job, is_of
from watcher.cluster import section
from watcher.conditions import (
    Trouble,
    commit_pods,
    find_condition,
    is_retried,
    job_pods,
    job_state,
    refused_pods,
    trouble,
)
from watcher.databases import READY, database_state
from watcher.image_rule import denied
from watcher.rollout import is_current, is_rolled_out, is_stopped
from watcher.view import View

_MESSAGE_LIMIT = 2_000
# The API server takes 32768 characters; one condition has the lines of a log.
_LOG_LIMIT = 16_000
# Reasons that tell of the way things go; every other one is a warning.
_EXPECTED = {
    *(
        "Accepted",
        "Available",
        "Building",
        "Built",
        "Deleting",
        "Paused",
        "Pausing",
        "Queued",
        "Ready",
        "Starting",
        "Updating",
    ),
    *("Copying", "DatabaseReady", "DatabaseStarting"),
}
# By then a minute has passed.
_STALLED_TRIES = 7
_SILENT = {"NotAccepted", "NotBuilt", "WaitingForDatabase"}


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened, for `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclasses.dataclass(frozen=True)
class _Finding:
    """A condition before it is compared with the last one."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def status(view: View, now: float, error: ReviewAppError | None = None, deleting: str | None = None) -> Status:
    """Return the status to write.

    Args:
        view: what was observed; its journal entry is what was last asked for.
        now: Unix time.
        error: why the ReviewApp was refused or its stack could not be updated, if so.
        deleting: what a delete still waits for, if one is under way.
    """
    old = Status.read(view.review_app.get("status"))
    inputs = view.entry.inputs if view.entry else None
    build = inputs.build if inputs else None
    built = _built(view, build)
    findings = [_accepted(error), built, *_database(view, inputs), _available(view, inputs)]
    ready = _ready(view, findings, inputs, error, deleting)
    findings += [*_stalled(view, error), ready]
    generation = view.review_app["metadata"].get("generation", 0)
    was_queued = next((entry.reason for entry in old.conditions if entry.type == "Built"), None) == "Queued"
    same_build = build is not None and old.build_commit == build.commit and old.build_job_name == build.job_name
    return Status(
        app_status=_app_status(view, inputs, built, error),
        build_status={"True": "success", "Unknown": "building"}.get(built.status, "error")
        if build
        else old.build_status,
        build_job_name=build.job_name if build else old.build_job_name,
        build_commit=build.commit if build else old.build_commit,
        # The place in the queue is a pull request's: a push doesn't lose it.
        build_started_at=old.build_started_at
        if not build or (was_queued if built.reason == "Queued" else same_build and not was_queued)
        else int(now),
        image=build.image if build else old.image,
        image_digest=inputs.workload.image.partition("@")[2] or None
        if build and inputs and is_of(inputs, build)
        else None,
        url=route.url(inputs) if inputs else None,
        stack=inputs.stack if inputs else None,
        namespace=inputs.namespace if inputs else None,
        observed_generation=generation,
        conditions=tuple(_condition(finding, old, generation, now) for finding in findings),
    )


def changes(old: Status, new: Status) -> Iterator[Event]:
    """Return an Event for each condition whose status or reason is another than before."""
    known = {entry.type: (entry.status, entry.reason) for entry in old.conditions}
    # Ready repeats the reason of the condition that stands in its way, before or after that one: one Event tells it.
    told = {entry.reason for entry in old.conditions}
    for entry in new.conditions:
        if known.get(entry.type) == (entry.status, entry.reason) or entry.reason in _SILENT | told:
            continue
        told.add(entry.reason)
        yield Event("Normal" if entry.reason in _EXPECTED else "Warning", entry.reason, entry.message)


def _accepted(error: ReviewAppError | None) -> _Finding:
    if isinstance(error, SpecRefused):
        return _Finding("Accepted", "False", error.reason, str(error))
    return _Finding("Accepted", "True", "Accepted", "the spec is valid")


def _database(view: View, inputs: StackInputs | None) -> list[_Finding]:
    """Say how the database is, where the app has one."""
    if inputs is None or inputs.database is None:
        return []
    found = database_state(inputs, inputs.database, view.databases, view.jobs, view.pods)
    return [_Finding(READY, "True" if found.ready else "False", found.reason, found.message)]


def _built(view: View, build: Build | None) -> _Finding:
    """Say how far the build of the newest commit is: True, False once it is lost, Unknown while it goes on."""
    if build is None:
        return _Finding("Built", "Unknown", "NotAccepted", "nothing is being built")
    commit = build.commit[:12]
    inputs = view.entry.inputs if view.entry else None
    job = find_job(view.jobs, build.job_name)
    state = job_state(job)
    if state == "succeeded" or (inputs and is_of(inputs, build)):
        return _Finding("Built", "True", "Built", f"commit {commit} is built as {build.image}")
    if build.waits or (job and section(job, "spec").get("suspend")):
        return _Finding("Built", "Unknown", "Queued", f"commit {commit} waits for its turn: {_queue(view, build)}")
    found = trouble(job_pods(view.pods, build.job_name))
    if job is not None and state == "failed":
        failed = find_condition(job, "Failed") or {}
        reason = "BuildTimedOut" if failed.get("reason") == "DeadlineExceeded" else "BuildFailed"
        detail = _why(view, found) if found else _with_lines(view, failed.get("message", ""))
        if rule := denied(build, f"{found.message if found else ''}\n{view.lookups.lines or ''}"):
            detail = _with_lines(view, rule)
        if view.lookups.lines is None and is_kept(view.review_app, build.job_name):
            # The Pod may have gone since, and nothing else knows them.
            return _Finding("Built", "False", reason, (find_condition(view.review_app, "Built") or {})["message"])
        return _Finding("Built", "False", reason, f"the build of commit {commit} failed: {detail}")
    if found and not found.has_ended:
        return _Finding("Built", "Unknown", found.reason, f"the build of commit {commit} waits: {found.message}")
    if found and is_retried(job):
        return _Finding(
            "Built", "Unknown", "Retrying", f"the build of commit {commit} is tried again: {_why(view, found)}"
        )
    verb = "is being" if job else "is going to be"
    return _Finding("Built", "Unknown", "Building", f"commit {commit} {verb} built by Job {build.job_name}")


def _why(view: View, found: Trouble) -> str:
    """Say why a build's Pod failed, with the lines of its log that may be shown: the kubelet's may hold secrets."""
    return _with_lines(view, found.message.partition(MARK)[0] if found.has_ended else found.message)


def _with_lines(view: View, text: str) -> str:
    return f"{text}{MARK}{view.lookups.lines}" if view.lookups.lines else text


def _queue(view: View, build: Build) -> str:
    """Say where a build that waits stands."""
    if build.waits:
        return view.lookups.place or "it is about to begin"
    return f"its Job {build.job_name} is in Kueue's queue {build.queue}" if build.queue else "its Job is suspended"


def _paused(view: View, kind: Literal["Available", "Ready"]) -> _Finding:
    if not is_stopped(view.deployment):
        return _Finding(kind, "False", "Pausing", "it is paused, and its Pods are being stopped")
    message = f"no Pod of it runs until it is resumed: reviewapp resume {view.name}"
    return _Finding(kind, "False", "Paused", message)


def _available(view: View, inputs: StackInputs | None) -> _Finding:
    """Say whether any version answers; if none does, why."""
    if inputs is None:
        return _Finding("Available", "False", "NotAccepted", "nothing is deployed")
    if inputs.workload.paused:
        return _paused(view, "Available")
    if not inputs.workload.replicas:
        return _Finding("Available", "False", "NotBuilt", "there is no image to run yet")
    if not database.is_ready(inputs):
        return _Finding("Available", "False", "WaitingForDatabase", "the app starts once its database is ready")
    running = section(view.deployment or {}, "status")
    if running.get("availableReplicas"):
        return _Finding("Available", "True", "Available", f"the app answers at {route.url(inputs)}")
    if view.deleting:
        return _Finding("Available", "False", "Deleting", "the app has ended")
    found = _trouble(view, inputs.workload.commit)
    if found:
        return _Finding("Available", "False", found.reason, found.message)
    return _Finding("Available", "False", "Starting", f"commit {inputs.workload.commit[:12]} is starting")


def _ready(
    view: View,
    findings: list[_Finding],
    inputs: StackInputs | None,
    error: ReviewAppError | None,
    deleting: str | None,
) -> _Finding:
    """Say whether the newest commit is what answers; if not, the first thing that stands in its way."""
    if deleting is not None:
        return _Finding("Ready", "False", "Deleting", deleting)
    if error is not None:
        return _Finding("Ready", "False", error.reason, f"{error}; {_way_out(view)}" if view.deleting else str(error))
    if inputs and inputs.workload.paused:
        return _paused(view, "Ready")
    for finding in findings:
        if finding.status != "True":
            return _Finding("Ready", "False", finding.reason, finding.message)
    commit = inputs.workload.commit if inputs else ""  # Without inputs, Available is not True.
    if not (inputs and is_current(view.deployment, inputs) and is_rolled_out(view.deployment)):
        found = _trouble(view, commit)
        if found:
            return _Finding("Ready", "False", found.reason, found.message)
        return _Finding("Ready", "False", "Updating", f"commit {commit[:12]} is taking over")
    return _Finding("Ready", "True", "Ready", f"commit {commit[:12]} answers")


def _trouble(view: View, commit: str) -> Trouble | None:
    """Return what keeps a commit's Pods from running."""
    return trouble(commit_pods(view.pods, commit)) or refused_pods(view.deployment)


def _stalled(view: View, error: ReviewAppError | None) -> list[_Finding]:
    """Say that an update fails again and again, as it will until what it depends on changes."""
    failure = view.failure
    if error is None or failure is None or failure.tries < _STALLED_TRIES or view.deleting:
        return []
    again = "goes on within half a minute of that" if failure.is_seen else "is tried again every five minutes"
    message = f"{error}; it has failed again and again, and {again}, or at once when the ReviewApp changes"
    return [_Finding("Stalled", "True", error.reason, message)]


def _way_out(view: View) -> str:
    """Say how a delete that fails can be given up."""
    command = f"kubectl annotate reviewapp {view.name} {naming.ORPHAN_ANNOTATION}=true"
    return f"it is tried again; `{command}` would let it go, and leave what it has where it is"


def _app_status(view: View, inputs: StackInputs | None, built: _Finding, error: ReviewAppError | None) -> str:
    if view.deleting:
        return "deleting"
    if inputs and inputs.workload.paused and is_stopped(view.deployment):
        return "paused"
    if inputs and inputs.workload.replicas and database.is_ready(inputs):
        return "deployed"
    lost = any(finding.reason == "CopyFailed" for finding in _database(view, inputs))
    return "error" if lost or built.status == "False" or isinstance(error, SpecRefused) else "building"


def _condition(finding: _Finding, old: Status, generation: int, now: float) -> Condition:
    known = next((entry for entry in old.conditions if entry.type == finding.type), None)
    if known and known.status == finding.status:
        since = known.last_transition_time
    else:
        since = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = finding.message
    limit = _LOG_LIMIT if finding.type == "Built" else _MESSAGE_LIMIT
    if len(message) > limit:
        # The end of a log is what tells.
        message = f"{message[:200]} […] {message[-(limit - 210) :]}"
    return Condition(
        type=finding.type,
        status=finding.status,
        reason=finding.reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )
