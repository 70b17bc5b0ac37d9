"""How far an app's database is: its server, as whatever runs it says, and the copy into it. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Final

from stacks import naming
from stacks.database_copy import copy_job_name
from stacks.database_names import COMPONENT
from stacks.inputs import Database, StackInputs
from watcher.builds import find_job
from watcher.cluster import Object, entries, section
from watcher.conditions import Trouble, is_retried, job_pods, job_state, trouble

READY: Final = "DatabaseReady"
"""The condition, and its reason where it is True."""

_KINDS: Final[Mapping[str, str]] = {"postgres": "StatefulSet", "kubedb": "Postgres", "cloudnative-pg": "Cluster"}

# What a tool or the kubelet says, and what is to be done about it.
_REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    ("(?i)no space left on device|could not extend file", "ask for more in config.database.storageSize"),
    (
        "(?i)secret .* not found|couldn't find key",
        "create it in the app's namespace, or correct config.database.copyFrom",
    ),
    (
        "(?i)server closed the connection|terminating connection|new database does not answer",
        "see the last lines of the database's Pod: it has ended, mostly for want of storage or memory; "
        "for more storage ask in config.database.storageSize",
    ),
    ("(?i)password authentication failed|no password supplied", "correct copyFrom.user and copyFrom.password"),
    (
        "(?i)could not translate host|connection refused|no route to host|timeout expired|timed out|could not connect",
        "correct copyFrom.host and copyFrom.port, and see that Pods of the namespace reach it",
    ),
    ("(?i)server version mismatch", "ask for the source's version or a newer one in config.database.version"),
    ("(?i)no matching (tables|schemas)", "correct copyFrom.tables and copyFrom.schema"),
    ("(?i)permission denied", "let the source's user read it, or name it in copyFrom.excludeTables"),
    ("(?i)extension .* is not available", "remove it from config.database.extensions, or use an image that has it"),
    ('(?i)(type|function|operator class) "?\\S+"? does not exist', "name its extension in config.database.extensions"),
    ('(?i)database ".*" does not exist', "correct copyFrom.database"),
    ("(?i)does not parse|names no host|copies from", "correct config.database.copyFrom"),
    ("(?i)anonymise failed", "correct copyFrom.anonymise"),
    ("(?i)PersistentVolumeClaim", "see that the cluster has such a StorageClass, with a provisioner"),
)
_ANY_REMEDY: Final = "mend what it says"


@dataclasses.dataclass(frozen=True)
class DatabaseState:
    """How a database is.

    Attributes:
        ready: whether it takes connections and has all its data.
        reason: in CamelCase; `READY` where it is.
        message: what is going on, or went wrong and what to do.
    """

    ready: bool
    reason: str
    message: str


def database_state(
    inputs: StackInputs, database: Database, items: Sequence[Object], jobs: Sequence[Object], pods: Sequence[Object]
) -> DatabaseState:
    """Return how the database of a stack is.

    Args:
        inputs: what the stack was asked to declare.
        database: its database.
        items: what carries the stack's label of the kinds that run databases.
        jobs: the stack's Jobs.
        pods: the stack's Pods.
    """
    item = next((item for item in items if _is(item, _KINDS[database.backend], database.name)), None)
    server = _server_pods(pods, database)
    found = None if _is_up(database, item) else trouble(server)
    copy = _copy_state(inputs, database, jobs, pods, found)
    if copy and copy.reason == "CopyFailed":
        return copy
    if found:
        by_script = database.backend == "kubedb" and database.copy_from and not database.settled and found.has_ended
        return _failed("CopyFailed" if by_script else found.reason, found.message)
    if not _is_up(database, item):
        return DatabaseState(False, "DatabaseStarting", f"database {database.name} is starting{_phase(item)}")
    return copy or DatabaseState(True, READY, f"database {database.name} takes connections")


def database_attempt(review_app: Object) -> str:
    """Return which further database a ReviewApp's annotation asks for, as letters; empty where it asks for none."""
    token = section(review_app, "metadata", "annotations").get(naming.RESET_DATABASE_ANNOTATION)
    return naming.attempt(token) if token else ""


