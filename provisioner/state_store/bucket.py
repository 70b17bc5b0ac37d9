"""A state backend's content in an S3 bucket."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from provisioner.errors import StateUnreachable

_SECONDS: Final = 10
_TRUE: Final = {"true", "1", "t"}


class BucketStore:
    """A store in an S3 bucket, with the parameters of Pulumi's URL: https://gocloud.dev/howto/blob/#s3-compatible."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._bucket = parts.netloc
        self._prefix = key_prefix(parts.path)
        self._query = dict(parse_qsl(parts.query))
        self._lock = threading.Lock()
        self._client: Any = None

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that start with a prefix, sorted."""
        with self._said():
            pages = self._client.get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            return sorted(item["Key"].removeprefix(self._prefix) for page in found for item in page.get("Contents", []))

    def read(self, key: str) -> bytes | None:
        """Return what is stored under a key; None if there is nothing."""
        with self._said():
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def write(self, key: str, content: bytes) -> None:
        """Store something under a key, whole or not at all."""
        kind, key_id = self._query.get("ssetype"), self._query.get("kmskeyid")
        options = {"ServerSideEncryption": kind} if kind else {}
        options |= {"SSEKMSKeyId": key_id} if key_id else {}
        with self._said():
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content, **options)

    def delete(self, key: str) -> None:
        """Delete what is stored under a key; fine if there is nothing."""
        with self._said():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def delete_all(self, prefix: str) -> None:
        """Delete what is stored under all keys that start with a prefix."""
        for key in self.keys(prefix):
            self.delete(key)

    @contextmanager
    def _said(self) -> Generator[None]:
        """Make the client, and say its errors as the backend's."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with self._lock:
                self._client = self._client or self._made()
            yield
        except (BotoCoreError, ClientError) as error:
            raise StateUnreachable(f"s3://{self._bucket}: {error}") from None

    def _made(self) -> Any:
        # Late: it takes a tenth of a second and 20 MB, which an installation without S3 saves.
        import boto3
        from botocore.config import Config

        query = self._query
        endpoint = query.get("endpoint")
        if endpoint and "://" not in endpoint:
            is_plain = _is_true(query, "disableSSL") or _is_true(query, "disable_https")
            endpoint = f"{'http' if is_plain else 'https'}://{endpoint}"
        by_path = _is_true(query, "s3ForcePathStyle") or _is_true(query, "use_path_style")
        style: Literal["path", "auto"] = "path" if by_path else "auto"
        config = Config(
            s3={"addressing_style": style},
            connect_timeout=_SECONDS,
            read_timeout=_SECONDS,
            retries={"mode": "standard"},
            # Storage that speaks S3 and is not AWS's may not know the checksums that boto3 adds.
            request_checksum_calculation="when_required",
        )
        session = boto3.Session(profile_name=query.get("profile"), region_name=query.get("region"))
        return session.client("s3", endpoint_url=endpoint, config=config)  # pyright: ignore[reportUnknownMemberType]


def _is_true(query: dict[str, str], name: str) -> bool:
    return query.get(name, "").lower() in _TRUE


def key_prefix(path: str) -> str:
    """Return what all keys start with where a backend's URL has this path: the CLI takes it for a folder."""
    return f"{path.strip('/')}/" if path.strip("/") else ""
