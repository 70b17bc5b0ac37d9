"""A proxy to an API server, which watchers and their engines go through: it passes on what they ask, and the answers.

What is done beside that, a subclass of its handler says. It answers in HTTP, since it has to know where an answer ends.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import Configuration

SECONDS = 330.0
"""Time limit of each read; a watch lasts for less."""


class PassOn(BaseHTTPRequestHandler):
    """Passes requests on, by a connection for each of the client's, which authenticates to the API server itself."""

    # For chunks: by them a client of a watch sees each change as it comes.
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    host: ClassVar[str]
    context: ClassVar[ssl.SSLContext]
    # client-go sends none to an address without TLS: the engine is given the watcher's, which comes first.
    token: ClassVar[str] = ""
    upstream: HTTPSConnection | None = None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name.
        pass

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()
        if self.upstream:
            self.upstream.close()

    def _pass_on(self) -> None:
        if answer := self.ask(self.rfile.read(int(self.headers.get("Content-Length") or 0))):
            self._answer(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 - http.server looks for these names.

    @property
    def is_watch(self) -> bool:
        return parse_qs(urlsplit(self.path).query).get("watch", [""])[0] in {"true", "1"}

    def ask(self, body: bytes) -> HTTPResponse | None:
        """Return the API server's answer; None where the client gets none."""
        headers = {key.title(): value for key, value in self.headers.items()}
        headers = {key: value for key, value in headers.items() if key not in {"Host", "Connection"}}
        type(self).token = headers.setdefault("Authorization", self.token)
        with suppress(OSError, HTTPException):
            # A connection that was kept may have been closed since; a new one is made then, which has sent nothing.
            if self.upstream is None:
                self.upstream = HTTPSConnection(self.host, timeout=SECONDS, context=self.context)
            self.upstream.request(self.command, self.path, body or None, headers)
            return self.upstream.getresponse()
        self.drop()
        return None

    def _answer(self, answer: HTTPResponse) -> None:
        try:
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in {"transfer-encoding", "connection"}:
                    self.send_header(key, value)
            is_chunked = answer.getheader("Content-Length") is None
            if is_chunked:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while chunk := answer.read1(65_536):
                if self.is_over():
                    self.drop()
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if is_chunked else chunk)
            if is_chunked:
                self.wfile.write(b"0\r\n\r\n")
            # Read to its end: the connection can serve the next request.
            answer.close()
        except (OSError, HTTPException):
            self.drop()

    def is_over(self) -> bool:
        """Whether an answer ends here, though more would come."""
        return False

    def drop(self) -> None:
        """Have both connections end."""
        self.close_connection = True
        if self.upstream:
            self.upstream.close()
            self.upstream = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serve(configuration: Configuration, handler: type[PassOn]) -> Generator[str]:
    """Run a proxy to the API server of a configuration; yield its address."""
    handler.host = urlsplit(configuration.host).netloc
    handler.context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, name="proxy", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
