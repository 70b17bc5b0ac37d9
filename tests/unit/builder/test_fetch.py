"""Over a real HTTP server and a real S3 server, both on the loopback."""

import base64
import gzip
import hashlib
import io
import socket
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler

import boto3
import pytest
from mypy_boto3_s3 import S3Client

from builder.errors import ArchiveError, FetchFailedError, FetchRefusedError, LimitError
from builder.fetch import Source, fetch, shown
from tests.moto_server import moto_server
from tests.unit.builder.conftest import WebServer

SECRET = "X-Amz-Signature=0123456789abcdef"


def fetched(url: str, maximum_bytes: int = 1 << 20, timeout_seconds: float = 20, endpoint: str | None = None) -> bytes:
    file = io.BytesIO()
    size = fetch(Source(url, maximum_bytes, timeout_seconds, endpoint), file)
    assert size == len(file.getvalue())
    return file.getvalue()


@pytest.mark.parametrize(
    ("url", "what_is_shown"),
    [
        (f"https://bucket.s3.amazonaws.com/a.tar.gz?{SECRET}", "https://bucket.s3.amazonaws.com/a.tar.gz"),
        ("https://user:p@ss@host:8443/a#token=1", "https://host:8443/a"),
        ("https://token@host?secret", "https://host"),
        ("s3://bucket/path/key?versionId=1", "s3://bucket/path/key"),
    ],
)
def test_what_is_shown_of_a_url_is_no_credential(url: str, what_is_shown: str) -> None:
    assert shown(url) == what_is_shown


def test_presigned_url_comes_through_whole(web_server: WebServer) -> None:
    url = web_server.gives("/a.tar.gz", b"tarball")
    assert fetched(f"{url}?X-Amz-Date=1&{SECRET}%2F") == b"tarball"
    assert web_server.requests[0].path == f"/a.tar.gz?X-Amz-Date=1&{SECRET}%2F"


def test_user_and_password_of_a_url_are_sent(web_server: WebServer) -> None:
    url = web_server.gives("/a", b"tarball")
    fetched(url.replace("://", "://user:pass@"))
    assert web_server.requests[0].headers["Authorization"] == f"Basic {base64.b64encode(b'user:pass').decode()}"


def test_bytes_come_as_they_are_stored(web_server: WebServer) -> None:
    stored = gzip.compress(b"tarball")
    assert fetched(web_server.gives("/a", stored, Content_Encoding="gzip")) == stored
    assert web_server.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_checksum_that_is_right(web_server: WebServer) -> None:
    source = Source(web_server.gives("/a", b"tarball"), 100, 20, sha256=hashlib.sha256(b"tarball").hexdigest())
    assert fetch(source, io.BytesIO()) == 7


def test_another_tarball_than_was_meant(web_server: WebServer) -> None:
    url = web_server.gives("/a", b"tarball of another")
    meant, came = (hashlib.sha256(content).hexdigest() for content in (b"tarball", b"tarball of another"))
    with pytest.raises(ArchiveError) as caught:
        fetch(Source(f"{url}?{SECRET}", 100, 20, sha256=meant), io.BytesIO())
    assert f"{url} has the SHA-256 {came}, and spec.tarballSha256 is {meant}: upload" in str(caught.value)
    assert len(web_server.requests) == 1


def test_redirects_are_followed_without_the_credentials_of_the_first(web_server: WebServer) -> None:
    web_server.gives("/end", b"tarball")
    elsewhere = web_server.url.replace("127.0.0.1", "localhost")
    url = web_server.gives("/start", b"", status=302, Location=f"{elsewhere}/end?{SECRET}")
    assert fetched(url.replace("://", "://user:pass@")) == b"tarball"
    assert "Authorization" not in web_server.requests[1].headers
    assert SECRET in web_server.requests[1].path


def test_a_loop_of_redirects_ends(web_server: WebServer) -> None:
    url = web_server.gives("/loop", b"", status=301, Location="/loop")
    with pytest.raises(FetchRefusedError, match="redirects more than 5 times"):
        fetched(url)
    assert len(web_server.requests) == 6


