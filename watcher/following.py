"""What changes while somebody looks on: all ReviewApps, and the logs of one app's containers one after the other.

Reads only. Every wait has a deadline, which is its caller's.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

from provisioner.errors import ClusterUnreachable, ReviewAppError
from watcher.cluster import PODS, REVIEW_APPS, ApiRefused, Cluster, Object, entries, section
from watcher.connection import ResourceVersionGone

_PAUSE_SECONDS = 1.0


def changes(cluster: Cluster, version: str, seconds: float) -> Iterator[tuple[str, Object]]:
    """Yield (type, ReviewApp) for each change since a version of their list, as a watch has them, for `seconds`.

    An API server that does not answer for a while is waited for; what it no longer has the history of is listed anew.
    """
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            for kind, item in cluster.watch(REVIEW_APPS, version, seconds=left):
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    yield kind, item
        except ResourceVersionGone:
            items, version = cluster.list(REVIEW_APPS)
            yield from (("MODIFIED", item) for item in items)
        except ClusterUnreachable:
            time.sleep(min(_PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))


@dataclasses.dataclass(frozen=True)
class Part:
    """One run of one container of one Pod."""

    namespace: str
    pod: str
    uid: str
    container: str
    restarts: int
    previous: bool = False

    @property
    def title(self) -> str:
        """What it is called."""
        ending = " (before its restart)" if self.previous else ""
        return f"{self.namespace}/{self.pod} {self.container}{ending}"


def parts(pods: Sequence[Object], container: str | None, *, previous: bool) -> list[Part]:
    """Return what has a log to read: the containers that have started, in the order in which they do.

    Args:
        pods: whose; those come first that were made first.
        container: the name of the one that is asked for, or None for all.
        previous: whether it is the run before the last restart that is asked for.
    """
    found: list[Part] = []
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"]):
        metadata = pod["metadata"]
        for status in _statuses(pod):
            if container not in (None, status["name"]):
                continue
            restarts: int = status.get("restartCount", 0)
            ended = section(status, "lastState", "terminated")
            state = section(status, "state")
            waits = "running" not in state and "terminated" not in state
            if previous and ended:
                restarts -= 1
            elif previous or (waits and not ended):
                continue
            elif waits:
                # Between two starts its log is that of the last one.
                restarts -= 1
            found.append(
                Part(metadata["namespace"], metadata["name"], metadata["uid"], status["name"], restarts, previous)
            )
    return found


def containers(pods: Sequence[Object]) -> list[str]:
    """Return the names of all containers of these Pods, each once, in the order in which they start."""
    names = [
        entry["name"]
        for pod in pods
        for kind in ("initContainers", "containers")
        for entry in entries(pod, "spec", kind)
    ]
    return list(dict.fromkeys(names))


def read(cluster: Cluster, part: Part, seconds: float, *, follow: bool) -> Iterator[str]:
    """Yield the lines of a container's log; those to come too, until it ends or `seconds` are over, if asked for."""
    path = PODS.path(part.namespace, part.pod, "log")
    query = {"container": part.container, "follow": "true" if follow else None}
    return cluster.lines(path, query | {"previous": "true" if part.previous else None}, seconds)


def follow_all(
    cluster: Cluster, look: Callable[[], tuple[Sequence[Part], bool]], seconds: float
) -> Iterator[tuple[Part, Iterator[str]]]:
    """Yield each container's run with its lines as they come, one run after the other.

    Args:
        cluster: where they are.
        look: what there is to read now, and whether nothing can follow any more.
        seconds: how long; then it ends as well.
    """
    deadline = time.monotonic() + seconds
    seen: set[Part] = set()
    while (left := deadline - time.monotonic()) > 0:
        found, is_over = look()
        part = next((part for part in found if part not in seen), None)
        if part:
            seen.add(part)
            yield part, _until_it_ends(cluster, part, left)
        elif is_over:
            return
        else:
            time.sleep(min(_PAUSE_SECONDS, left))


def _until_it_ends(cluster: Cluster, part: Part, seconds: float) -> Iterator[str]:
    try:
        yield from read(cluster, part, seconds, follow=True)
    except ApiRefused as error:
        # Its Pod went between two looks.
        if error.status not in {400, 404}:
            raise
        yield f"[{error}]"
    except ReviewAppError as error:
        yield f"[its log broke off: {error}]"


def _statuses(pod: Object) -> list[Object]:
    """Return the states of a Pod's containers in the order in which they start; the kubelet lists them by name."""
    by_name = {
        status["name"]: status
        for kind in ("initContainerStatuses", "containerStatuses")
        for status in entries(pod, "status", kind)
    }
    return [by_name[name] for name in containers([pod]) if name in by_name]
