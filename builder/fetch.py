"""Fetches a tarball by http, https or s3 into a file, with a limit, a deadline and a few retries.

A URL can be a credential itself (presigned: the query; `user:token@`), so only `shown(url)` is ever put
into a message, and never the text of a library's error that may quote a URL.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

import httpx
import stamina

from builder.errors import ArchiveError, FetchFailedError, FetchRefusedError, LimitError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_ATTEMPTS = 5
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 30.0
# Filled before it is handed on: so small that a slow transfer meets its deadline.
_CHUNK = 1 << 14
_REDIRECTS = 5
# Every other 4xx says that the same request will get the same answer.
_TRANSIENT = frozenset({408, 425, 429})


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a tarball comes from.

    Attributes:
        url: `https://`, `http://` or `s3://bucket/key`.
        maximum_bytes: how large it may be, as it comes.
        timeout_seconds: for all of it, retries included.
        s3_endpoint_url: an S3 other than AWS's own.
        sha256: what its SHA-256 must be, in lower-case hexadecimal digits; anything if None.
    """

    url: str
    maximum_bytes: int
    timeout_seconds: float
    s3_endpoint_url: str | None = None
    sha256: str | None = None


def shown(url: str) -> str:
    """Return the URL without what can be a credential in it: user, password, query, fragment."""
    scheme, _, rest = url.partition("://")
    address, slash, path = rest.split("?", 1)[0].split("#", 1)[0].partition("/")
    return f"{scheme}://{address.rpartition('@')[2]}{slash}{path}"


def fetch(source: Source, file: BinaryIO) -> int:
    """Write the tarball to the seekable, empty `file`, and return its size in bytes.

    Network errors, 5xx, 408, 425 and 429 are tried again, five times in all within the time limit.

    Raises:
        FetchRefusedError: the other side said no, or what it said makes no sense to follow.
        FetchFailedError: it went on failing, or took too long.
        LimitError: it is larger than allowed.
        ArchiveError: it came whole, and is not the one that was meant.
    """
    deadline = time.monotonic() + source.timeout_seconds
    chunks_of = _from_s3 if source.url.startswith("s3://") else _from_http
    retries = stamina.retry_context(
        on=FetchFailedError,
        attempts=_ATTEMPTS,
        timeout=datetime.timedelta(seconds=source.timeout_seconds),
        wait_initial=0.2,
        wait_max=5.0,
        wait_jitter=0.5,
    )
    for attempt in retries:
        with attempt:
            file.seek(0)
            file.truncate()
            return _copy(chunks_of(source), file, source, deadline)
    raise FetchFailedError(f"cannot fetch {shown(source.url)}: no try was made: raise the time limit")


def _copy(chunks: Iterator[bytes], file: BinaryIO, source: Source, deadline: float) -> int:
    size = 0
    digest = hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
        _check_size(size, source)
        if time.monotonic() > deadline:
            raise FetchFailedError(
                f"cannot fetch {shown(source.url)}: {size} bytes came within {source.timeout_seconds:g} s: "
                "check the network or make the tarball smaller"
            )
        file.write(chunk)
    file.flush()
    if source.sha256 not in (None, digest.hexdigest()):
        raise ArchiveError(
            f"the tarball {shown(source.url)} has the SHA-256 {digest.hexdigest()}, and spec.tarballSha256 is "
            f"{source.sha256}: upload the one that was meant, or correct the checksum"
        )
    return size


def _check_size(size: int, source: Source) -> None:
    if size > source.maximum_bytes:
        raise LimitError(
            f"the tarball {shown(source.url)} has more than {source.maximum_bytes} bytes: "
            "leave out what the build does not need, with .gitattributes export-ignore for example"
        )


