"""Events on ReviewApps, for `kubectl describe`. Telling of a thing never fails it."""

from __future__ import annotations

import datetime

import structlog

from provisioner.errors import ReviewAppError
from watcher.cluster import EVENTS, Cluster, Object
from watcher.status import Event

_log = structlog.get_logger()
# Events of objects that have no namespace go here, as the API server's own do.
_NAMESPACE = "default"
_MESSAGE_LIMIT = 1_024


def record(cluster: Cluster, review_app: Object, event: Event) -> None:
    """Write an Event on a ReviewApp."""
    metadata = review_app["metadata"]
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "metadata": {"generateName": f"{metadata['name'][:200]}.", "namespace": _NAMESPACE},
        "involvedObject": {
            "apiVersion": review_app["apiVersion"],
            "kind": review_app["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[-_MESSAGE_LIMIT:],
        "source": {"component": "reviewapp"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        cluster.create(EVENTS, _NAMESPACE, body)
    except ReviewAppError as error:
        _log.warning("event_not_recorded", review_app=metadata["name"], reason=event.reason, error=str(error))
