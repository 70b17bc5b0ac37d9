"""Checks of review apps: which are not ready, and what is there without a ReviewApp.

Reports, and deletes nothing but by a finding's `fix`: then only what our engine applied, and nobody asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.errors import LockOwner
from provisioner.inventory import stack_names
from provisioner.ownership import Ownership, ownership
from provisioner.settings import Settings
from provisioner.stack import Stacks
from stacks import naming
from watcher.cluster import DECLARED, Cluster, Object, Resource
from watcher.findings import Finding, ok, wrong
from watcher.journal import Journal
from watcher.listing import NOT_SEEN, standing_of
from watcher.lookup import review_apps
from watcher.observation import asked_stack
from watcher.tables import duration, seconds_since

# Reasons that every review app passes through. One that is there for longer than a build may take is stuck.
_PASSING = {"Building", "Deleting", "Pausing", "Retrying", "Starting", "Updating", NOT_SEEN}
_STUCK_SECONDS = 1_800.0
_UNSEEN_SECONDS = 30.0
# The PULUMI_HOME of a caller that is no worker.
_SLOT = 1_000


def unseen(review_apps: Sequence[Object], now: float) -> int:
    """Return how many ReviewApps wait for a watcher for longer than one takes to look."""
    waiting = [item for item in review_apps if standing_of(item).reason == NOT_SEEN]
    # A change has no time of its own: only what was never looked at is known to wait.
    return sum((seconds_since(standing_of(item).since, now) or 0.0) > _UNSEEN_SECONDS for item in waiting)


def not_ready(review_apps: Sequence[Object], now: float) -> Iterator[Finding]:
    """Check that each ReviewApp is ready, paused, or on its way."""
    good = 0
    for item in review_apps:
        how, name = standing_of(item), item["metadata"]["name"]
        waited = seconds_since(how.since, now)
        since = f" for {duration(waited)}" if waited is not None else ""
        what = f"{name} is not ready{since}: {how.reason}: {how.message.partition(chr(10))[0]}"
        if how.ready or how.reason == "Paused" or (how.reason in _PASSING and (waited or 0.0) < _STUCK_SECONDS):
            good += 1
        else:
            yield wrong(what, f"`reviewapp show {name}`, `reviewapp events {name}`")
    yield ok(f"{good} of {len(review_apps)} ReviewApps are ready, paused, or on their way")


def journal(cluster: Cluster, namespace: str, review_apps: Sequence[Object]) -> tuple[set[str], list[Finding]]:
    """Check that each entry of the journal is a ReviewApp's; return the stacks that the journal has, too."""
    entries = Journal(cluster, namespace)
    entries.load()
    names = {item["metadata"]["name"] for item in review_apps}
    lost = [entry for entry in entries.all() if entry.review_app not in names]
    found = [
        wrong(
            f"the journal has stack {entry.inputs.stack} ({entry.phase}), and ReviewApp {entry.review_app} is gone",
            "a watcher destroys it within a minute of its start: see that one runs, and its log",
        )
        for entry in lost
    ]
    stacks = {entry.inputs.stack for entry in entries.all()}
    return stacks, found or [ok(f"each of the journal's {len(stacks)} entries has its ReviewApp")]


def objects(cluster: Cluster, namespace: str, known: set[str]) -> Iterator[Finding]:
    """Check that what carries our label is of a stack that is known. `namespace` is the watcher's."""
    count = 0
    for resource in DECLARED.values():
        items, _ = cluster.list(resource, label_selector=naming.STACK_LABEL)
        for item in items:
            metadata = item["metadata"]
            stack = metadata["labels"][naming.STACK_LABEL]
            if stack in known:
                count += 1
                continue
            where = f"{metadata['namespace']} {metadata['name']}"
            is_ours = ownership(item, stack) is Ownership.OURS
            yield wrong(
                f"{resource.kind} {metadata['namespace']}/{metadata['name']} is of stack {stack}, which no ReviewApp "
                "asks for",
                f"see whose it is; then `kubectl delete {resource.kind.lower()} -n {where}`",
                partial(_delete, cluster, namespace, resource, item) if is_ours else None,
            )
    yield ok(f"{count} objects are of stacks that are known")


def stacks(cluster: Cluster, settings: Settings, engine: Engine, known: set[str]) -> Iterator[Finding]:
    """Check that each stack of the backend is one that is known."""
    names = stack_names(settings, engine)
    for name in names:
        if name not in known:
            yield wrong(
                f"the backend has stack {name}, which no ReviewApp asks for",
                f"`pulumi destroy --remove --stack {name}` below `reviewapp unlock`",
                partial(_forget, cluster, settings, engine, name),
            )
    yield ok(f"{sum(name in known for name in names)} stacks are of ReviewApps")


def _delete(cluster: Cluster, namespace: str, resource: Resource, item: Object) -> str:
    metadata = item["metadata"]
    name = f"{resource.kind} {metadata['namespace']}/{metadata['name']}"
    # Somebody may have opened the pull request again since.
    if metadata["labels"][naming.STACK_LABEL] in _known(cluster, namespace):
        return f"{name} was left: its stack is asked for now"
    cluster.delete_seen(resource, item)
    return f"{name} is deleted"


def _forget(cluster: Cluster, settings: Settings, engine: Engine, stack: str) -> str:
    if stack in _known(cluster, settings.namespace):
        return f"stack {stack} was left: it is asked for now"
    backend = Backend(settings, engine)
    try:
        # Its objects, where there are any, are findings of their own.
        Stacks(backend).forget(stack, _SLOT, _not_known)
    finally:
        backend.close()
    return f"stack {stack} is removed from the backend"


def _not_known(_owner: LockOwner) -> bool:
    """Say of no lock's owner on another host that it is dead: the watcher knows."""
    return False


def _known(cluster: Cluster, namespace: str) -> set[str]:
    entries = Journal(cluster, namespace)
    entries.load()
    return asked_for(review_apps(cluster)) | {entry.inputs.stack for entry in entries.all()}


def asked_for(review_apps: Sequence[Object]) -> set[str]:
    """Return the names of the stacks that ReviewApps ask for."""
    return {stack for item in review_apps if (stack := asked_stack(item))}
