"""Stand-ins for GitHub's and GitLab's REST APIs: the calls that a comment takes, in the shapes that their docs show.

Pages by the Link header, authors, tokens and their rights, refusals with their bodies. `answers` makes the next
requests fail on cue. What the real forges do beyond that is not here, and no test can say that it is so there.
"""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import jwt

Headers = dict[str, str]


@dataclasses.dataclass
class Answer:
    """What is answered: a status, a body as JSON (or as it is, if it is text), and headers."""

    status: int
    body: Any = None
    headers: Headers = dataclasses.field(default_factory=dict[str, str])


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: Headers
    body: Any


class Forge:
    """A server on the loopback, with comments by number."""

    prefix = ""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.answers: list[Answer | Callable[[], None]] = []
        self.lost_writes = 0
        """How many of the next writes are carried out, and their answers lost."""
        forge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                url = urlsplit(self.path)
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                body = json.loads(content) if content else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, url.path.removeprefix(forge.prefix), query, headers, body)
                forge.requests.append(request)
                cue = forge.answers.pop(0) if forge.answers else None
                if isinstance(cue, Answer):
                    answer = cue
                else:
                    answer = forge.handle(request)
                    if request.method != "GET" and forge.lost_writes:
                        forge.lost_writes -= 1
                        self.close_connection = True
                        return
                text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 - the names are http.server's.

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}{self.prefix}"

    def handle(self, request: Request) -> Answer:
        raise NotImplementedError

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def writes(self) -> list[str]:
        """Return method and path of each request that was no look."""
        return [f"{request.method} {request.path}" for request in self.requests if request.method != "GET"]

    def page(self, request: Request, default_size: int) -> Answer:
        """Return a page of the comments, with the Link header that leads on."""
        size = min(int(request.query.get("per_page", default_size)), 100)
        number = int(request.query.get("page", 1))
        last = max(1, -(-len(self.comments) // size))
        query = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "page")
        address = f"{self.url}{request.path}?{query}"
        links = [f'<{address}&page={number + 1}>; rel="next"'] if number < last else []
        links += [f'<{address}&page=1>; rel="first"', f'<{address}&page={last}>; rel="last"']
        return Answer(200, self.comments[(number - 1) * size : number * size], {"Link": ", ".join(links)})


class GitHub(Forge):
    """GitHub with one repository, `acme/shop`, and one pull request of it.

    Tokens: `personal` is the account `bot`, `actions` GitHub Actions' own, `reader` may not write.
    """

    ACCOUNTS: ClassVar = {
        "personal": {"login": "bot", "type": "User"},
        "actions": {"login": "github-actions[bot]", "type": "Bot"},
        "reader": {"login": "bot", "type": "User"},
        "of-the-app": {"login": "reviews[bot]", "type": "Bot"},
    }

    def __init__(self, number: str = "42") -> None:
        self.number = number
        self.app_key: Any = None
        self.app_permissions = {"pull_requests": "write", "metadata": "read"}
        super().__init__()

    def comment(self, body: str, login: str = "somebody", kind: str = "User") -> dict[str, Any]:
        number = len(self.comments) + 1
        comment = {
            "id": 1000 + number,
            "node_id": "x",
            "html_url": f"https://github.example.com/acme/shop/pull/{self.number}#issuecomment-{1000 + number}",
            "body": body,
            "user": {"login": login, "id": 1, "type": kind, "site_admin": False},
            "created_at": "2026-11-25T00:00:00Z",
            "author_association": "NONE",
            "performed_via_github_app": None,
        }
        self.comments.append(comment)
        return comment

    def handle(self, request: Request) -> Answer:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.path.startswith("/app/") or request.path.endswith("/installation"):
            return self._app(request, token)
        account = self.ACCOUNTS.get(token)
        if account is None:
            return Answer(401, {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"})
        if request.path == "/user":
            if account["type"] == "Bot":
                return Answer(403, {"message": "Resource not accessible by integration", "status": "403"})
            return Answer(200, {"id": 1} | account)
        write = re.fullmatch(rf"/repos/acme/shop/issues/({self.number}/comments|comments/(\d+))", request.path)
        if write is None:
            return Answer(404, {"message": "Not Found", "status": "404"})
        if request.method == "GET":
            return self.page(request, 30)
        if token == "reader":
            return Answer(403, {"message": "Resource not accessible by personal access token", "status": "403"})
        body = request.body["body"]
        if len(body) > 65_536:
            errors = [{"resource": "IssueComment", "code": "unprocessable", "field": "data"}]
            message = "Validation Failed: body is too long (maximum is 65536 characters)"
            return Answer(422, {"message": message, "errors": errors})
        if request.method == "POST":
            return Answer(201, self.comment(body, account["login"], account["type"]))
        (comment,) = [comment for comment in self.comments if comment["id"] == int(write[2])]
        comment["body"] = body
        return Answer(200, comment)

    def _app(self, request: Request, token: str) -> Answer:
        try:
            claims = jwt.decode(token, self.app_key, algorithms=["RS256"], options={"require": ["iat", "exp", "iss"]})
        except jwt.PyJWTError as error:
            return Answer(401, {"message": f"A JSON web token could not be decoded ({error})"})
        if claims["iss"] != "12345" or claims["exp"] - claims["iat"] > 660:
            return Answer(401, {"message": "'Expiration time' claim ('exp') is too far in the future"})
        if request.path == "/repos/acme/shop/installation":
            return Answer(200, {"id": 77, "account": {"login": "acme"}, "app_id": 12345, "app_slug": "reviews"})
        if request.path != "/app/installations/77/access_tokens":
            return Answer(404, {"message": "Not Found"})
        if not request.body["permissions"].items() <= self.app_permissions.items():
            return Answer(422, {"message": "The permissions requested are not granted to this installation."})
        granted = {"permissions": request.body["permissions"], "repository_selection": "selected"}
        return Answer(201, {"token": "of-the-app", "expires_at": "2026-11-25T01:00:00Z"} | granted)


class GitLab(Forge):
    """GitLab with one project, `acme/web/shop`, and its merge request 42. The token `personal` is account 7."""

    prefix = "/api/v4"

    def note(self, body: str, author: int = 1, *, system: bool = False) -> dict[str, Any]:
        note = {
            "id": 300 + len(self.comments),
            "body": body,
            "author": {"id": author, "username": f"user{author}", "state": "active"},
            "system": system,
            "noteable_type": "MergeRequest",
            "noteable_iid": 42,
        }
        self.comments.append(note)
        return note

    def handle(self, request: Request) -> Answer:
        # https://docs.gitlab.com/api/rest/authentication/#personalprojectgroup-access-tokens
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token == "narrow":
            return Answer(403, {"error": "insufficient_scope", "error_description": "needs api", "scope": "api"})
        if token != "personal":
            return Answer(401, {"message": "401 Unauthorized"})
        if request.path == "/user":
            return Answer(200, {"id": 7, "username": "project_1_bot", "state": "active"})
        found = re.fullmatch(r"/projects/([^/]+)/merge_requests/42/notes(?:/(\d+))?", request.path)
        if not found or unquote(found[1]) != "acme/web/shop":
            return Answer(404, {"message": "404 Project Not Found"})
        if request.method == "GET":
            return self.page(request, 20)
        body = request.body["body"].rstrip()
        if len(body) > 1_000_000:
            return Answer(400, {"message": {"note": ["is too long (maximum is 1000000 characters)"]}})
        if request.method == "POST":
            return Answer(201, self.note(body, 7))
        (note,) = [note for note in self.comments if note["id"] == int(found[2])]
        note["body"] = body
        return Answer(200, note)
