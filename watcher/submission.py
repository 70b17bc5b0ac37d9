"""The bot's writes: a pull request's ReviewApp made or changed, followed, and deleted.

Needs `get`, `create`, `patch`, `delete` and `watch` on ReviewApps, and nothing else of the cluster. Writes no more than
the fields of the spec, so that whatever else writes to a ReviewApp goes on beside it. Each step can be cut off and
done again.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Literal

import stamina

from bot.outcome import failed_job
from provisioner.errors import ClusterUnreachable, ReviewAppError
from provisioner.review_app import Spec, Status
from stacks.naming import REBUILD_ANNOTATION
from watcher.cluster import REVIEW_APPS, ApiRefused, Cluster, Object, section
from watcher.connection import ResourceVersionGone

_ATTEMPTS = 10
_ATTEMPTS_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_WATCH_SECONDS = 60.0
# Another writer was faster, or the server is busy.
_PASSING = {409, 429, 500, 502, 503, 504}
_IDENTITY = ("repoOwner", "repo", "pr")

Written = Literal["created", "changed", "as it was", "built once more"]


class NameTaken(ReviewAppError):
    """The name is that of another pull request's ReviewApp."""

    reason = "NameTaken"


class TooLate(ReviewAppError):
    """What was waited for did not come in time."""

    reason = "TooLate"


class _Moved(ReviewAppError):
    """The ReviewApp came, went, or began to go between two looks: look again."""


@dataclasses.dataclass(frozen=True)
class PullRequest:
    """What a ReviewApp is for, as its spec names it."""

    repo_owner: str
    repo: str
    number: str

    def __str__(self) -> str:
        return f"{self.repo_owner}/{self.repo}#{self.number}"


def deleting(review_app: Object) -> bool:
    """Whether somebody asked for the ReviewApp's deletion."""
    return "deletionTimestamp" in review_app["metadata"]


def submit(cluster: Cluster, name: str, spec: Spec) -> tuple[Written, Object] | None:
    """Make the ReviewApp ask for `spec`; return what was done and the ReviewApp, or None if it must go first.

    A ReviewApp that is on its way out stays so: wait until it is gone (`follow`), and submit again. One that asks for
    the same already is left as it is, but that a build of it which has failed is tried once more.

    Raises:
        NameTaken: the name is that of another pull request's ReviewApp.
        ApiRefused: the API server refuses.
        ClusterUnreachable: it does not answer.
    """

    @stamina.retry(on=_worth_another_try, attempts=_ATTEMPTS, timeout=_ATTEMPTS_SECONDS)
    def once() -> tuple[Written, Object] | None:
        found = cluster.get(REVIEW_APPS, None, name)
        if found is None:
            return "created", _create(cluster, name, spec)
        _refuse_another(found, PullRequest(spec.repo_owner, spec.repo, spec.pr))
        if deleting(found):
            return None
        changed = _change(cluster, name, spec)
        if deleting(changed) or changed["metadata"]["uid"] != found["metadata"]["uid"]:
            raise _Moved("it is on its way out: try again")
        if changed["metadata"]["generation"] != found["metadata"]["generation"]:
            return "changed", changed
        if failed_job(Status.read(found.get("status")), spec.commit_hash):
            annotation = {"metadata": {"annotations": {REBUILD_ANNOTATION: uuid.uuid4().hex}}}
            cluster.patch(REVIEW_APPS, None, name, annotation)
            return "built once more", found
        return "as it was", changed

    return once()


def close(cluster: Cluster, name: str, pull_request: PullRequest) -> bool:
    """Ask for the ReviewApp's deletion; return whether there was one.

    Args:
        cluster: where it is.
        name: the ReviewApp's.
        pull_request: whose it has to be.

    Raises:
        NameTaken: the name is that of another pull request's ReviewApp.
    """

    @stamina.retry(on=_worth_another_try, attempts=_ATTEMPTS, timeout=_ATTEMPTS_SECONDS)
    def once() -> bool:
        found = cluster.get(REVIEW_APPS, None, name)
        if found is None:
            return False
        _refuse_another(found, pull_request)
        cluster.delete(REVIEW_APPS, None, name)
        return True

    return once()


def follow(cluster: Cluster, name: str, seconds: float) -> Iterator[Object | None]:
    """Yield the ReviewApp now and whenever it changes; None, and no more, once there is none.

    An API server that does not answer for a while is waited for.

    Raises:
        TooLate: after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            item = cluster.get(REVIEW_APPS, None, name)
            yield item
            if item is None:
                return
            version = item["metadata"]["resourceVersion"]
            # One that ends without a word is followed by another look: nothing is missed, whatever it left out.
            with closing(cluster.watch(REVIEW_APPS, version, name=name, seconds=min(left, _WATCH_SECONDS))) as changes:
                for kind, seen in changes:
                    if kind == "DELETED":
                        yield None
                        return
                    if kind != "BOOKMARK":
                        yield seen
        except ResourceVersionGone:
            pass
        except (ApiRefused, ClusterUnreachable) as error:
            if not _worth_another_try(error):
                raise
        time.sleep(min(_PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))
    raise TooLate(f"not within {seconds:g} s")


def _create(cluster: Cluster, name: str, spec: Spec) -> Object:
    body: Object = {
        "apiVersion": REVIEW_APPS.api_version,
        "kind": REVIEW_APPS.kind,
        "metadata": {"name": name},
        "spec": _fields(spec),
    }
    try:
        return cluster.create(REVIEW_APPS, None, body)
    except ApiRefused as error:
        if error.status == 404:
            raise ReviewAppError(
                "the cluster does not know ReviewApps: see that KUBECONFIG names the right one, and that the watcher "
                "is installed there (docs/operations.md)"
            ) from None
        raise


def _change(cluster: Cluster, name: str, spec: Spec) -> Object:
    # A whole field at a time: a merge would keep what the new config no longer has.
    operations: list[Object] = [
        {"op": "add", "path": f"/spec/{field}", "value": value} for field, value in _fields(spec).items()
    ]
    try:
        return cluster.change(REVIEW_APPS, None, name, operations)
    except ApiRefused as error:
        if error.status == 404:
            raise _Moved("it is gone: try again") from None
        raise


def _fields(spec: Spec) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _refuse_another(review_app: Object, wanted: PullRequest) -> None:
    spec = section(review_app, "spec")
    found = PullRequest(*(str(spec.get(field)) for field in _IDENTITY))
    if found != wanted:
        raise NameTaken(
            f"ReviewApp {review_app['metadata']['name']} is that of {found}, not of {wanted}: name another with --name"
        )


def _worth_another_try(error: Exception) -> bool:
    return isinstance(error, _Moved | ClusterUnreachable) or (
        isinstance(error, ApiRefused) and error.status in _PASSING
    )
