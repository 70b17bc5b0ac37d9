"""What the cluster asks of the watcher's own Pod: is it alive, is it ready, how is it doing.

`/livez` fails when a thread has died or a watch has been silent for too long, and a restart would
help. `/readyz` fails until the informers have seen everything once. `/metrics` is for Prometheus.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app  # pyright: ignore[reportUnknownVariableType]

from watcher.controller import Controller

# The API server sends a bookmark a minute, and a watch is begun anew at the latest after this.
_SILENT_SECONDS = 600.0


def problems(controller: Controller, now: float) -> list[str]:
    """Return why the watcher should be restarted; nothing if it is well. `now` is monotonic time in seconds."""
    found = [f"informer {i.resource.plural} has died" for i in controller.informers if not i.alive]
    for informer in controller.informers:
        silent = now - informer.last_contact
        if silent > _SILENT_SECONDS:
            found.append(f"nothing was heard of {informer.resource.plural} for {silent:.0f} s")
    if not controller.workers_alive:
        found.append("a worker has died")
    return found


def serve(controller: Controller, port: int) -> None:
    """Answer on a port of all addresses, on a thread of its own, for as long as the process runs."""
    metrics = cast(Callable[..., Iterable[bytes]], make_wsgi_app())

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return metrics(environ, start_response)
        if path == "/livez":
            return _say(start_response, problems(controller, time.monotonic()))
        if path == "/readyz":
            waiting = [i.resource.plural for i in controller.informers if not i.wait_synced(0)]
            return _say(start_response, [f"no list of {plural} yet" for plural in waiting])
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"there is /livez, /readyz and /metrics\n"]

    server = make_server("", port, answer, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


def _say(start_response: Any, wrong: Sequence[str]) -> Iterable[bytes]:
    start_response("500 Internal Server Error" if wrong else "200 OK", [("Content-Type", "text/plain")])
    return [("\n".join(wrong) or "ok").encode() + b"\n"]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is wsgiref's.
        """Log nothing: probes come every few seconds."""
