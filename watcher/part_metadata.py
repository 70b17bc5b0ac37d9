"""A local view of what the API server says beside the content of stacks' objects: who owns which field, and since when.

One watch for each kind and namespace of apps, of metadata alone, since the rights to see Secrets are had in such
namespaces only. So no Secret's content is read, or kept in memory. Decides nothing.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable

import structlog

from stacks import naming
from watcher.cluster import (
    CLAIMS,
    DEPLOYMENTS,
    INGRESSES,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Cluster,
    Object,
    Resource,
)
from watcher.informers import Informer

_log = structlog.get_logger()
_FOLLOWED = (SECRETS, SERVICES, INGRESSES, NETWORK_POLICIES, CLAIMS, DEPLOYMENTS, STATEFUL_SETS)
KINDS = frozenset(resource.kind for resource in _FOLLOWED)
"""The kinds of which it knows."""
# A thread and a connection for each kind.
_MOST_NAMESPACES = 50


class PartMetadata:
    """The objects that carry a stack's label, in the namespaces that it follows.

    Args:
        cluster: where.
        on_change: called with the name of each stack of which an object came, changed or went.
    """

    def __init__(self, cluster: Cluster, on_change: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._on_change = on_change
        self._lock = threading.Lock()
        self._followed: dict[str, list[Informer]] = {}

    def follow(self, namespaces: Iterable[str]) -> None:
        """Follow these namespaces and no others."""
        wanted = set(namespaces)
        with self._lock:
            for namespace in self._followed.keys() - wanted:
                for informer in self._followed.pop(namespace):
                    informer.stop()
            for namespace in sorted(wanted - self._followed.keys()):
                if len(self._followed) >= _MOST_NAMESPACES:
                    _log.warning("not_followed", namespace=namespace, most=_MOST_NAMESPACES)
                    return
                self._followed[namespace] = [self._informer(resource, namespace) for resource in _FOLLOWED]

    def of(self, stack: str, namespace: str) -> list[Object] | None:
        """Return the objects of a stack, with `kind` and `metadata`; None where not all are known."""
        with self._lock:
            informers = self._followed.get(namespace)
        if informers is None or not all(informer.wait_synced(0) for informer in informers):
            return None
        return [
            {"kind": informer.resource.kind, "metadata": item["metadata"]}
            for informer in informers
            for item in informer.labelled(stack)
        ]

    def is_forbidden(self, namespace: str) -> bool:
        """Whether a namespace that is followed can't be seen any more, for want of rights."""
        with self._lock:
            return any(informer.is_forbidden for informer in self._followed.get(namespace, ()))

    def stop(self) -> None:
        """Follow no namespace."""
        self.follow(())

    def _informer(self, resource: Resource, namespace: str) -> Informer:
        metadata = dataclasses.replace(resource, metadata_only=True)
        informer = Informer(
            self._cluster, metadata, self._changed, naming.STACK_LABEL, naming.STACK_LABEL, only=(namespace, "")
        )
        informer.start()
        return informer

    def _changed(self, item: Object) -> None:
        self._on_change(item["metadata"]["labels"][naming.STACK_LABEL])
