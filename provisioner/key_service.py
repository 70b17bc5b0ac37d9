"""Open the keys of stacks for engine runs: the two calls of Vault's transit engine that the CLI makes.

Pulumi's passphrase provider derives a key anew in every run of the CLI, which takes more of a run than all else
together. Here the key is derived once, and the CLI asks for what it needs by its `hashivault://` provider.

What this protects, and what it does not:

- The secrets of a stack are encrypted by the CLI with a data key of the stack's own (AES-256-GCM). The state holds
  that key only as encrypted here: AES-256-GCM, under a key that scrypt makes of the passphrase and a random salt
  which is kept beside it. Whoever has the state, and not the passphrase, has to guess the passphrase at scrypt's
  price. Whoever has both has the secrets; losing the passphrase loses them.
- The passphrase stays in this process. With Pulumi's own provider it is in the environment of the CLI, of the
  provider plugin and of what a kubeconfig makes that start.
- The service listens on 127.0.0.1 and answers only who knows a token of 256 random bits, which is new in each
  process and given to the engine in its environment. So whoever can read this user's environments or memory can
  have stacks' keys opened while the watcher runs. Nothing here helps against root, or against that user.
- The connection is plain HTTP on the loopback interface: a neighbour in the same Pod that may capture packets there
  can read keys as they pass. A key service outside (`awskms://` or the like) has neither weakness.

https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

KEY_URL = "hashivault://reviewapp"
"""The secrets provider of a stack whose key this service keeps."""

# One of the settings that https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html gives:
# 32 MiB of memory, about 0.3 s.
_SCRYPT = {"n": 2**15, "r": 8, "p": 3, "maxmem": 64 * 2**20, "dklen": 32}
_SALT_BYTES = 16
_NONCE_BYTES = 12
_PREFIX = "vault:v1:"
_KEY_NAME = KEY_URL.partition("://")[2]
_LARGEST_BODY = 64 * 1024
_REQUEST_SECONDS = 5.0


class WrongKey(ValueError):
    """A ciphertext was not made with this passphrase, or was changed since."""


class KeyRing:
    """Encrypts and decrypts by a passphrase. Safe from any thread. Takes the time of one derivation to make.

    Args:
        passphrase: encrypts, and decrypts what it has encrypted.
        older: decrypts what was encrypted by it, where there is one.
    """

    def __init__(self, passphrase: SecretStr, older: SecretStr | None = None) -> None:
        self._passphrases = [passphrase, *([older] if older else [])]
        self._lock = threading.Lock()
        self._keys: dict[tuple[int, bytes], AESGCM] = {}
        self._salt = os.urandom(_SALT_BYTES)
        self._key(self._salt)

    def encrypt(self, plaintext: bytes) -> str:
        """Return the ciphertext, with all but the passphrase that decrypting it takes."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._key(self._salt).encrypt(nonce, plaintext, _PREFIX.encode())
        return _PREFIX + base64.b64encode(self._salt + nonce + sealed).decode()

    def decrypt(self, ciphertext: str) -> bytes:
        """Return the plaintext.

        Raises:
            WrongKey: the ciphertext is of another passphrase, or was changed, or never was one.
        """
        try:
            parts = base64.b64decode(ciphertext.removeprefix(_PREFIX), validate=True)
        except (ValueError, binascii.Error):
            parts = b""
        salt, rest = parts[:_SALT_BYTES], parts[_SALT_BYTES:]
        nonce, sealed = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        for number in range(len(self._passphrases)):
            with suppress(InvalidTag, ValueError):
                return self._key(salt, number).decrypt(nonce, sealed, _PREFIX.encode())
        raise WrongKey("the ciphertext was not made with this passphrase")

    def _key(self, salt: bytes, number: int = 0) -> AESGCM:
        # Held while deriving: a burst of first requests must not take that much memory each.
        with self._lock:
            if (number, salt) not in self._keys:
                passphrase = self._passphrases[number].get_secret_value().encode()
                self._keys[number, salt] = AESGCM(hashlib.scrypt(passphrase, salt=salt, **_SCRYPT))
            return self._keys[number, salt]


class KeyService:
    """A key ring behind HTTP on the loopback interface, for the engines of this process. Ends with the process."""

    def __init__(self, passphrase: SecretStr, older: SecretStr | None = None) -> None:
        """Start it, with a key ring of these passphrases."""
        ring = KeyRing(passphrase, older)
        self._token = secrets.token_urlsafe(32)
        handler = type("Handler", (_Handler,), {"ring": ring, "token": self._token})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="key-service", daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the CLI finds the service and is known to it."""
        return {"VAULT_ADDR": f"http://127.0.0.1:{self._server.server_port}", "VAULT_TOKEN": self._token}

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> KeyService:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    ring: ClassVar[KeyRing]
    token: ClassVar[str]
    timeout = _REQUEST_SECONDS
    server_version = "reviewapp"
    sys_version = ""

    def handle(self) -> None:
        """Answer what comes by one connection, until its engine ends, in whatever way."""
        with suppress(ConnectionError):
            super().handle()

    def do_PUT(self) -> None:
        """Answer one call; https://developer.hashicorp.com/vault/api-docs#http-status-codes."""
        given = self.headers.get("X-Vault-Token", "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            self._answer(HTTPStatus.FORBIDDEN, {"errors": ["permission denied"]})
            return
        try:
            self._answer(HTTPStatus.OK, {"data": self._work(self._body())})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Its type alone: the text could quote what was sent.
            self._answer(HTTPStatus.BAD_REQUEST, {"errors": [type(error).__name__]})

    do_POST = do_PUT  # noqa: N815 - the base class's way to name a method of HTTP.

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length", ""))
        if not 0 <= length <= _LARGEST_BODY:
            raise ValueError("the body is too large")
        return json.loads(self.rfile.read(length))

    def _work(self, body: dict[str, Any]) -> dict[str, str]:
        if self.path == f"/v1/transit/encrypt/{_KEY_NAME}":
            return {"ciphertext": self.ring.encrypt(base64.b64decode(body["plaintext"], validate=True))}
        if self.path == f"/v1/transit/decrypt/{_KEY_NAME}":
            return {"plaintext": base64.b64encode(self.ring.decrypt(body["ciphertext"])).decode()}
        raise KeyError("there is no such path")

    def _answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: the base class writes each request to stderr."""
