"""A proxy between watchers and their API server that can be in a bad mood: late, cut off, silent, or full of errors.

Engines go through it too. It answers in HTTP, since it has to know where an answer ends.
"""

from __future__ import annotations

import dataclasses
import json
import random
import ssl
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import Configuration

_SECONDS = 330.0
_RETRY_AFTER_SECONDS = 1

_REASONS: Final = {
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
MOODS: Final = (
    *("slow", "cut before", "cut after", "cut watches", "silent", "silent watches"),
    *(f"answers {status}" for status in _REASONS),
)
"""What can be wrong. `cut after` carries a request out and loses the answer; `silent` never gives one."""


@dataclasses.dataclass(frozen=True)
class Mood:
    """What is wrong with some of the requests.

    Attributes:
        name: one of `MOODS`.
        share: of how many of the requests, 0 to 1.
        seed: decides which.
    """

    name: str
    share: float
    seed: int


class Proxy:
    """The proxy and its mood, which anybody may change at any time."""

    def __init__(self) -> None:
        self.url = ""
        self.troubled = 0
        """How many requests something was wrong with."""
        self._token = ""
        self._mood: Mood | None = None
        self._random = random.Random()
        self._began = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def mood(self, mood: Mood) -> Generator[None]:
        """Be in a mood during the block. A later one takes the place of an earlier one."""
        with self._lock:
            self._mood, self._random, self._began = mood, random.Random(mood.seed), time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                if self._mood is mood:
                    self._mood = None

    def trouble(self, method: str, *, is_watch: bool) -> str:
        """Return what is wrong with a request that comes now; empty if nothing is."""
        with self._lock:
            mood = self._mood
            if mood is None or self._random.random() > mood.share:
                return ""
            if mood.name in {"cut watches", "silent watches", "answers 410"} and not is_watch:
                return ""
            if mood.name == "answers 409" and method == "GET":
                return ""
            self.troubled += 1
            return mood.name

    def ends_watch(self, since: float) -> str:
        """Return how a watch that began at a time ends now: `cut`, `silent`, or not at all."""
        with self._lock:
            if self._mood is None or since > self._began:
                return ""
            return {
                "cut watches": "cut",
                "answers 410": "cut",
                "cut before": "cut",
                "silent watches": "silent",
                "silent": "silent",
            }.get(self._mood.name, "")

    def authorization(self, given: str | None) -> str:
        """Return a request's token: client-go sends none to an address without TLS, and gets the watcher's."""
        self._token = given or self._token
        return self._token


@contextmanager
def proxy(configuration: Configuration) -> Generator[Proxy]:
    """Run a proxy to the API server of a configuration; clients authenticate to that themselves."""
    state = Proxy()
    target = urlsplit(configuration.host)
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)

    class Handler(BaseHTTPRequestHandler):
        # For chunks: by them a client of a watch sees each change as it comes.
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        upstream: HTTPSConnection | None = None

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name.
            pass

        def handle(self) -> None:
            with suppress(OSError):
                super().handle()
            if self.upstream:
                self.upstream.close()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_watch = parse_qs(urlsplit(self.path).query).get("watch", [""])[0] in {"true", "1"}
            trouble = state.trouble(self.command, is_watch=is_watch)
            if trouble == "slow":
                time.sleep(2.0)
            elif trouble == "cut before" or (trouble == "cut watches"):
                self.close_connection = True
                return
            elif trouble in {"silent", "silent watches"}:
                self._keep_silent()
                return
            elif trouble.startswith("answers "):
                self._refuse(int(trouble.removeprefix("answers ")))
                return
            answer = self._ask(body)
            if answer is None or trouble == "cut after":
                if answer and not is_watch:
                    with suppress(OSError, HTTPException):
                        answer.read()
                self.close_connection = True
                return
            self._answer(answer, is_watch=is_watch)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 - http.server looks for these names.

        def _ask(self, body: bytes) -> HTTPResponse | None:
            headers = {key.title(): value for key, value in self.headers.items()}
            headers = {key: value for key, value in headers.items() if key not in {"Host", "Connection"}}
            headers["Authorization"] = state.authorization(headers.get("Authorization"))
            with suppress(OSError, HTTPException):
                # A connection that was kept may have been closed since; a new one is made then, which has sent nothing.
                if self.upstream is None:
                    self.upstream = HTTPSConnection(
                        target.hostname or "", target.port or 443, timeout=_SECONDS, context=context
                    )
                self.upstream.request(self.command, self.path, body or None, headers)
                return self.upstream.getresponse()
            self._drop()
            return None

        def _answer(self, answer: HTTPResponse, *, is_watch: bool) -> None:
            began = time.monotonic()
            try:
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in {"transfer-encoding", "connection"}:
                        self.send_header(key, value)
                length = answer.getheader("Content-Length")
                if length is None:
                    self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while chunk := answer.read1(65_536):
                    ending = state.ends_watch(began) if is_watch else ""
                    if ending == "silent":
                        self._keep_silent()
                    if ending:
                        self._drop()
                        return
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if length is None else chunk)
                if length is None:
                    self.wfile.write(b"0\r\n\r\n")
                # Read to its end: the connection can serve the next request.
                answer.close()
            except (OSError, HTTPException):
                self._drop()

        def _keep_silent(self) -> None:
            """Say nothing until the client gives up; it may ask nothing else by this connection."""
            self.close_connection = True
            with suppress(OSError):
                self.connection.settimeout(_SECONDS)
                while self.connection.recv(4096):
                    pass

        def _refuse(self, status: int) -> None:
            details = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
            text = json.dumps(details | {"reason": _REASONS[status], "message": "the proxy is in a bad mood"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            if status == 429:
                self.send_header("Retry-After", str(_RETRY_AFTER_SECONDS))
            self.end_headers()
            self.wfile.write(text)

        def _drop(self) -> None:
            self.close_connection = True
            if self.upstream:
                self.upstream.close()
                self.upstream = None

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="proxy", daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
