"""Informers against an API server that fails on cue: a small stand-in for the list and watch calls.

What a real API server does is tested in tests/e2e; it can't be told to send a 410 or to fall silent.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes.client import Configuration

from watcher import cluster as connection
from watcher.cluster import JOBS, Cluster, Object
from watcher.informers import Informer

Watch = Callable[[str], Iterator[dict[str, Any]]]
"""What one watch sends, by the resource version it starts from; the connection is cut at its end."""


def item(name: str, version: int, stack: str = "a.b.1", uid: str = "u") -> Object:
    labels = {"stack": stack}
    metadata = {"name": name, "namespace": "n", "resourceVersion": str(version), "uid": uid, "labels": labels}
    return {"metadata": metadata | {"managedFields": ["long"]}}


class StandIn:
    """Answers lists from `items`, and each watch with the next of `watches`; the last one goes on for ever."""

    def __init__(self) -> None:
        self.items: list[Object] = []
        self.version = 1
        self.lists = 0
        self.watched_from: list[str] = []
        self.watches: queue.Queue[Watch] = queue.Queue()
        self.failing = 0
        self.stopped = threading.Event()
        self.seen: list[Seen] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                if stand_in.failing:
                    stand_in.failing -= 1
                    self.send_error(503)
                elif "watch" in query:
                    self.watch(query["resourceVersion"][0])
                else:
                    stand_in.lists += 1
                    self.answer({"metadata": {"resourceVersion": str(stand_in.version)}, "items": stand_in.items})

            def watch(self, version: str) -> None:
                stand_in.watched_from.append(version)
                self.send_response(200)
                self.end_headers()
                try:
                    watch = stand_in.watches.get_nowait()
                except queue.Empty:
                    stand_in.stopped.wait()
                    return
                for event in watch(version):
                    self.wfile.write(json.dumps(event).encode() + b"\n")
                    self.wfile.flush()

            def answer(self, document: object) -> None:
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        for seen in self.seen:
            seen.informer.stop()
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def stand_in() -> Generator[StandIn]:
    server = StandIn()
    yield server
    server.close()


class Seen:
    """What an informer told, and a way to wait for it."""

    def __init__(self, server: StandIn) -> None:
        configuration = Configuration()
        configuration.host = f"http://127.0.0.1:{server.server.server_port}"
        self.changes: queue.Queue[str] = queue.Queue()
        self.informer = Informer(
            Cluster(configuration), JOBS, lambda found: self.changes.put(found["metadata"]["name"]), index_label="stack"
        )
        self.informer.start()
        server.seen.append(self)

    def wait_for(self, name: str) -> None:
        while self.changes.get(timeout=10) != name:
            pass


def test_the_list_comes_first_then_each_change(stand_in: StandIn) -> None:
    stand_in.items = [item("one", 1)]
    stand_in.watches.put(
        lambda _: iter(
            [
                {"type": "ADDED", "object": item("two", 2)},
                {"type": "MODIFIED", "object": item("one", 3, stack="other")},
                {"type": "DELETED", "object": item("two", 4)},
                {"type": "ADDED", "object": item("three", 5)},
            ]
        )
    )
    seen = Seen(stand_in)
    seen.wait_for("three")
    assert [found["metadata"]["name"] for found in seen.informer.all()] == ["one", "three"]
    assert [found["metadata"]["name"] for found in seen.informer.labelled("other")] == ["one"]
    assert [found["metadata"]["name"] for found in seen.informer.labelled("a.b.1")] == ["three"]
    assert all("managedFields" not in found["metadata"] for found in seen.informer.all())


def test_a_watch_that_ends_is_taken_up_where_it_ended(stand_in: StandIn) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}
    stand_in.watches.put(lambda _: iter([{"type": "ADDED", "object": item("one", 2)}, bookmark]))
    stand_in.watches.put(lambda _: iter([{"type": "ADDED", "object": item("two", 8)}]))
    seen = Seen(stand_in)
    seen.wait_for("two")
    assert stand_in.watched_from[:2] == ["1", "7"]
    assert stand_in.lists == 1


@pytest.mark.parametrize("code", [410, 500])
def test_history_that_is_gone_means_a_new_list(stand_in: StandIn, code: int) -> None:
    stand_in.items = [item("gone", 1), item("stays", 1)]

    def watch(_: str) -> Iterator[dict[str, Any]]:
        stand_in.items, stand_in.version = [item("stays", 1), item("new", 9)], 9
        yield {"type": "ERROR", "object": {"code": code, "reason": "Expired", "message": "too old"}}

    stand_in.watches.put(watch)
    seen = Seen(stand_in)
    seen.wait_for("new")
    assert {found["metadata"]["name"] for found in seen.informer.all()} == {"stays", "new"}
    assert stand_in.lists == 2


def test_what_went_unseen_is_told_by_the_next_list(stand_in: StandIn) -> None:
    stand_in.items = [item("gone", 1)]

    def watch(_: str) -> Iterator[dict[str, Any]]:
        stand_in.items = []
        yield {"type": "ERROR", "object": {"code": 410, "message": "too old"}}

    stand_in.watches.put(watch)
    seen = Seen(stand_in)
    for _ in range(2):  # Once from the list, once as it is missing from the next.
        seen.wait_for("gone")
    assert seen.informer.all() == []


def test_a_server_that_fails_is_asked_again(stand_in: StandIn) -> None:
    stand_in.failing = 2
    stand_in.items = [item("one", 1)]
    seen = Seen(stand_in)
    seen.wait_for("one")
    assert seen.informer.wait_synced(0)


def test_a_silent_watch_is_given_up_and_begun_anew(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_WATCH_READ_SECONDS", 0.3)

    def silent(_: str) -> Iterator[dict[str, Any]]:
        stand_in.items = [item("meanwhile", 2)]
        stand_in.stopped.wait(5)
        yield from ()

    stand_in.watches.put(silent)
    seen = Seen(stand_in)
    seen.wait_for("meanwhile")
    assert stand_in.lists == 2


def test_a_write_of_ours_is_not_undone_by_an_older_event(stand_in: StandIn) -> None:
    release = threading.Event()

    def watch(_: str) -> Iterator[dict[str, Any]]:
        release.wait(10)
        yield {"type": "MODIFIED", "object": item("one", 2)}
        yield {"type": "ADDED", "object": item("two", 6)}

    stand_in.items = [item("one", 1)]
    stand_in.watches.put(watch)
    seen = Seen(stand_in)
    seen.wait_for("one")
    seen.informer.remember(item("one", 5))
    release.set()
    seen.wait_for("two")
    found = seen.informer.get("one", "n")
    assert found
    assert found["metadata"]["resourceVersion"] == "5"
