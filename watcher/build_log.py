"""The last lines of a build that failed, as they are kept: without what its Secrets hold.

They are read once, while the Pod is there, and then stand in the condition Built of the ReviewApp: whoever may see that
it failed sees why, without a right in the build namespace, for as long as it is the newest build.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

import structlog

from provisioner.errors import ReviewAppError
from provisioner.review_app import Status
from watcher.cluster import PODS, SECRETS, ApiRefused, Cluster, Object, entries, section
from watcher.conditions import condition, find_condition, is_retried, job_pods, job_state

_log = structlog.get_logger()

LINES: Final = 50
MARK: Final = "; its last lines:\n"
"""Stands in a message before a log's lines."""

_READ_LINES: Final = 1_000
_READ_SECONDS: Final = 10.0
_LONGEST_LINE: Final = 400
# A shorter value would be found in words that are none.
_SHORTEST_SECRET: Final = 6
_REMEMBERED: Final = 200
_STEP_FAILED: Final = re.compile(r"#(\d+) ERROR\b")


def last_lines(lines: Iterable[str]) -> list[str]:
    """Return the last lines of the step that failed, where BuildKit says which; else the last of all."""
    kept = list(lines)
    failed = next((found.group(1) for line in reversed(kept) if (found := _STEP_FAILED.match(line))), None)
    own = [line.removeprefix(f"#{failed} ") for line in kept if line.startswith(f"#{failed} ")] if failed else kept
    return [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} […]" for line in own[-LINES:]]


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text with `***` for each secret; the longest first, since one may hold another."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text


def secrets_of(cluster: Cluster, pod: Object) -> set[str]:
    """Return each value that a Pod's containers are given and nobody is to read: of its Secrets, and of its addresses.

    Raises:
        ReviewAppError: one of the Secrets is not there or can't be read.
    """
    namespace = pod["metadata"]["namespace"]
    values: set[str] = set()
    for name in sorted(_secret_names(pod)):
        secret = cluster.get(SECRETS, namespace, name)
        if secret is None:
            raise ReviewAppError(f"Secret {namespace}/{name} is gone")
        for encoded in section(secret, "data").values():
            values |= _forms(encoded)
    for container in entries(pod, "spec", "initContainers"):
        for variable in entries(container, "env"):
            query = urlsplit(variable.get("value") or "").query
            values |= {query, *(value for _, value in parse_qsl(query))} - {""}
    return values


def kept(review_app: Object) -> str | None:
    """Return the lines that the condition Built has of the newest build, if it failed."""
    built = find_condition(review_app, "Built") or {}
    return built.get("message", "").partition(MARK)[2] or None if built.get("status") == "False" else None


def is_kept(review_app: Object, job: str) -> bool:
    """Whether the condition Built has the lines of a Job already."""
    return Status.read(review_app.get("status")).build_job_name == job and kept(review_app) is not None


class BuildLogs:
    """Reads each log once. Safe to use from several threads."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], str | None] = {}

    def lines(self, job: Object | None, pods: Sequence[Object]) -> str | None:
        """Return the last lines of what failed in a build; None where nothing has, or it can't be said safely."""
        if job is None or not (
            job_state(job) == "failed" or is_retried(job) or condition(job, "FailureTarget") == "True"
        ):
            return None
        name: str = job["metadata"]["name"]
        found = _failed(job_pods(pods, name))
        if found is None:
            with self._lock:
                # Its Pod may have gone with its time limit.
                return next((text for (known, _), text in reversed(self._known.items()) if known == name), None)
        pod, container, said = found
        key = (name, pod["metadata"].get("uid", ""))
        with self._lock:
            if key in self._known:
                return self._known[key]
        text = self._read(pod, container, said)
        with self._lock:
            self._known[key] = text
            while len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        return text

    def _read(self, pod: Object, container: str, said: str) -> str | None:
        metadata = pod["metadata"]
        try:
            secrets = secrets_of(self._cluster, pod)
        except ReviewAppError as error:
            _log.warning("build_log_not_kept", pod=metadata["name"], error=str(error))
            return None
        query: dict[str, str | None] = {"container": container, "tailLines": str(_READ_LINES)}
        path = PODS.path(metadata["namespace"], metadata["name"], "log")
        read: deque[str] = deque(maxlen=_READ_LINES)
        try:
            read.extend(self._cluster.lines(path, query, _READ_SECONDS))
        except ApiRefused as error:
            if error.status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                raise
            _log.warning("build_log_not_read", pod=metadata["name"], error=str(error))
        # Masked as a whole: a value may have several lines.
        return "\n".join(last_lines(masked("\n".join(read) or said, secrets).splitlines()))


def _failed(pods: Sequence[Object]) -> tuple[Object, str, str] | None:
    """Return the container that ended with an error or, where a time limit ends all, the one that runs.

    With its Pod, and with what it said at its end. Of the newest Pod that has such.
    """
    for pod in reversed(pods):
        for kind in ("initContainerStatuses", "containerStatuses"):
            for status in entries(pod, "status", kind):
                ended = section(status, "state", "terminated")
                if ended.get("exitCode") or "running" in section(status, "state"):
                    return pod, status["name"], (ended.get("message") or "").strip()
    return None


def _secret_names(pod: Object) -> set[str]:
    containers = entries(pod, "spec", "initContainers") + entries(pod, "spec", "containers")
    sources = [source for one in containers for source in entries(one, "envFrom")]
    by_variables: set[str] = {source["secretRef"]["name"] for source in sources if "secretRef" in source}
    return by_variables | {
        volume["secret"]["secretName"] for volume in entries(pod, "spec", "volumes") if "secret" in volume
    }


def _forms(encoded: str) -> set[str]:
    """Return a value of a Secret as it may stand in a log: itself, in Base64, by its lines, what it holds as JSON."""
    text = base64.b64decode(encoded).decode(errors="replace").strip()
    found = {text, encoded, *(line.strip() for line in text.splitlines())}
    try:
        document = json.loads(text)
    except ValueError:
        return found
    return found | set(_texts(document)) if isinstance(document, dict) else found


def _texts(document: Any) -> Iterable[str]:
    """Yield the credentials of a Docker configuration, as it has them and decoded."""
    if not isinstance(document, dict):
        return
    for key, value in cast("dict[str, Any]", document).items():
        if isinstance(value, str) and key in {"auth", "password", "identitytoken", "registrytoken"}:
            yield value
            if key == "auth":
                try:
                    yield base64.b64decode(value).decode(errors="replace").partition(":")[2]
                except binascii.Error:
                    continue
        else:
            yield from _texts(value)
