"""What the registry is asked, and what its answers are taken for; over a real HTTP server on the loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from provisioner.settings import StackSettings
from tests import samples
from watcher.cluster import Cluster, Object, Resource
from watcher.registry import Registry, credentials_for

DIGEST = "sha256:" + "1" * 64
REPOSITORY = "apps/acme/shop"


class OneSecret(Cluster):
    """A cluster with one Secret; it is asked for no more than that."""

    def __init__(self, configuration: object) -> None:
        self._data = base64.b64encode(json.dumps(configuration).encode()).decode()

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        assert (resource.plural, namespace, name) == ("secrets", "reviewapp-builds", "push")
        return {"data": {".dockerconfigjson": self._data}}


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def server() -> Generator[tuple[str, dict[str, Answer], list[str]]]:
    """Address, answers by path without its query, and what was asked, with its Authorization."""
    answers: dict[str, Answer] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path} {self.headers.get('Authorization', '')}".strip())
            answers[self.path.partition("?")[0]](self)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's.
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{httpd.server_port}", answers, asked
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def gives(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)

    return answer


def with_password(answer: Answer, expected: str, challenge: str) -> Answer:
    def guarded(handler: BaseHTTPRequestHandler) -> None:
        refuse = gives(401, WWW_Authenticate=challenge)
        (answer if handler.headers.get("Authorization") == expected else refuse)(handler)

    return guarded


def registry(host: str, user: str = "user", unanswered: dict[str, str] | None = None) -> Registry:
    settings: StackSettings = samples.settings(registry=f"{host}/apps", registry_insecure=True, push_secret_name="push")
    silent = {} if unanswered is None else unanswered
    auth = base64.b64encode(f"{user}:pass:word".encode()).decode()
    return Registry(OneSecret({"auths": {host: {"auth": auth}}}), settings, silent.__setitem__)


BASIC = f"Basic {base64.b64encode(b'user:pass:word').decode()}"


def test_an_image_that_is_there(server: tuple[str, dict[str, Answer], list[str]]) -> None:
    host, answers, asked = server
    answers[f"/v2/{REPOSITORY}/manifests/42-abc"] = gives(200, Docker_Content_Digest=DIGEST)
    answers[f"/v2/{REPOSITORY}/manifests/{DIGEST}"] = gives(200, Docker_Content_Digest=DIGEST)
    image = f"{host}/{REPOSITORY}"
    assert registry(host).digest(f"{image}:42-abc") == f"{image}@{DIGEST}"
    assert registry(host).digest(f"{image}@{DIGEST}") == f"{image}@{DIGEST}"
    # Who is not asked for a password gives none.
    assert asked[0] == f"HEAD /v2/{REPOSITORY}/manifests/42-abc"


@pytest.mark.parametrize(
    "answer",
    [
        gives(404),
        gives(500),
        gives(401),
        gives(200),
        gives(200, Docker_Content_Digest="latest"),
        gives(302, Location="http://127.0.0.1:1/"),
        gives(401, WWW_Authenticate='Bearer realm="http://127.0.0.1:1/token"'),
        gives(401, WWW_Authenticate="Bearer"),
    ],
)
def test_what_is_not_known_is_built(answer: Answer, server: tuple[str, dict[str, Answer], list[str]]) -> None:
    host, answers, _ = server
    answers[f"/v2/{REPOSITORY}/manifests/42-abc"] = answer
    assert registry(host).digest(f"{host}/{REPOSITORY}:42-abc") is None


def test_nobody_there() -> None:
    unanswered: dict[str, str] = {}
    assert registry("127.0.0.1:1", unanswered=unanswered).digest("127.0.0.1:1/apps/shop:1") is None
    assert unanswered == {"127.0.0.1:1/apps/shop:1": "[Errno 111] Connection refused"}


def test_what_is_not_there_is_an_answer(server: tuple[str, dict[str, Answer], list[str]]) -> None:
    host, answers, _ = server
    answers[f"/v2/{REPOSITORY}/manifests/1"] = gives(404)
    unanswered: dict[str, str] = {}
    assert registry(host, unanswered=unanswered).digest(f"{host}/{REPOSITORY}:1") is None
    assert unanswered == {}


def test_a_registry_with_passwords(server: tuple[str, dict[str, Answer], list[str]]) -> None:
    host, answers, _ = server
    there = gives(200, Docker_Content_Digest=DIGEST)
    answers[f"/v2/{REPOSITORY}/manifests/1"] = with_password(there, BASIC, 'Basic realm="registry"')
    image = f"{host}/{REPOSITORY}:1"
    assert registry(host).digest(image) == f"{host}/{REPOSITORY}@{DIGEST}"
    assert registry(host, user="another").digest(image) is None


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_registry_with_tokens(name: str, server: tuple[str, dict[str, Answer], list[str]]) -> None:
    host, answers, asked = server
    scope = f"repository:{REPOSITORY}:pull"
    challenge = f'Bearer realm="http://{host}/token",service="registry",scope="{scope}"'
    there = gives(200, Docker_Content_Digest=DIGEST)
    answers[f"/v2/{REPOSITORY}/manifests/1"] = with_password(there, "Bearer t0ken", challenge)
    answers["/token"] = with_password(gives(200, json.dumps({name: "t0ken"}).encode()), BASIC, "Basic")
    assert registry(host).digest(f"{host}/{REPOSITORY}:1") == f"{host}/{REPOSITORY}@{DIGEST}"
    assert asked[1] == f"GET /token?service=registry&scope={scope.replace(':', '%3A').replace('/', '%2F')} {BASIC}"
    assert registry(host, user="another").digest(f"{host}/{REPOSITORY}:1") is None


@pytest.mark.parametrize(
    ("host", "key", "entry"),
    [
        ("registry:5000", "registry:5000", {"auth": base64.b64encode(b"u:p").decode()}),
        ("registry.example.com", "https://registry.example.com/v2/", {"username": "u", "password": "p"}),
        ("docker.io", "https://index.docker.io/v1/", {"auth": base64.b64encode(b"u:p").decode()}),
    ],
)
def test_credentials_are_found_as_docker_writes_them(host: str, key: str, entry: dict[str, str]) -> None:
    configuration = {"auths": {"other.example.com": {"auth": "!"}, key: entry}}
    assert credentials_for(host, json.dumps(configuration).encode()) == ("u", "p")
    assert credentials_for("elsewhere.example.com", json.dumps(configuration).encode()) is None


@pytest.mark.parametrize(
    "configuration", ["", "[]", '{"auths": 1}', '{"auths": {"r": {"auth": "!"}}}', '{"auths": {"r": {}}}']
)
def test_what_is_no_configuration(configuration: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        credentials_for("r", configuration.encode())
