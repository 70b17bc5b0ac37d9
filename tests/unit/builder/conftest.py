import contextlib
import dataclasses
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import stamina
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclasses.dataclass
class WebServer:
    """A real HTTP server whose answers a test sets, path by path, and whose requests it can look at.

    An answer is called with the handler, so it can also hang or break off.
    """

    url: str
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = dataclasses.field(
        default_factory=dict[str, Callable[[BaseHTTPRequestHandler], None]]
    )
    requests: list[BaseHTTPRequestHandler] = dataclasses.field(default_factory=list[BaseHTTPRequestHandler])

    def gives(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """Let `path` (without its query) be answered so, and return its URL."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer
        return f"{self.url}{path}"


@contextlib.contextmanager
def served(tls: ssl.SSLContext | None = None) -> Generator[WebServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web_server.requests.append(self)
            # The client leaves in the middle of what is too large for it.
            with contextlib.suppress(ConnectionError):
                web_server.answers[self.path.partition("?")[0]](self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's.
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of a client that broke off."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    web_server = WebServer(url=f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield web_server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def web_server() -> Generator[WebServer]:
    with served() as server:
        yield server


@pytest.fixture
def secure_web_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[WebServer]:
    """A server by TLS, with a certificate that the environment vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(
        key.private_bytes(pem, pkcs8, serialization.NoEncryption()) + certificate.public_bytes(pem),
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with served(tls) as server:
        yield server


@pytest.fixture
def retries_at_once() -> Generator[None]:
    """As many tries as in earnest, without the waits in between."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield
