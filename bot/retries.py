"""What is worth another try over HTTP, and when. Sends nothing itself."""

from __future__ import annotations

import datetime
import email.utils
import time

import httpx

ATTEMPTS = 5
DEADLINE_SECONDS = 180.0
TIMEOUT = httpx.Timeout(60.0, connect=10.0)

_PASSING = {408, 425, 429, 500, 502, 503, 504}


def worth_another_try(error: Exception) -> bool | float:
    """Say whether to try again: no, yes, or yes after that many seconds. A hook for `stamina.retry`.

    Servers that are busy say when with Retry-After (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after);
    GitHub says 403 too, and x-ratelimit-reset
    (https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit).
    A wait that would outlast all tries is none: the error says until when.
    """
    if isinstance(error, httpx.TransportError):
        return True
    if not isinstance(error, httpx.HTTPStatusError):
        return False
    seconds = wait_seconds(error.response)
    if seconds is None:
        return error.response.status_code in _PASSING
    return seconds if seconds < DEADLINE_SECONDS else False


def wait_seconds(response: httpx.Response) -> float | None:
    """Return how long a server that is busy asks us to wait; None where it does not say, or is not."""
    if response.status_code not in _PASSING and not is_rate_limit(response):
        return None
    after = response.headers.get("retry-after")
    if after is not None:
        return _seconds(after)
    if response.headers.get("x-ratelimit-remaining") == "0":
        reset = _seconds(response.headers.get("x-ratelimit-reset", ""))
        return None if reset is None else max(1.0, reset - time.time())
    return None


def is_rate_limit(response: httpx.Response) -> bool:
    """Whether a server refuses since too much was asked, not since it was forbidden."""
    if response.status_code == 429:
        return True
    headers = response.headers
    return response.status_code == 403 and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0")


def _seconds(text: str) -> float | None:
    if text.isdecimal():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())