def is_ready(inputs: StackInputs, items: Sequence[Object], jobs: Sequence[Object], pods: Sequence[Object]) -> bool:
    """Whether the database of a stack, if it has one, is ready; arguments as of `database_state`."""
    return inputs.database is not None and database_state(inputs, inputs.database, items, jobs, pods).ready


def _is(item: Object, kind: str, name: str) -> bool:
    return item["kind"] == kind and item["metadata"]["name"] == name and "deletionTimestamp" not in item["metadata"]


def _is_up(database: Database, item: Object | None) -> bool:
    """Whether the server takes connections; with KubeDB, only once the init script has run."""
    if item is None:
        return False
    status = section(item, "status")
    if database.backend == "postgres":
        return bool(status.get("readyReplicas"))
    if database.backend == "cloudnative-pg":
        return bool(status.get("readyInstances"))
    initialised = database.copy_from is None or section(item, "spec", "init").get("initialized") is True
    return status.get("phase") == "Ready" and initialised


def _phase(item: Object | None) -> str:
    phase = section(item or {}, "status").get("phase")
    return f" ({phase})" if phase else ""


def _server_pods(pods: Sequence[Object], database: Database) -> list[Object]:
    """Return the server's Pods, oldest first; an operator names them after the database too."""
    found = [
        pod
        for pod in pods
        if pod["metadata"]["name"].startswith(f"{database.name}-")
        and "deletionTimestamp" not in pod["metadata"]
        and section(pod, "metadata", "labels").get(naming.COMPONENT_LABEL) == COMPONENT
    ]
    return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])


def _copy_state(
    inputs: StackInputs, database: Database, jobs: Sequence[Object], pods: Sequence[Object], server: Trouble | None
) -> DatabaseState | None:
    """Return how the copy by a Job is; None where there is none to wait for.

    What the copy says of a server that ended under it is not why; the server's own last lines are.
    """
    if database.copy_from is None or database.backend == "kubedb":
        return None
    name = copy_job_name(inputs, database, database.copy_from)
    job = find_job(jobs, name)
    state = job_state(job)
    if state == "succeeded":
        return None
    tries = job_pods(pods, name)
    found = trouble(tries)
    if state == "failed":
        said = [found.message if found else "the copy's Job has failed", *([server.message] if server else [])]
        return _failed("CopyFailed", "\n".join(said))
    if found and not found.has_ended:
        return _failed(found.reason, found.message)
    if found and is_retried(job):
        return DatabaseState(False, "CopyRetrying", f"the copy is tried again: {found.message}")
    return DatabaseState(False, "Copying", f"the data is being copied{_progress(tries)}")


def remedy(message: str) -> str:
    """Return what is to be done about what a tool, a server or the kubelet said."""
    return next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, message)), _ANY_REMEDY)


def _failed(reason: str, message: str) -> DatabaseState:
    text = f"{message.rstrip()}\n→ {remedy(message)}; a new config.database.reset begins anew"
    return DatabaseState(False, reason, text)


def _progress(tries: Sequence[Object]) -> str:
    """Return which step the newest try is at, and what the one before it said of itself."""
    for pod in reversed(tries):
        names = [
            container["name"]
            for container in (*entries(pod, "spec", "initContainers"), *entries(pod, "spec", "containers"))
        ]
        done = [
            section(status, "state", "terminated").get("message", "").strip()
            for status in entries(pod, "status", "initContainerStatuses")
            if section(status, "state", "terminated").get("exitCode") == 0
        ]
        if len(done) < len(names):
            said = f" ({done[-1]})" if done and done[-1] else ""
            return f": step {len(done) + 1} of {len(names)}, {names[len(done)]}{said}"
    return ""
