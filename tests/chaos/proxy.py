"""A proxy between watchers and their API server that can be in a bad mood: late, cut off, silent, or full of errors."""

from __future__ import annotations

import dataclasses
import json
import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from typing import Final

from kubernetes.client import Configuration

from tests.api_proxy import SECONDS, PassOn, serve

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


@contextmanager
def proxy(configuration: Configuration) -> Generator[Proxy]:
    """Run a proxy to the API server of a configuration; clients authenticate to that themselves."""
    state = Proxy()

    class Moody(PassOn):
        began = 0.0

        def ask(self, body: bytes) -> HTTPResponse | None:
            trouble = state.trouble(self.command, is_watch=self.is_watch)
            if trouble in {"cut before", "cut watches"}:
                self.close_connection = True
            elif trouble in {"silent", "silent watches"}:
                self._keep_silent()
            elif trouble.startswith("answers "):
                self._refuse(int(trouble.removeprefix("answers ")))
            else:
                if trouble == "slow":
                    time.sleep(2.0)
                answer = super().ask(body)
                self.began = time.monotonic()
                if trouble != "cut after":
                    return answer
                if answer and not self.is_watch:
                    with suppress(OSError, HTTPException):
                        answer.read()
                self.close_connection = True
            return None

        def is_over(self) -> bool:
            ending = state.ends_watch(self.began) if self.is_watch else ""
            if ending == "silent":
                self._keep_silent()
            return bool(ending)

        def _keep_silent(self) -> None:
            """Say nothing until the client gives up; it may ask nothing else by this connection."""
            self.close_connection = True
            with suppress(OSError):
                self.connection.settimeout(SECONDS)
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

    with serve(configuration, Moody) as state.url:
        yield state
