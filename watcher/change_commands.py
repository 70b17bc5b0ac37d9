"""The commands that ask something of one review app: rebuild, pause, resume, delete. Thin skins over one write each.

They write to the ReviewApp alone, with the rights of whoever calls them; the watcher does the rest.
"""

from __future__ import annotations

import datetime
from typing import Annotated

import typer

from provisioner.errors import ReviewAppError
from provisioner.review_app import Status
from stacks import naming
from watcher.cluster import REVIEW_APPS, ApiRefused, Cluster, Object, section
from watcher.listing import short
from watcher.lookup import App, ReviewAppNotFound, find
from watcher.progress import say
from watcher.submission import TooLate, deleting
from watcher.waiting import until_gone, until_ready

_TOO_LATE = 3

Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="How long --wait waits, at most.", min=1)]
UntilReady = Annotated[bool, typer.Option("--wait", help="Show how it goes until the app answers.")]


def rebuild(app: App, wait: UntilReady = False, timeout: Timeout = 1800) -> None:
    """Build the commit of a review app once more, whether or not its build failed.

    What runs goes on until the new image is there. With --wait the exit code is
    1 if the build failed, and 3 if it took too long.
    """
    cluster = Cluster.from_environment()
    review_app = _not_deleting(find(cluster, app))
    spec = section(review_app, "spec")
    refused = _refused(review_app)
    if refused:
        raise ReviewAppError(f"{_name(review_app)} is refused, nothing can be built: {refused}")
    if wait and _is_paused(review_app):
        raise ReviewAppError(f"{_name(review_app)} is paused, it will not answer: resume it, or leave --wait out")
    token = datetime.datetime.now(datetime.UTC).isoformat()
    written = _annotate(cluster, review_app, naming.REBUILD_ANNOTATION, token)
    say(f"ReviewApp {_name(review_app)}: commit {short(spec['commitHash'])} is built again")
    job = naming.build_job_name(naming.app_name(spec["repo"], spec["pr"]), spec["commitHash"], naming.attempt(token))
    if wait:
        _wait(cluster, written, timeout, job=job)


def pause(app: App) -> None:
    """Stop the Pods of a review app; all else stays, and commits are built on.

    `resume` starts them again.
    """
    cluster = Cluster.from_environment()
    review_app = _not_deleting(find(cluster, app))
    if _is_paused(review_app):
        say(f"ReviewApp {_name(review_app)} is paused already")
        return
    _annotate(cluster, review_app, naming.PAUSED_ANNOTATION, "true")
    say(f"ReviewApp {_name(review_app)} is paused: `reviewapp resume {_name(review_app)}` starts it again")


def resume(app: App, wait: UntilReady = False, timeout: Timeout = 600) -> None:
    """Start the Pods of a paused review app again, with the newest version that was built.

    With --wait the exit code is 1 if its build failed, and 3 if it took too long.
    """
    cluster = Cluster.from_environment()
    review_app = _not_deleting(find(cluster, app))
    if _is_paused(review_app):
        review_app = _annotate(cluster, review_app, naming.PAUSED_ANNOTATION, None)
        say(f"ReviewApp {_name(review_app)} is resumed")
    else:
        say(f"ReviewApp {_name(review_app)} is not paused")
    if wait:
        _wait(cluster, review_app, timeout)


def delete(
    app: App,
    wait: Annotated[bool, typer.Option("--wait", help="Show how it goes until nothing of it is left.")] = False,
    timeout: Timeout = 600,
) -> None:
    """Delete a review app and all that it has.

    With --wait the exit code is 3 if that took too long.
    """
    cluster = Cluster.from_environment()
    review_app = find(cluster, app)
    name = _name(review_app)
    if deleting(review_app):
        say(f"ReviewApp {name} is being deleted already")
    else:
        cluster.delete(REVIEW_APPS, None, name)
        say(f"ReviewApp {name} is being deleted")
    if wait:
        try:
            until_gone(cluster, name, timeout)
        except TooLate as error:
            _end_too_late(error)


def _name(review_app: Object) -> str:
    return review_app["metadata"]["name"]


def _not_deleting(review_app: Object) -> Object:
    if deleting(review_app):
        raise ReviewAppError(f"{_name(review_app)} is being deleted: nothing else can be asked of it")
    return review_app


def _is_paused(review_app: Object) -> bool:
    return section(review_app, "metadata", "annotations").get(naming.PAUSED_ANNOTATION) == "true"


def _refused(review_app: Object) -> str | None:
    """Return why the watcher can't take the spec as it stands."""
    conditions = Status.read(review_app.get("status")).conditions
    return next((entry.message for entry in conditions if (entry.type, entry.status) == ("Accepted", "False")), None)


def _annotate(cluster: Cluster, review_app: Object, name: str, value: str | None) -> Object:
    """Set an annotation, or take it away; return the ReviewApp since then."""
    metadata = review_app["metadata"]
    # With its uid: another ReviewApp that got the name meanwhile is not what was looked at.
    body = {"metadata": {"uid": metadata["uid"], "annotations": {name: value}}}
    try:
        return cluster.patch(REVIEW_APPS, None, metadata["name"], body)
    except ApiRefused as error:
        if error.status not in {404, 409}:
            raise
        raise ReviewAppNotFound(f"{metadata['name']} was deleted meanwhile") from None


def _wait(cluster: Cluster, review_app: Object, seconds: float, job: str | None = None) -> None:
    """Wait until the commit answers, from this build if one is named, and print where."""

    def is_current(status: Status) -> bool:
        return status.app_status != "paused" if job is None else status.build_job_name == job

    commit, generation = review_app["spec"]["commitHash"], review_app["metadata"]["generation"]
    try:
        typer.echo(until_ready(cluster, _name(review_app), commit, generation, seconds, is_current))
    except TooLate as error:
        _end_too_late(error)


def _end_too_late(error: TooLate) -> None:
    say(f"error: {error}")
    raise typer.Exit(_TOO_LATE) from None