@pytest.mark.parametrize("target", ["ftp://host/file", "file://host/etc/passwd", "s3://bucket/key"])
def test_a_redirect_leads_nowhere_but_to_http(web_server: WebServer, target: str) -> None:
    url = web_server.gives("/start", b"", status=302, Location=f"{target}?{SECRET}")
    with pytest.raises(FetchRefusedError, match=f"redirects to {target}: ") as caught:
        fetched(url)
    assert SECRET not in str(caught.value)


def test_a_redirect_from_https_to_http_is_refused(secure_web_server: WebServer, web_server: WebServer) -> None:
    plain = web_server.gives("/end", b"tarball")
    with pytest.raises(FetchRefusedError, match="a redirect must lead to https"):
        fetched(secure_web_server.gives("/start", b"", status=302, Location=plain))
    assert web_server.requests == []
    secure_web_server.gives("/end", b"tarball")
    assert fetched(secure_web_server.gives("/start", b"", status=302, Location="/end")) == b"tarball"
    assert fetched(web_server.gives("/up", b"", status=302, Location=f"{secure_web_server.url}/end")) == b"tarball"


@pytest.mark.usefixtures("retries_at_once")
def test_a_certificate_that_nobody_vouches_for(secure_web_server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(FetchFailedError, match="CERTIFICATE_VERIFY_FAILED"):
        fetched(secure_web_server.gives("/a", b"tarball"))
    assert secure_web_server.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 304])
def test_what_is_refused_is_not_asked_for_again(web_server: WebServer, status: int) -> None:
    url = web_server.gives("/a.tar.gz", b"", status=status)
    with pytest.raises(FetchRefusedError, match=f"/a.tar.gz answered {status}") as caught:
        fetched(f"{url}?{SECRET}")
    assert len(web_server.requests) == 1
    assert SECRET not in str(caught.value)


@pytest.mark.usefixtures("retries_at_once")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_for_again(web_server: WebServer, status: int) -> None:
    url = web_server.gives("/a.tar.gz", b"", status=status)
    with pytest.raises(FetchFailedError, match=f"answered {status}") as caught:
        fetched(f"{url}?{SECRET}")
    assert len(web_server.requests) == 5
    assert SECRET not in str(caught.value)


@pytest.mark.usefixtures("retries_at_once")
def test_a_broken_transfer_starts_over(web_server: WebServer) -> None:
    url = web_server.gives("/a", b"the whole tarball")
    whole = web_server.answers["/a"]

    def half(handler: BaseHTTPRequestHandler) -> None:
        web_server.answers["/a"] = whole
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half a tarball that is longer than the whole")

    web_server.answers["/a"] = half
    assert fetched(url) == b"the whole tarball"
    assert len(web_server.requests) == 2


@pytest.mark.usefixtures("retries_at_once")
def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(FetchFailedError, match=f"cannot fetch http://127.0.0.1:{port}/a: .*refused.*: check"):
            fetched(f"http://127.0.0.1:{port}/a?{SECRET}")


@pytest.mark.usefixtures("retries_at_once")
def test_what_is_not_http(web_server: WebServer) -> None:
    web_server.answers["/a"] = lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")  # type: ignore[func-returns-value]
    with pytest.raises(FetchFailedError, match="sent what is not HTTP"):
        fetched(f"{web_server.url}/a?{SECRET}")


def test_a_slow_transfer_ends_at_the_time_limit(web_server: WebServer) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"drop")
            time.sleep(0.05)

    web_server.answers["/a"] = drip
    started = time.monotonic()
    with pytest.raises(FetchFailedError, match=r"bytes came within 0\.5 s"):
        fetched(f"{web_server.url}/a", timeout_seconds=0.5)
    assert time.monotonic() - started < 3
    assert len(web_server.requests) == 1


def test_what_is_too_large_is_not_fetched(web_server: WebServer) -> None:
    with pytest.raises(LimitError, match="has more than 1000 bytes"):
        fetched(web_server.gives("/a", bytes(1001)), maximum_bytes=1000)
    assert fetched(web_server.gives("/b", bytes(1000)), maximum_bytes=1000) == bytes(1000)


