"""What the cluster asks of the watcher's own Pod: is it alive, is it ready, how is it doing.

`/livez` fails when a thread has died or is stuck, or a watch has been silent for too long, and a restart would
help. `/readyz` fails until the informers have seen everything once, whether or not this watcher leads. `/metrics` is
for Prometheus.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app  # pyright: ignore[reportUnknownVariableType]

from watcher.replica import Replica

# The API server sends a bookmark a minute, and a watch is begun anew at the latest after this.
_SILENT_SECONDS = 600.0
_ELECTOR_SILENT_SECONDS = 60.0


def problems(replica: Replica, now: float) -> list[str]:
    """Return why the watcher should be restarted; nothing if it is well. `now` is monotonic time in seconds."""
    found = [f"informer {i.resource.plural} has died" for i in replica.informers if not i.alive]
    for informer in replica.informers:
        silent = now - informer.last_contact
        if silent > _SILENT_SECONDS:
            found.append(f"nothing was heard of {informer.resource.plural} for {silent:.0f} s")
    if replica.elector.has_died:
        found.append("the elector has died")
    elif (silent := now - replica.elector.last_step) > _ELECTOR_SILENT_SECONDS:
        found.append(f"the elector has not looked at the Lease for {silent:.0f} s")
    controller = replica.controller
    return found + (controller.problems(now) if controller else [])


def serve(replica: Replica, port: int) -> None:
    """Answer on a port of all addresses, on a thread of its own, for as long as the process runs."""
    metrics = cast(Callable[..., Iterable[bytes]], make_wsgi_app())

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return metrics(environ, start_response)
        if path == "/livez":
            return _say(start_response, problems(replica, time.monotonic()))
        if path == "/readyz":
            waiting = [f"no list of {i.resource.plural} yet" for i in replica.informers if not i.wait_synced(0)]
            return _say(start_response, waiting if waiting or replica.is_ready else ["about to begin"])
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"there is /livez, /readyz and /metrics\n"]

    server = make_server("", port, answer, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


def _say(start_response: Any, wrong: Sequence[str]) -> Iterable[bytes]:
    start_response("500 Internal Server Error" if wrong else "200 OK", [("Content-Type", "text/plain")])
    return [("\n".join(wrong) or "ok").encode() + b"\n"]


class _Quiet(WSGIRequestHandler):
    def handle(self) -> None:
        """Answer one probe, unless it has given up."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is wsgiref's.
        """Log nothing: probes come every few seconds."""
