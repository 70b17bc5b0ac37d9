"""One comment in a pull request, whatever the forge: found again by a hidden marker, then changed, or made.

`Comments` is what a forge has to offer; `Api` is how all of them are spoken to; `publish` is the whole act, which can
be cut off anywhere and done again. What the comment says is `comment.py`'s job.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import httpx
import stamina
from pydantic import BaseModel, TypeAdapter, ValidationError

from bot.errors import ForgeRefused
from bot.retries import ATTEMPTS, DEADLINE_SECONDS, TIMEOUT, is_rate_limit, wait_seconds, worth_another_try
from bot.untrusted import printable

_MOST_PAGES = 500
_LONGEST_SAID = 200

_LIST = TypeAdapter(list[dict[str, Any]])

Answer = TypeVar("Answer", bound=BaseModel)


@dataclasses.dataclass(frozen=True)
class Comment:
    """A comment as the forge has it. `url` is where people see it; empty where the forge does not say."""

    id: int
    body: str
    url: str


class Comments(Protocol):
    """The comments of one pull request, as the account whose token we have sees them.

    Every method lets through what httpx raises, and pydantic's error where the answer is none of the forge's.
    """

    @property
    def place(self) -> str:
        """The pull request, for people: `acme/shop#42`."""
        ...

    @property
    def needs(self) -> str:
        """What the token has to be allowed, in the forge's own words."""
        ...

    @property
    def most_characters(self) -> int:
        """How long a comment may be."""
        ...

    def find(self, marker: str) -> Comment | None:
        """Return our first comment that begins with `marker`. One of somebody else's is not ours, whatever it says."""
        ...

    def create(self, body: str) -> Comment:
        """Write a new comment."""
        ...

    def update(self, comment: Comment, body: str) -> Comment:
        """Change a comment of ours."""
        ...


class Api:
    """A forge's REST API.

    Args:
        url: of the API, as in `https://api.github.com`.
        headers: for every request.
        auth: what signs requests, if headers do not.
    """

    def __init__(self, url: str, headers: dict[str, str], auth: httpx.Auth | None = None) -> None:
        headers = {"User-Agent": "reviewapp", "Accept": "application/json"} | headers
        self._client = httpx.Client(base_url=url, headers=headers, auth=auth, timeout=TIMEOUT, follow_redirects=True)

    def call(self, method: str, path: str, kind: type[Answer], body: dict[str, Any] | None = None) -> Answer:
        """Send a request, and return its answer."""
        return kind.model_validate_json(self._send(method, path, body).content)

    def pages(self, path: str, kind: type[Answer]) -> Iterator[Answer]:
        """Yield the entries of a list, page after page, as the Link header leads.

        https://www.rfc-editor.org/rfc/rfc8288, as used by
        https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api and
        https://docs.gitlab.com/api/rest/#offset-based-pagination
        """
        target: str | httpx.URL = path
        for _ in range(_MOST_PAGES):
            response = self._send("GET", target)
            yield from map(kind.model_validate, _LIST.validate_json(response.content))
            following = response.links.get("next", {}).get("url")
            if not following:
                return
            # Behind a proxy the host in it can be wrong; and the token is for no other one.
            target = response.url.copy_with(raw_path=httpx.URL(following).raw_path)

    def _send(self, method: str, target: str | httpx.URL, body: dict[str, Any] | None = None) -> httpx.Response:
        response = self._client.request(method, target, json=body)
        return response.raise_for_status()


class _Refusal(BaseModel):
    """What both forges say of an error; GitLab's message can be a mapping."""

    message: Any = None
    error: Any = None


def publish(comments: Comments, marker: str, body: str, *, create: bool = True) -> Comment | None:
    """Make our comment in a pull request say `body`, and return it.

    Args:
        comments: of the pull request.
        marker: what our comment, and `body`, begin with.
        body: the whole comment.
        create: whether to write one where there is none yet; else None is returned.

    Raises:
        ForgeRefused: the forge refuses, or does not answer.
    """

    # All of it, not the one request: a write whose answer was lost may have been carried out.
    @stamina.retry(on=worth_another_try, attempts=ATTEMPTS, timeout=DEADLINE_SECONDS)
    def once() -> Comment | None:
        found = comments.find(marker)
        if found is None:
            return comments.create(body) if create else None
        return found if found.body == body else comments.update(found, body)

    try:
        return once()
    except httpx.HTTPStatusError as error:
        raise ForgeRefused(_explained(error.response, comments)) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ForgeRefused(f"the forge does not answer ({type(error).__name__}): see that --api-url is right") from None
    except ValidationError:
        raise ForgeRefused("what answers is not the forge's API: see that --api-url is right") from None


def _explained(response: httpx.Response, comments: Comments) -> str:
    said = f"HTTP {response.status_code} {_said(response)}".strip()
    if is_rate_limit(response):
        seconds = wait_seconds(response)
        return f"the forge takes no more requests{f' for {seconds:.0f} s' if seconds else ''} ({said}): try again then"
    if response.status_code == 401:
        return f"the forge does not know the token ({said}): give one that is valid"
    if response.status_code == 403:
        return f"the token may not comment in {comments.place} ({said}): give it {comments.needs}"
    if response.status_code == 404:
        return f"there is no {comments.place}, or the token may not see it ({said}): give it {comments.needs}"
    return f"the comment in {comments.place} was refused ({said})"


def _said(response: httpx.Response) -> str:
    try:
        answer = _Refusal.model_validate_json(response.content)
    except ValidationError:
        return ""
    return printable(str(answer.message or answer.error or ""))[:_LONGEST_SAID]