def _from_http(source: Source) -> Iterator[bytes]:
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    # As it is stored: else a server may compress a second time, and how far that unfolds is not bounded.
    headers = {"Accept-Encoding": "identity", "User-Agent": "reviewapp-unpack"}
    url = source.url
    try:
        with httpx.Client(timeout=timeout, headers=headers) as client:
            request = client.build_request("GET", url)
            for _ in range(_REDIRECTS + 1):
                response = client.send(request, stream=True)
                try:
                    if response.next_request is None:
                        _check_answer(response.status_code, url)
                        _check_size(int(response.headers.get("Content-Length", "0")), source)
                        yield from response.iter_raw()
                        return
                finally:
                    response.close()
                request = response.next_request
                url = _redirected(url, str(request.url))
    except httpx.InvalidURL:
        raise FetchRefusedError(f"{shown(url)} is no valid address: check spec.tarballUrl") from None
    except httpx.TransportError as error:
        raise FetchFailedError(
            f"cannot fetch {shown(url)}: {_reason(error)}: check the address and the network"
        ) from None
    raise FetchRefusedError(f"{shown(source.url)} redirects more than {_REDIRECTS} times: give the final address")


def _redirected(origin: str, target: str) -> str:
    allowed = ("https",) if urlsplit(origin).scheme == "https" else ("http", "https")
    if urlsplit(target).scheme not in allowed:
        raise FetchRefusedError(
            f"{shown(origin)} redirects to {shown(target)}: a redirect must lead to {' or '.join(allowed)}"
        )
    return target


def _check_answer(status: int, url: str) -> None:
    if status == HTTPStatus.OK:
        return
    phrase = next((known.phrase for known in HTTPStatus if known == status), "")
    answer = f"{shown(url)} answered {f'{status} {phrase}'.strip()}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRANSIENT:
        raise FetchFailedError(f"{answer}: look at that server")
    if status == HTTPStatus.NOT_FOUND:
        raise FetchRefusedError(f"{answer}: check that the tarball was uploaded, and spec.tarballUrl")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise FetchRefusedError(f"{answer}: a presigned URL may have expired, or the credentials lack read access")
    raise FetchRefusedError(f"{answer}: check spec.tarballUrl")


def _reason(error: Exception) -> str:
    """Return what went wrong on one line, without what could quote a URL."""
    if isinstance(error, httpx.RemoteProtocolError | httpx.UnsupportedProtocol):
        return "the server broke off or sent what is not HTTP"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    text = str(error).partition("\n")[0]
    return type(error).__name__ if not text or "://" in text else text


def _from_s3(source: Source) -> Iterator[bytes]:
    # Imported here: it takes longer to import than a tarball over HTTP takes to fetch.
    import boto3
    from botocore import exceptions
    from botocore.config import Config

    bucket, _, key = source.url.removeprefix("s3://").partition("/")
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    try:
        # The stubs of the other services are not installed, and boto3's overloads name them all.
        client = boto3.Session().client(  # pyright: ignore[reportUnknownMemberType]
            "s3", endpoint_url=source.s3_endpoint_url, config=config
        )
        answer = client.get_object(Bucket=bucket, Key=key)
        _check_size(answer["ContentLength"], source)
        with contextlib.closing(answer["Body"]) as body:
            yield from body.iter_chunks(_CHUNK)
    except exceptions.ClientError as error:
        raise _refusal(error, source.url) from None
    except (
        exceptions.HTTPClientError,
        exceptions.ResponseStreamingError,
        exceptions.IncompleteReadError,
        exceptions.FlexibleChecksumError,
    ) as error:
        raise FetchFailedError(
            f"cannot fetch {shown(source.url)}: S3 could not be reached or broke off ({type(error).__name__}): "
            "check the endpoint and the network"
        ) from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
        raise FetchRefusedError(
            f"cannot fetch {shown(source.url)}: no AWS credentials: put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "into a Secret in the build namespace and name it in the setting tarball_secret_name"
        ) from None
    except (exceptions.BotoCoreError, ValueError) as error:
        raise FetchRefusedError(
            f"cannot fetch {shown(source.url)}: {type(error).__name__}: check bucket, key, region and endpoint"
        ) from None


def _refusal(error: ClientError, url: str) -> FetchRefusedError | FetchFailedError:
    code = error.response.get("Error", {}).get("Code", "unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    answer = f"{shown(url)}: S3 answered {status} {code}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRANSIENT or code in ("SlowDown", "RequestTimeout"):
        return FetchFailedError(f"{answer}: look at the S3 server")
    if status == HTTPStatus.NOT_FOUND:
        return FetchRefusedError(f"{answer}: check that the tarball was uploaded, and spec.tarballUrl")
    return FetchRefusedError(f"{answer}: check the credentials in the Secret that tarball_secret_name names")
