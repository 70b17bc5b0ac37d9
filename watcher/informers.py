"""Informers: a local view of the objects that matter, kept current by list and watch.

One thread for each informer. It lists, then watches from the list's version; a watch that ends is
taken up where it ended; one whose history is gone starts from a list again. A server that does not
answer is asked again, later each time, for ever: `last_contact` tells how long it has been silent.

An informer calls `on_change` with every object that came, changed or went, on its own thread and
outside its lock. The callback only notes that there is something to look at.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import structlog

from provisioner.errors import ReviewAppError
from watcher.cluster import ApiRefused, Cluster, Object, Resource, section
from watcher.connection import ResourceVersionGone

_log = structlog.get_logger()
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 15.0
_LOOK_AGAIN_SECONDS = 5.0

Key = tuple[str, str]
"""Namespace (empty for objects that have none) and name."""


class Informer:
    """The objects of one kind; optionally only those of a label selector, or the one object of a name."""

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        on_change: Callable[[Object], None],
        label_selector: str | None = None,
        index_label: str | None = None,
        only: Key | None = None,
    ) -> None:
        """Prepare an informer; with `index_label`, `labelled` finds objects by that label's value."""
        self.resource = resource
        self.last_contact = time.monotonic()
        self.is_forbidden = False
        """Whether the server's last answer was that we have not the right to look."""
        self._cluster = cluster
        self._on_change = on_change
        self._label_selector = label_selector
        self._namespace, self._name = only or (None, None)
        self._index_label = index_label
        self._objects: dict[Key, Object] = {}
        self._index: dict[str, set[Key]] = {}
        self._lock = threading.Lock()
        self._synced = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"informer-{resource.plural}", daemon=True)

    def start(self) -> None:
        """Start listing and watching."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does so when its watch next says something, and dies with the process."""
        self._stopped.set()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def wait_synced(self, seconds: float) -> bool:
        """Wait until the first list is in; return whether it is."""
        return self._synced.wait(seconds)

    def get(self, name: str, namespace: str = "") -> Object | None:
        """Return an object as last seen."""
        with self._lock:
            return self._objects.get((namespace, name))

    def all(self) -> list[Object]:
        """Return all objects as last seen."""
        with self._lock:
            return list(self._objects.values())

    def labelled(self, value: str) -> list[Object]:
        """Return the objects whose index label has this value, by name."""
        with self._lock:
            return [self._objects[key] for key in sorted(self._index.get(value, ()))]

    def remember(self, item: Object) -> None:
        """Take in what a write of ours answered, so that the next look sees it."""
        with self._lock:
            self._put(item)

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        version: str | None = None
        while not self._stopped.is_set():
            try:
                version = version or self._list()
                pause = _FIRST_PAUSE_SECONDS
                if not version:
                    # An optional kind that the cluster does not have, yet.
                    self._stopped.wait(_LOOK_AGAIN_SECONDS)
                    continue
                version = self._watch(version)
            except ResourceVersionGone:
                version = None
            except ApiRefused as refused:
                self.is_forbidden = refused.status == 403
                # The kind has gone: a list finds that there are none.
                version = None
                if not (self.resource.optional and refused.status == 404):
                    pause = self._rest(refused, pause)
            except ReviewAppError as error:
                # Whatever was missed meanwhile, a list tells.
                version = None
                pause = self._rest(error, pause)

    def _rest(self, error: ReviewAppError, pause: float) -> float:
        """Wait before the server is asked again; return how long the next time."""
        _log.warning("watch_failed", resource=self.resource.plural, error=str(error), again_in=round(pause, 1))
        self._stopped.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries
        return min(_LONGEST_PAUSE_SECONDS, pause * 2)

    def _list(self) -> str:
        items, version = self._cluster.list(self.resource, self._namespace, self._label_selector, self._name)
        self.last_contact = time.monotonic()
        self.is_forbidden = False
        for item in items:
            # Items of a list carry neither: https://kubernetes.io/docs/reference/using-api/api-concepts/#collections
            item.setdefault("apiVersion", self.resource.api_version)
            item.setdefault("kind", self.resource.kind)
        with self._lock:
            gone = [self._objects[key] for key in self._objects.keys() - {_key(item) for item in items}]
            for item in gone:
                self._drop(item)
            for item in items:
                self._put(item)
        self._synced.set()
        for item in [*gone, *items]:
            self._on_change(item)
        return version

    def _watch(self, version: str) -> str:
        changes = self._cluster.watch(self.resource, version, self._namespace, self._label_selector, self._name)
        for kind, item in changes:
            self.last_contact = time.monotonic()
            version = item["metadata"]["resourceVersion"]
            if self._stopped.is_set():
                break
            if kind == "BOOKMARK":
                continue
            with self._lock:
                if kind == "DELETED":
                    self._drop(item)
                else:
                    self._put(item)
            self._on_change(item)
        self.last_contact = time.monotonic()
        return version

    def _put(self, item: Object) -> None:
        if not self.resource.metadata_only:
            item["metadata"].pop("managedFields", None)
        key = _key(item)
        known = self._objects.get(key)
        if known and _version(known) > _version(item) and known["metadata"]["uid"] == item["metadata"]["uid"]:
            return
        if known:
            self._drop(known)
        self._objects[key] = item
        if self._index_label:
            self._index.setdefault(_label(item, self._index_label), set()).add(key)

    def _drop(self, item: Object) -> None:
        known = self._objects.pop(_key(item), None)
        if known and self._index_label:
            value = _label(known, self._index_label)
            self._index[value].discard(_key(known))
            if not self._index[value]:
                del self._index[value]


def _key(item: Object) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _label(item: Object, label: str) -> str:
    return section(item, "metadata", "labels").get(label, "")


def _version(item: Object) -> int:
    # Comparable as integers since Kubernetes 1.35: https://kep.k8s.io/5504. Every released API server counts up.
    return int(item["metadata"]["resourceVersion"])
