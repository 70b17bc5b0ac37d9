"""GitHub's side of the comment: github.com and GitHub Enterprise, with a token or as a GitHub App."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any
from urllib.parse import quote

import httpx
import jwt
from pydantic import BaseModel

from bot.errors import ForgeRefused
from bot.forge import Api, Comment
from bot.retries import is_rate_limit

API_URL = "https://api.github.com"
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_JWT_SECONDS = 540


class _Installation(BaseModel):
    id: int


class _Token(BaseModel):
    token: str


class _Account(BaseModel):
    login: str
    type: str


class _Entry(BaseModel):
    """A comment; its author is gone if their account is."""

    id: int
    body: str | None = None
    html_url: str | None = None
    user: _Account | None = None


class AppCredentials(httpx.Auth):
    """Signs requests as a GitHub App's installation in one repository, which may do nothing there but comment.

    https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app

    Args:
        api_url: of the forge.
        app_id: the App's id or client id.
        private_key: the App's RSA key, in PEM.
        repository: `owner/name`, where the App is installed.
    """

    requires_response_body = True

    def __init__(self, api_url: str, app_id: str, private_key: str, repository: str) -> None:
        self._url = f"{api_url.rstrip('/')}"
        self._app_id = app_id
        self._key = private_key
        self._repository = repository
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Ask for a token before the first request; then use it. It lives an hour, longer than we do."""
        if not self._token:
            owner, _, name = self._repository.partition("/")
            path = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}/installation"
            found = yield self._as_app("GET", path)
            number = _Installation.model_validate_json(found.raise_for_status().content).id
            wanted = {"repositories": [name], "permissions": {"pull_requests": "write"}}
            granted = yield self._as_app("POST", f"/app/installations/{number}/access_tokens", wanted)
            self._token = _Token.model_validate_json(granted.raise_for_status().content).token
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request

    def _as_app(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Request:
        now = int(time.time())
        # A minute back, for clocks that differ.
        claims = {"iat": now - 60, "exp": now + _JWT_SECONDS, "iss": self._app_id}
        try:
            signed = jwt.encode(claims, self._key, algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError):
            raise ForgeRefused(
                "the App's private key is none: give the PEM file's content, with its line ends"
            ) from None
        return httpx.Request(
            method, self._url + path, headers=_HEADERS | {"Authorization": f"Bearer {signed}"}, json=body
        )


class GitHubComments:
    """The comments of a pull request on GitHub (https://docs.github.com/en/rest/issues/comments).

    Args:
        api_url: of the forge.
        repository: `owner/name`.
        number: the pull request's.
        credentials: a token, or a GitHub App's.
    """

    most_characters = 65_536
    needs = "the permission `pull-requests: write`"

    def __init__(self, api_url: str, repository: str, number: str, credentials: str | AppCredentials) -> None:
        self.place = f"{repository}#{number}"
        self._path = f"/repos/{quote(repository)}/issues"
        self._number = number
        self._is_app = isinstance(credentials, AppCredentials)
        if isinstance(credentials, AppCredentials):
            self._api = Api(api_url, _HEADERS, credentials)
        else:
            self._api = Api(api_url, _HEADERS | {"Authorization": f"Bearer {credentials}"})

    def find(self, marker: str) -> Comment | None:
        """Return our first comment that begins with `marker`."""
        login = None if self._is_app else self._login()
        for entry in self._api.pages(f"{self._path}/{self._number}/comments?per_page=100", _Entry):
            # An App's token can't ask who it is; only Apps that somebody installed here write as bots.
            ours = entry.user and (entry.user.login == login if login else entry.user.type == "Bot")
            if ours and (entry.body or "").startswith(marker):
                return _comment(entry)
        return None

    def create(self, body: str) -> Comment:
        """Write a new comment."""
        return _comment(self._api.call("POST", f"{self._path}/{self._number}/comments", _Entry, {"body": body}))

    def update(self, comment: Comment, body: str) -> Comment:
        """Change a comment of ours."""
        return _comment(self._api.call("PATCH", f"{self._path}/comments/{comment.id}", _Entry, {"body": body}))

    def _login(self) -> str | None:
        """Return the name of the token's account; None for a token of an App, GitHub Actions' own among them."""
        try:
            return self._api.call("GET", "/user", _Account).login
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 403 and not is_rate_limit(error.response):
                return None
            raise


def _comment(entry: _Entry) -> Comment:
    return Comment(entry.id, entry.body or "", entry.html_url or "")
