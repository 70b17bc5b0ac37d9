"""Tarballs put into a real S3 server, and into storage that fails on cue."""

from __future__ import annotations

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import stamina

from bot.errors import UploadFailed
from bot.upload import tarball_key, to_bucket, to_url
from tests.moto_server import moto_server

CONTENT = bytes(range(256)) * 4096
SIGNATURE = "X-Amz-Signature=secret-of-the-address"


@pytest.fixture(autouse=True)
def quick_retries() -> Generator[None]:
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    path = tmp_path / "source.tar.gz"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(scope="module")
def s3_url() -> Generator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    client: Any = boto3.client("s3", endpoint_url=s3_url)  # pyright: ignore[reportUnknownMemberType]
    client.create_bucket(Bucket="tarballs")
    return client


class Storage:
    """Takes a PUT, or answers with the next of `answers`: a status, or None for a connection that breaks."""

    def __init__(self) -> None:
        self.answers: list[int | None] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        storage = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                storage.requests.append((self.path, dict(self.headers), content))
                status = storage.answers.pop(0) if storage.answers else 200
                if status is None:
                    self.connection.close()
                    return
                answer = b"" if status == 200 else b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/bucket/key.tar.gz?{SIGNATURE}"


@pytest.fixture
def storage() -> Generator[Storage]:
    storage = Storage()
    yield storage
    storage.server.shutdown()
    storage.server.server_close()


def test_the_key_is_the_old_contracts() -> None:
    assert tarball_key("acme", "shop", "8a1f0e3c5b7d9e2f") == "acme-shop-8a1f0e3c.tar.gz"


def test_to_a_bucket(s3: Any, s3_url: str, tarball: Path) -> None:
    told: list[int] = []
    assert to_bucket(tarball, "tarballs", "a/b.tar.gz", s3_url, told.append) == "s3://tarballs/a/b.tar.gz"
    assert s3.get_object(Bucket="tarballs", Key="a/b.tar.gz")["Body"].read() == CONTENT
    assert sum(told) == len(CONTENT)


def test_to_no_bucket(s3: Any, s3_url: str, tarball: Path) -> None:
    with pytest.raises(UploadFailed, match=r"bucket absent.*NoSuchBucket.*AWS_REGION"):
        to_bucket(tarball, "absent", "k", s3_url, lambda _: None)


def test_to_a_bucket_without_credentials(s3: Any, s3_url: str, tarball: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(UploadFailed, match=r"credentials.*AWS_\*"):
        to_bucket(tarball, "tarballs", "k", s3_url, lambda _: None)


def test_to_an_address_that_s3_signed(s3: Any, tarball: Path) -> None:
    address = s3.generate_presigned_url("put_object", {"Bucket": "tarballs", "Key": "signed"})
    to_url(tarball, address, lambda _: None)
    assert s3.get_object(Bucket="tarballs", Key="signed")["Body"].read() == CONTENT


def test_to_an_address_goes_what_storage_wants(storage: Storage, tarball: Path) -> None:
    to_url(tarball, storage.url, lambda _: None)
    ((path, headers, content),) = storage.requests
    assert path.endswith(SIGNATURE)
    assert content == CONTENT
    # A chunked transfer, or a type that was not signed, is refused by storage.
    assert headers["Content-Length"] == str(len(CONTENT))
    assert "Transfer-Encoding" not in headers
    assert "Content-Type" not in headers


def test_what_passes_is_tried_again(storage: Storage, tarball: Path) -> None:
    storage.answers = [503, None, 429]
    told: list[int] = []
    to_url(tarball, storage.url, told.append)
    assert [content for _, _, content in storage.requests] == [CONTENT] * 4
    assert sum(told) == len(CONTENT)
    assert min(told) < 0


@pytest.mark.parametrize(("answers", "tries"), [([403], 1), ([500] * 9, 5)])
def test_what_does_not_pass_is_said_without_the_signature(
    storage: Storage, tarball: Path, answers: list[int | None], tries: int
) -> None:
    storage.answers = list(answers)
    with pytest.raises(UploadFailed) as failed:
        to_url(tarball, storage.url, lambda _: None)
    assert f"127.0.0.1 did not take the tarball (HTTP {answers[0]} AccessDenied)" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert len(storage.requests) == tries


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/k?secret", "nonsense?secret", "http://[/k?secret", "ftp://h/secret"]
)
def test_where_nothing_answers(tarball: Path, url: str) -> None:
    with pytest.raises(UploadFailed, match="see that --upload-url holds") as failed:
        to_url(tarball, url, lambda _: None)
    assert "secret" not in str(failed.value)
