"""Put a tarball where the build fetches it from: a bucket of S3, or an address that was signed for a PUT.

Tries again what may pass. Never shows a signed address: it is a credential.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import stamina
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bot.errors import UploadFailed
from bot.retries import ATTEMPTS, DEADLINE_SECONDS, TIMEOUT, worth_another_try

Progress = Callable[[int], object]
"""Told how many more bytes are there; a negative number where it begins anew."""

_CHUNK_BYTES = 262_144
_S3 = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": ATTEMPTS})
# Storage that speaks S3 and is not AWS's may not know the checksums that boto3 adds.
_OTHER_S3 = _S3.merge(Config(request_checksum_calculation="when_required"))


def tarball_key(owner: str, repository: str, commit: str) -> str:
    """Return a tarball's key in its bucket, `<owner>-<repo>-<8 of commit>.tar.gz`."""
    return f"{owner}-{repository}-{commit[:8]}.tar.gz"


def to_bucket(tarball: Path, bucket: str, key: str, endpoint_url: str | None, progress: Progress) -> str:
    """Upload to S3, and return the `s3://` address.

    Credentials and region are those of the AWS SDK: variables, profiles, or the role of the job
    (https://docs.aws.amazon.com/boto3/latest/guide/credentials.html).

    Raises:
        UploadFailed: S3 refuses or does not answer.
    """
    try:
        client: Any = boto3.Session().client("s3", endpoint_url=endpoint_url, config=_OTHER_S3 if endpoint_url else _S3)  # pyright: ignore[reportUnknownMemberType]
        client.upload_file(str(tarball), bucket, key, Callback=progress)
    except (BotoCoreError, ClientError, S3UploadFailedError, ValueError) as error:
        raise UploadFailed(
            f"the tarball was not uploaded to bucket {bucket} ({error}): see that the bucket is there and that the "
            "AWS_* variables give someone who may write to it, and AWS_REGION its region"
        ) from None
    return f"s3://{bucket}/{key}"


def to_url(tarball: Path, url: str, progress: Progress) -> None:
    """Upload with one PUT to an address that was signed for it.

    Raises:
        UploadFailed: the server refuses or does not answer.
    """

    @stamina.retry(on=worth_another_try, attempts=ATTEMPTS, timeout=DEADLINE_SECONDS)
    def put() -> None:
        sent = 0

        def content() -> Iterator[bytes]:
            nonlocal sent
            with tarball.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
                    sent += len(chunk)
                    progress(len(chunk))

        # Storage takes no chunked transfer: the length is said before.
        headers = {"Content-Length": str(tarball.stat().st_size)}
        try:
            httpx.put(url, content=content(), headers=headers, timeout=TIMEOUT).raise_for_status()
        except httpx.HTTPError:
            progress(-sent)
            raise

    try:
        put()
    except httpx.HTTPStatusError as error:
        code = re.search(r"<Code>(\w+)</Code>", error.response.text)
        said = f"HTTP {error.response.status_code}" + (f" {code[1]}" if code else "")
        raise UploadFailed(f"{_host(url)} did not take the tarball ({said}): sign another address for a PUT") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        kind = type(error).__name__
        raise UploadFailed(f"the tarball was not sent to {_host(url)} ({kind}): see that --upload-url holds") from None


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host or "the address of --upload-url"
    except httpx.InvalidURL:
        return "the address of --upload-url"
