"""The init container as a whole: what it leaves behind, what it says, and that it says no secret."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builder import errors
from builder.unpack import main
from tests.unit.builder.archives import regular, symbolic_link, tar, tar_gz
from tests.unit.builder.conftest import WebServer

SECRET = "X-Amz-Signature=0123456789abcdef"


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A volume with the target `tree` still to be made, and the environment that says so."""
    volume = tmp_path / "volume"
    volume.mkdir()
    monkeypatch.setenv("UNPACK_TARGET", str(volume / "tree"))
    monkeypatch.setenv("UNPACK_MAXIMUM_COMPRESSED_BYTES", "1000000")
    monkeypatch.setenv("UNPACK_MAXIMUM_UNPACKED_BYTES", "2000000")
    monkeypatch.setenv("UNPACK_MAXIMUM_ENTRIES", "100")
    monkeypatch.setenv("UNPACK_TIMEOUT_SECONDS", "20")
    return volume


@pytest.fixture
def termination_log(tmp_path: Path) -> Path:
    path = tmp_path / "termination-log"
    path.touch()
    return path


def test_a_tarball_becomes_a_source_tree(
    volume: Path,
    termination_log: Path,
    web_server: WebServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = web_server.gives("/a.tar.gz", tar_gz(regular("shop-8a1f/Dockerfile", b"FROM scratch\n")))
    monkeypatch.setenv("UNPACK_URL", f"{url}?{SECRET}")
    assert main(termination_log) == 0
    assert [path.name for path in volume.iterdir()] == ["tree"]
    assert (volume / "tree/Dockerfile").read_bytes() == b"FROM scratch\n"
    output = capsys.readouterr()
    assert f"fetching {url}\n" in output.out
    assert "unpacked 1 entries" in output.out
    assert output.err == ""
    assert termination_log.read_text() == ""
    assert SECRET not in output.out


def test_it_can_be_killed_and_run_again(
    volume: Path, termination_log: Path, web_server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for left_over in ("tree", ".tree.partial"):
        (volume / left_over / "folder").mkdir(parents=True)
        (volume / left_over / "folder/old").touch()
    monkeypatch.setenv("UNPACK_URL", web_server.gives("/a", tar(regular("Dockerfile"), regular("new"))))
    assert main(termination_log) == 0
    assert sorted(path.name for path in volume.rglob("*")) == ["Dockerfile", "new", "tree"]


@pytest.mark.usefixtures("retries_at_once")
@pytest.mark.parametrize(
    ("status", "body", "error", "reason"),
    [
        (404, b"", errors.FetchRefusedError, "answered 404 Not Found: check that the tarball was uploaded"),
        (503, b"", errors.FetchFailedError, "answered 503 Service Unavailable"),
        (200, b"<html>", errors.ArchiveError, "neither tar nor tar.gz nor tar.zst"),
        (200, tar(regular("../evil\n")), errors.UnsafeEntryError, r"entry '../evil\n' has '..' in its name"),
        (200, tar(symbolic_link("evil", "/etc")), errors.UnsafeEntryError, "outside the archive"),
        (200, bytes(1_000_001), errors.LimitError, "has more than 1000000 bytes"),
        (200, tar_gz(regular("bomb", bytes(3_000_000))), errors.LimitError, "more than 2000000 bytes unpacked"),
    ],
)
def test_a_failure_says_why_on_one_line_and_leaves_nothing(
    volume: Path,
    termination_log: Path,
    web_server: WebServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: bytes,
    error: type[errors.UnpackError],
    reason: str,
) -> None:
    monkeypatch.setenv("UNPACK_URL", f"{web_server.gives('/a.tar.gz', body, status=status)}?{SECRET}")
    assert main(termination_log) == error.exit_code
    output = capsys.readouterr()
    last = output.err.splitlines()[-1]
    assert reason in last
    assert termination_log.read_text() == last
    assert "Traceback" not in output.err
    assert SECRET not in output.out + output.err + last
    assert list(volume.iterdir()) == []


@pytest.mark.usefixtures("retries_at_once")
def test_each_retry_is_said(
    volume: Path,
    termination_log: Path,
    web_server: WebServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("UNPACK_URL", f"{web_server.gives('/a', b'', status=500)}?{SECRET}")
    main(termination_log)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert "answered 500 Internal Server Error: look at that server; try 2 in" in lines[0]
    assert SECRET not in "".join(lines)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("UNPACK_URL", None, "UNPACK_URL: Field required"),
        ("UNPACK_URL", f"ftp://host/a?{SECRET}", "UNPACK_URL: scheme 'ftp' is not known: give https://"),
        ("UNPACK_URL", f"/etc/passwd?{SECRET}", "UNPACK_URL: not a URL: give https://"),
        ("UNPACK_URL", "s3://bucket", "UNPACK_URL: bucket or key is missing: give s3://bucket/key"),
        ("UNPACK_MAXIMUM_ENTRIES", "0", "UNPACK_MAXIMUM_ENTRIES: Input should be greater than or equal to 1"),
        ("UNPACK_TIMEOUT_SECONDS", "soon", "UNPACK_TIMEOUT_SECONDS: Input should be a valid number"),
    ],
)
@pytest.mark.usefixtures("volume")
def test_a_wrong_parameter_is_named(
    termination_log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str | None,
    reason: str,
) -> None:
    monkeypatch.setenv("UNPACK_URL", "http://127.0.0.1/a")
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    assert main(termination_log) == errors.ParameterError.exit_code
    message = termination_log.read_text()
    assert message.startswith(reason)
    assert capsys.readouterr().err == f"{message}\n"
    assert SECRET not in message


def test_a_volume_that_is_not_there(
    termination_log: Path, volume: Path, web_server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNPACK_URL", web_server.gives("/a", tar(regular("a"))))
    monkeypatch.setenv("UNPACK_TARGET", str(volume / "missing/tree"))
    assert main(termination_log) == errors.WriteError.exit_code
    assert "missing: No such file or directory: look at the volume" in termination_log.read_text()


def test_every_kind_of_failure_has_an_exit_code_of_its_own() -> None:
    kinds = errors.UnpackError.__subclasses__()
    assert len(kinds) == 7
    assert len({kind.exit_code for kind in kinds} | {0, 1}) == 9


@pytest.mark.usefixtures("volume")
def test_as_a_program(web_server: WebServer, tmp_path: Path) -> None:
    url = web_server.gives("/a", tar(regular("../evil"), regular("b")))
    command = [sys.executable, "-m", "builder.unpack"]
    ended = subprocess.run(
        command, env={**os.environ, "UNPACK_URL": url}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 6
    assert ended.stderr == "entry '../evil' has '..' in its name: pack the archive from inside its folder\n"


def test_told_to_stop_it_stops_at_once(web_server: WebServer, volume: Path) -> None:
    asked = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        handler.rfile.read()

    web_server.answers["/a"] = hang
    environment = {**os.environ, "UNPACK_URL": f"{web_server.url}/a"}
    with subprocess.Popen([sys.executable, "-m", "builder.unpack"], env=environment) as process:
        assert asked.wait(30)
        process.terminate()
        assert process.wait(5) == 143
    assert list(volume.iterdir()) == []
