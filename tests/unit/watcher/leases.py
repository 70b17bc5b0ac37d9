"""A stand-in for the API server's Leases: one object, whose version changes with each write; and a clock to turn."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from kubernetes.client import Configuration

from provisioner.errors import ClusterUnreachable
from watcher.cluster import ApiRefused, Cluster, Object, Resource


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Leases(Cluster):
    """Takes a write only with the version that is there. Fails, loses answers and lets time pass on cue."""

    def __init__(self) -> None:
        super().__init__(Configuration())
        self.lease: Object | None = None
        self.unreachable = False
        self.loses_answers = False
        self.before_write: Callable[[], None] = lambda: None
        self._version = 0

    @property
    def holder(self) -> str:
        assert self.lease
        return self.lease["spec"]["holderIdentity"]

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        if self.unreachable:
            raise ClusterUnreachable("connection refused")
        return self.lease

    def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        return self._write(body, is_new=True)

    def replace(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        return self._write(body, is_new=False)

    def _write(self, body: Object, *, is_new: bool) -> Object:
        self.before_write()
        if self.unreachable:
            raise ClusterUnreachable("connection refused")
        if is_new and self.lease:
            raise ApiRefused(HTTPStatus.CONFLICT, "AlreadyExists", "it is there")
        if not is_new and not self.lease:
            raise ApiRefused(HTTPStatus.NOT_FOUND, "NotFound", "it is not there")
        if self.lease and body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiRefused(HTTPStatus.CONFLICT, "Conflict", "it is another version")
        self._version += 1
        self.lease = body | {"metadata": body["metadata"] | {"resourceVersion": str(self._version)}}
        if self.loses_answers:
            raise ClusterUnreachable("connection reset")
        return self.lease