def test_what_is_too_large_without_saying_so_is_cut_off(web_server: WebServer) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(1 << 16))

    web_server.answers["/a"] = endless
    with pytest.raises(LimitError, match="has more than 1000000 bytes"):
        fetched(f"{web_server.url}/a", maximum_bytes=1_000_000)


@pytest.fixture(scope="module")
def s3_endpoint() -> Generator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def bucket(credentials: None, s3_endpoint: str) -> S3Client:
    client = boto3.client("s3", endpoint_url=s3_endpoint)  # pyright: ignore[reportUnknownMemberType]
    client.create_bucket(Bucket="tarballs")
    return client


@pytest.mark.parametrize("key", ["a.tar.gz", "deep/er/a b+c%20?d#e.tar.gz"])
def test_an_object_of_s3(bucket: S3Client, s3_endpoint: str, key: str) -> None:
    bucket.put_object(Bucket="tarballs", Key=key, Body=b"tarball" * 100_000)
    assert fetched(f"s3://tarballs/{key}", endpoint=s3_endpoint) == b"tarball" * 100_000


def test_a_presigned_url_of_s3_works_over_http(bucket: S3Client) -> None:
    bucket.put_object(Bucket="tarballs", Key="a.tar.gz", Body=b"tarball")
    url = bucket.generate_presigned_url("get_object", Params={"Bucket": "tarballs", "Key": "a.tar.gz"})
    assert "?" in url
    assert fetched(url) == b"tarball"


def test_an_object_of_s3_that_is_too_large(bucket: S3Client, s3_endpoint: str) -> None:
    bucket.put_object(Bucket="tarballs", Key="large", Body=bytes(1001))
    with pytest.raises(LimitError, match=r"s3://tarballs/large has more than 1000 bytes"):
        fetched("s3://tarballs/large", maximum_bytes=1000, endpoint=s3_endpoint)


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://tarballs/missing", "S3 answered 404 NoSuchKey: check that the tarball was uploaded"),
        ("s3://no-such-bucket/key", "S3 answered 404 NoSuchBucket"),
        ("s3://In_valid!/key", "check bucket, key, region and endpoint"),
    ],
)
def test_what_s3_refuses(s3_endpoint: str, url: str, reason: str) -> None:
    with pytest.raises(FetchRefusedError, match=reason):
        fetched(url, endpoint=s3_endpoint)


def test_s3_without_credentials(monkeypatch: pytest.MonkeyPatch, s3_endpoint: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(FetchRefusedError, match=r"no AWS credentials: put AWS_ACCESS_KEY_ID .* tarball_secret_name"):
        fetched("s3://tarballs/key", endpoint=s3_endpoint)


@pytest.mark.usefixtures("credentials", "retries_at_once")
@pytest.mark.parametrize(("status", "tries", "error"), [(503, 5, FetchFailedError), (403, 1, FetchRefusedError)])
def test_s3_answers_are_retried_like_those_of_http(
    web_server: WebServer, status: int, tries: int, error: type[Exception]
) -> None:
    web_server.gives("/tarballs/key", b"", status=status)
    with pytest.raises(error, match=f"s3://tarballs/key: S3 answered {status}"):
        fetched("s3://tarballs/key", endpoint=web_server.url)
    assert len(web_server.requests) == tries


@pytest.mark.usefixtures("credentials", "retries_at_once")
@pytest.mark.parametrize("sent", [None, b"half"])
def test_s3_that_breaks_off(web_server: WebServer, sent: bytes | None) -> None:
    def break_off(handler: BaseHTTPRequestHandler) -> None:
        if sent is not None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(sent)

    web_server.answers["/tarballs/key"] = break_off
    with pytest.raises(FetchFailedError, match="S3 could not be reached or broke off"):
        fetched("s3://tarballs/key", endpoint=web_server.url)
    assert len(web_server.requests) == 5
