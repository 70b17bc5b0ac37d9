"""Whether a process of another machine, which left a stack's lock behind, is proven to have ended.

The API server's word on its Pod is proof; so is a Lease that was taken from it so long ago that its engines have
been ended, on that machine, by whoever guards them. Processes of this machine are the provisioner's to judge.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection

from provisioner.errors import LockOwner
from watcher.cluster import PODS, Cluster, Object, entries, section
from watcher.leadership import Term

# Engines are ended before their Lease runs out. A machine that was asleep for all of that time may need a moment more.
_GRACE_SECONDS = 30.0
_CONTAINER = "watcher"


def is_dead(cluster: Cluster, namespace: str, hosts: Collection[str], term: Term, owner: LockOwner) -> bool:
    """Return whether the owner of a lock can't come back.

    Args:
        cluster: where watchers run.
        namespace: theirs.
        hosts: the machines, by name, on which watchers are known to have run engines. Nobody else is judged.
        term: our own time in office.
        owner: who wrote the lock.
    """
    if owner.host not in hosts:
        return False
    pod = cluster.get(PODS, namespace, owner.host)
    if pod is None or has_ended(pod, owner.time):
        return True
    # A lock that was written since is of somebody who works there by hand.
    return term.age > _GRACE_SECONDS and owner.time.timestamp() < term.began


def has_ended(pod: Object, since: datetime.datetime) -> bool:
    """Whether the containers of a watcher's Pod that ran at a time run no more: ended, or started anew since."""
    if section(pod, "status").get("phase") in {"Succeeded", "Failed"}:
        return True
    found = entries(pod, "status", "containerStatuses")
    ours = [status for status in found if status["name"] == _CONTAINER] or found
    return bool(ours) and all(_started_after(status, since) for status in ours)


def _started_after(status: Object, since: datetime.datetime) -> bool:
    state = section(status, "state")
    if "terminated" in state:
        return True
    started = section(state, "running").get("startedAt")
    # Both are cut to whole seconds.
    return bool(started) and datetime.datetime.fromisoformat(started) > since
