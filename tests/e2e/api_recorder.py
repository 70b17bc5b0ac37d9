"""A proxy between a watcher and its API server that writes down which rights the watcher's calls took.

It sees all that the watcher and the engines that it runs ask for, since they share a kubeconfig; an API server's own
audit log would say the same, but a cluster that tests are given has none to read.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import Configuration

_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<resource>[^/]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?"
)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SECONDS = 300.0


class Call(NamedTuple):
    """What one request needs, in RBAC's words; `namespace` and `name` are empty where there is none."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


class Recorder:
    """The calls of one watcher: `allowed` and, where the API server answered 403, `forbidden`."""

    def __init__(self) -> None:
        self.allowed: set[Call] = set()
        self.forbidden: set[Call] = set()
        self.url = ""
        self.token = ""

    def note(self, method: str, target: str, status: int, body: bytes) -> None:
        call = read(method, target)
        if call and status == 403:
            self.forbidden.add(call)
        elif call:
            self.allowed |= {call, *_also(call, status, body)}


def _also(call: Call, status: int, body: bytes) -> Iterator[Call]:
    """Yield what the API server asks the authorizer beside the request itself.

    https://kubernetes.io/docs/reference/using-api/server-side-apply/#access-control,
    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-binding-creation-or-update
    """
    if (call.verb, status) == ("patch", 201):
        yield call._replace(verb="create")
    if (call.verb, call.resource, status) == ("create", "rolebindings", 201):
        role = json.loads(body)["roleRef"]
        yield Call("bind", role["apiGroup"], f"{role['kind'].lower()}s", "", role["name"])


def read(method: str, target: str) -> Call | None:
    """Return what a request needs; None where it is for no resource.

    https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
    """
    url = urlsplit(target)
    found = _PATH.fullmatch(url.path)
    if not found:
        return None
    group, namespace, resource, name, subresource = (found[key] or "" for key in _PATH.groupindex)
    query = parse_qs(url.query)
    if method == "GET":
        verb = "watch" if query.get("watch", ["false"])[0] in {"true", "1"} else "get" if name else "list"
    else:
        verb = _VERBS[method]
    if not name:
        # RBAC takes a list of one name for that name.
        selected = re.fullmatch(r"metadata\.name=([^,]+)", query.get("fieldSelector", [""])[0])
        name = selected[1] if selected else ""
    return Call(verb, group, f"{resource}/{subresource}" if subresource else resource, namespace, name)


@contextmanager
def recorder(configuration: Configuration) -> Generator[Recorder]:
    """Run a proxy to the API server of a configuration; clients authenticate to that themselves."""
    recorded = Recorder()
    target = urlsplit(configuration.host)
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)

    class Handler(BaseHTTPRequestHandler):
        # For chunks: by them a client of a watch sees each change as it comes.
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name.
            pass

        def _pass_on(self) -> None:
            upstream = HTTPSConnection(target.hostname or "", target.port or 443, timeout=_SECONDS, context=context)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {key.title(): value for key, value in self.headers.items()}
            headers = {key: value for key, value in headers.items() if key not in {"Host", "Connection"}}
            # client-go sends no token to an address without TLS: the engine is given the watcher's, which comes first.
            recorded.token = headers.setdefault("Authorization", recorded.token)
            with suppress(OSError):
                upstream.request(self.command, self.path, body or None, headers)
                answer = upstream.getresponse()
                recorded.note(self.command, self.path, answer.status, body)
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in {"transfer-encoding", "connection"}:
                        self.send_header(key, value)
                is_chunked = answer.getheader("Content-Length") is None
                if is_chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while chunk := answer.read1(65_536):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if is_chunked else chunk)
                if is_chunked:
                    self.wfile.write(b"0\r\n\r\n")
            upstream.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 - http.server looks for these names.

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorded.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield recorded
    finally:
        server.shutdown()
        server.server_close()
