"""The bot's writes against an API server that another writer, or a fault, gets in the way of.

A small stand-in for one ReviewApp's get, create, patch, delete and watch. What the real one does is tested in
tests/e2e; it can't be told to be a moment too late.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import stamina
from kubernetes.client import Configuration

from provisioner.errors import ReviewAppError
from stacks.naming import REBUILD_ANNOTATION
from tests import samples
from watcher.cluster import ApiRefused, Cluster, Object
from watcher.submission import NameTaken, PullRequest, TooLate, close, follow, submit

NAME = "acme-shop-42"
OURS = PullRequest("acme", "shop", "42")
Fault = int | Callable[["StandIn"], None]


class StandIn:
    """One ReviewApp, or none. Each request that writes, or looks, first meets the next of `faults`."""

    def __init__(self) -> None:
        self.item: Object | None = None
        self.version = 1
        self.faults: list[Fault | None] = []
        self.asked: list[str] = []
        self.patches: list[Any] = []
        self.events: list[list[Object] | int] = []
        self.watched_from: list[str] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do(self) -> None:
                url = urlsplit(self.path)
                query = parse_qs(url.query)
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
                if "watch" in query:
                    assert query["fieldSelector"] == [f"metadata.name={NAME}"]
                    self.watch(query["resourceVersion"][0])
                    return
                stand_in.asked.append(self.command)
                fault = stand_in.faults.pop(0) if stand_in.faults else None
                if isinstance(fault, int):
                    self.answer(fault, {"reason": "Fault", "message": "on cue", "code": fault})
                    return
                if fault:
                    fault(stand_in)
                self.answer(*stand_in.handle(self.command, body))

            do_GET = do_POST = do_PATCH = do_DELETE = do  # noqa: N815 - the names are http.server's.

            def watch(self, version: str) -> None:
                stand_in.watched_from.append(version)
                events = stand_in.events.pop(0) if stand_in.events else []
                if isinstance(events, int):
                    self.answer(events, {"reason": "Fault", "message": "on cue", "code": events})
                    return
                self.send_response(200)
                self.end_headers()
                for event in events:
                    self.wfile.write(json.dumps(event).encode() + b"\n")

            def answer(self, status: int, document: object) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        configuration = Configuration()
        configuration.host = f"http://127.0.0.1:{self.server.server_port}"
        self.cluster = Cluster(configuration)

    def put(self, uid: str = "u", **spec: Any) -> None:
        """Have the ReviewApp there, as another bot wrote it."""
        self.version += 1
        metadata = {"name": NAME, "uid": uid, "generation": 1, "resourceVersion": str(self.version)}
        self.item = {"metadata": metadata, "spec": samples.review_app()["spec"] | spec}

    def mark_deleting(self) -> None:
        assert self.item
        self.item["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"

    def handle(self, method: str, body: Any) -> tuple[int, Any]:
        if method == "POST":
            if self.item:
                return 409, {"reason": "AlreadyExists", "message": "already exists", "code": 409}
            self.put()
            assert self.item
            self.item["spec"] = body["spec"]
            return 201, self.item
        if self.item is None:
            return 404, {"reason": "NotFound", "message": "not found", "code": 404}
        if method == "PATCH":
            self.patches.append(body)
            before = copy.deepcopy(self.item["spec"])
            if isinstance(body, dict):
                self.item["metadata"] |= body["metadata"]
                return 200, self.item
            for operation in body:
                assert operation["op"] == "add"
                _, top, field = operation["path"].split("/")
                if field in {"repoOwner", "repo", "pr"} and self.item[top][field] != operation["value"]:
                    return 422, {"reason": "Invalid", "message": f"{field} can't change", "code": 422}
                self.item[top][field] = operation["value"]
            self.item["metadata"]["generation"] += self.item["spec"] != before
        if method == "DELETE":
            self.mark_deleting()
        return 200, self.item


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Generator[StandIn]:
    stand_in = StandIn()
    monkeypatch.setattr("watcher.submission._PAUSE_SECONDS", 0.01)
    with stamina.set_testing(True, attempts=10, cap=True):
        yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()


def test_it_is_made(server: StandIn) -> None:
    written = submit(server.cluster, NAME, samples.spec())
    assert written
    assert written[0] == "created"
    assert server.item
    # Numbers of the environment become the text that they are taken as.
    assert server.item["spec"] == samples.spec().model_dump(mode="json", by_alias=True, exclude_unset=True)


def test_it_is_changed_field_by_field(server: StandIn) -> None:
    server.put(ownersNote="kept")
    spec = samples.spec(commitHash="b" * 40, config={"env": {}})
    written = submit(server.cluster, NAME, spec)
    assert written
    assert written[0] == "changed"
    assert server.item
    assert server.item["spec"]["commitHash"] == "b" * 40
    # What the new config no longer has is gone; what the bot knows nothing of stays.
    assert server.item["spec"]["config"]["env"] == {}
    assert server.item["spec"]["ownersNote"] == "kept"
    paths = {operation["path"] for operation in server.patches[0]}
    fields = {"repoOwner", "repo", "branch", "pr", "commitHash", "tarballUrl", "config"}
    assert paths == {f"/spec/{field}" for field in fields}


def test_the_same_again_changes_nothing(server: StandIn) -> None:
    submit(server.cluster, NAME, samples.spec())
    written = submit(server.cluster, NAME, samples.spec())
    assert written
    assert written[0] == "as it was"


def test_the_same_again_after_a_failed_build_builds_it_once_more(server: StandIn) -> None:
    submit(server.cluster, NAME, samples.spec())
    assert server.item
    commit = samples.spec().commit_hash
    failed = {"type": "Built", "status": "False", "reason": "BuildFailed", "message": "m", "observedGeneration": 1}
    failed["lastTransitionTime"] = "2026-11-25T00:00:00Z"
    server.item["status"] = {"buildCommit": commit, "buildJobName": "j", "conditions": [failed]}
    annotations: list[str] = []
    for _ in range(2):
        written = submit(server.cluster, NAME, samples.spec())
        assert written
        assert written[0] == "built once more"
        annotations.append(server.item["metadata"]["annotations"][REBUILD_ANNOTATION])
    assert len(set(annotations)) == 2
    # Another commit is built anyway.
    written = submit(server.cluster, NAME, samples.spec(commitHash="b" * 40))
    assert written
    assert written[0] == "changed"


def test_another_pull_requests_name_is_refused(server: StandIn) -> None:
    server.put(repo="shop-x", pr="7")
    with pytest.raises(NameTaken, match="is that of acme/shop-x#7, not of acme/shop#42: name another with --name"):
        submit(server.cluster, NAME, samples.spec())
    with pytest.raises(NameTaken):
        close(server.cluster, NAME, OURS)
    assert server.asked == ["GET", "GET"]


def test_one_on_its_way_out_is_left_alone(server: StandIn) -> None:
    server.put()
    server.mark_deleting()
    assert submit(server.cluster, NAME, samples.spec()) is None
    assert server.patches == []


def test_another_that_creates_it_first(server: StandIn) -> None:
    server.faults = [None, lambda it: it.put(commitHash="c" * 40)]
    written = submit(server.cluster, NAME, samples.spec())
    assert written
    assert written[0] == "changed"
    assert server.asked == ["GET", "POST", "GET", "PATCH"]


def test_another_that_deletes_it_meanwhile(server: StandIn) -> None:
    server.put()
    server.faults = [None, lambda it: setattr(it, "item", None)]
    written = submit(server.cluster, NAME, samples.spec())
    assert written
    assert written[0] == "created"


def test_another_that_asks_for_its_deletion_meanwhile(server: StandIn) -> None:
    server.put()
    server.faults = [None, StandIn.mark_deleting]
    assert submit(server.cluster, NAME, samples.spec()) is None


def test_another_that_makes_it_anew_meanwhile(server: StandIn) -> None:
    server.put()
    server.faults = [None, lambda it: it.put(uid="another", pr="7")]
    with pytest.raises(ApiRefused, match="pr can't change"):
        submit(server.cluster, NAME, samples.spec(commitHash="b" * 40))
    server.put(uid="a third")
    server.faults = [None, lambda it: it.put(uid="a fourth")]
    assert submit(server.cluster, NAME, samples.spec(commitHash="b" * 40))
    assert server.asked[-4:] == ["GET", "PATCH", "GET", "PATCH"]


@pytest.mark.parametrize("fault", [409, 429, 500, 503])
def test_what_passes_is_tried_again(server: StandIn, fault: int) -> None:
    server.put()
    server.faults = [None, fault, fault, None]
    assert submit(server.cluster, NAME, samples.spec(commitHash="b" * 40))
    assert server.asked == ["GET", "PATCH", "GET", "GET", "PATCH"]


def test_what_is_forbidden_is_said_at_once(server: StandIn) -> None:
    server.put()
    server.faults = [None, 403]
    with pytest.raises(ApiRefused, match="403"):
        submit(server.cluster, NAME, samples.spec())
    assert server.asked == ["GET", "PATCH"]


def test_a_cluster_without_the_crd_is_said(server: StandIn) -> None:
    server.faults = [404, 404]
    with pytest.raises(ReviewAppError, match="does not know ReviewApps: see that KUBECONFIG"):
        submit(server.cluster, NAME, samples.spec())


def test_closing(server: StandIn) -> None:
    assert not close(server.cluster, NAME, OURS)
    server.put()
    assert close(server.cluster, NAME, OURS)
    assert server.item
    assert "deletionTimestamp" in server.item["metadata"]


def event(kind: str, version: int) -> Object:
    return {"type": kind, "object": {"metadata": {"name": NAME, "resourceVersion": str(version)}}}


def versions(server: StandIn, seconds: float = 20) -> list[str | None]:
    return [item["metadata"]["resourceVersion"] if item else None for item in follow(server.cluster, NAME, seconds)]


def test_followed_to_its_end(server: StandIn) -> None:
    server.put()
    server.events = [[event("MODIFIED", 3), event("BOOKMARK", 8), event("MODIFIED", 9), event("DELETED", 10)]]
    assert versions(server) == ["2", "3", "9", None]
    assert server.watched_from == ["2"]


def test_one_that_is_not_there(server: StandIn) -> None:
    assert versions(server) == [None]


def test_a_watch_that_breaks_misses_nothing(server: StandIn) -> None:
    server.put()
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
    server.events = [[event("MODIFIED", 3)], [gone], 410, [event("DELETED", 4)]]
    assert versions(server) == ["2", "3", "2", "2", "2", None]


def test_a_server_that_is_away_is_waited_for(server: StandIn) -> None:
    server.put()
    server.events = [503, [event("DELETED", 4)]]
    server.faults = [None, 500, 429]
    assert versions(server) == ["2", "2", None]


def test_what_is_forbidden_ends_it(server: StandIn) -> None:
    server.put()
    server.events = [403]
    with pytest.raises(ApiRefused):
        versions(server)


def test_it_ends_in_time(server: StandIn) -> None:
    server.put()
    server.events = [503] * 100_000
    with pytest.raises(TooLate):
        versions(server, 0.3)
