"""The wire to one API server: a request, an answer, and the errors that either ends in.

Built on the official client's connection (its kubeconfig, in-cluster credentials and TLS). Every request has a
timeout, and every write passes the fence, if there is one. Knows no kinds of objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict, Unpack
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient, Configuration

from provisioner.errors import ClusterUnreachable, ReviewAppError

Object = dict[str, Any]
"""A Kubernetes object as the API sends it."""

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0

Fence = Callable[[], None]
"""Raises where this process may not write any more."""


class ApiRefused(ReviewAppError):
    """The API server answered with an error. `status` is the HTTP status, `api_reason` its Status reason."""

    reason = "ApiRefused"

    def __init__(self, status: int, api_reason: str, message: str) -> None:
        self.status = status
        self.api_reason = api_reason
        super().__init__(f"{message} (HTTP {status} {api_reason})")


class ResourceVersionGone(ReviewAppError):
    """The API server no longer has the history that a watch asks for: list again.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses
    """

    reason = "ResourceVersionGone"


class Asked(TypedDict, total=False):
    """What a request asks for beside its method and path; JSON is sent and wanted unless it says otherwise."""

    query: dict[str, str | None]
    body: Object | Sequence[Object]
    content_type: str
    accept: str


class Connection:
    """A connection to one API server; safe to use from several threads.

    Args:
        client: the official client's.
        host: the API server's address.
        connect_seconds: time limit of a connection attempt.
        read_seconds: how long an answer may keep silent, where a call does not say.
        fence: asked before each request that could change something.
    """

    def __init__(
        self,
        client: ApiClient,
        host: str,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        fence: Fence | None = None,
    ) -> None:
        self._client: Any = client
        self._host = host
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._fence = fence

    @classmethod
    def to(cls, configuration: Configuration, connections: int, seconds: float | None = None) -> Connection:
        """Connect with `connections` kept open; with `seconds`, each request is tried once, for so long at most."""
        configuration.connection_pool_maxsize = connections
        if seconds is None:
            return cls(ApiClient(configuration), configuration.host)
        configuration.retries = 0
        return cls(ApiClient(configuration), configuration.host, connect_seconds=seconds / 2, read_seconds=seconds / 2)

    def fenced(self, fence: Fence) -> Connection:
        """Return the same connection, behind a fence."""
        return Connection(
            self._client,
            self._host,
            connect_seconds=self._connect_seconds,
            read_seconds=self._read_seconds,
            fence=fence,
        )

    def json(self, method: str, path: str, **asked: Unpack[Asked]) -> Any:
        """Send a request; return what the answer says."""
        with self.request(method, path, **asked) as response:
            return json.loads(response.data)

    @contextmanager
    def request(
        self, method: str, path: str, *, read_seconds: float | None = None, **asked: Unpack[Asked]
    ) -> Generator[Any]:
        """Send a request and yield the answer, of which nothing is read yet but its status."""
        if self._fence and method != "GET":
            self._fence()
        kind, body = "application/json", asked.get("body")
        headers = {"Accept": asked.get("accept", kind), "Content-Type": asked.get("content_type", kind)}
        text = urlencode({name: value for name, value in asked.get("query", {}).items() if value})
        url = f"{self._host}{path}{'?' + text if text else ''}"
        try:
            self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            answer = self._client.rest_client.request(
                method,
                url,
                headers=headers,
                body=body,
                _request_timeout=(self._connect_seconds, read_seconds or self._read_seconds),
            ).response
            try:
                if not 200 <= answer.status <= 299:
                    raise refused(answer.status, answer.data)
                yield answer
            finally:
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # urllib3 wraps what happened in how often it tried.
            raise ClusterUnreachable(f"{method} {path}: {getattr(error, 'reason', None) or error}") from error


def lines(response: Any, *, also_unfinished: bool = False) -> Iterator[bytes]:
    """Yield each line of an answer as it comes."""
    pending = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *lines, pending = (pending + chunk).split(b"\n")
        yield from lines
    if pending and also_unfinished:
        yield pending


def refused(status: int, answer: bytes | Object) -> ReviewAppError:
    """Return the error that an answer, or an object of kind Status, stands for."""
    try:
        details: Object = json.loads(answer) if isinstance(answer, bytes) else answer
    except ValueError:
        details = {"message": answer[:200].decode(errors="replace")} if isinstance(answer, bytes) else {}
    if status == 410:
        return ResourceVersionGone(details.get("message", "the watch is too old"))
    return ApiRefused(status, details.get("reason", ""), details.get("message", "the API server refused"))
