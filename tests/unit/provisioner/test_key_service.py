from __future__ import annotations

import base64
import socket
import struct
import time
from collections.abc import Generator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from provisioner.key_service import KeyRing, KeyService, WrongKey

PASSPHRASE = SecretStr("correct horse battery staple")
RING = KeyRing(PASSPHRASE)


@pytest.fixture(scope="module")
def service() -> Generator[KeyService]:
    with KeyService(PASSPHRASE) as service:
        yield service


def call(service: KeyService, path: str, body: Any, **headers: str) -> httpx.Response:
    environment = service.environment
    headers = {"X-Vault-Token": environment["VAULT_TOKEN"]} | {name.replace("_", "-"): v for name, v in headers.items()}
    content = body if isinstance(body, bytes) else None
    json = None if isinstance(body, bytes) else body
    with httpx.Client(base_url=environment["VAULT_ADDR"], trust_env=False) as client:
        return client.put(path, content=content, json=json, headers=headers)


ENCRYPT, DECRYPT = "/v1/transit/encrypt/reviewapp", "/v1/transit/decrypt/reviewapp"


@given(st.binary(max_size=200))
def test_what_is_encrypted_is_decrypted(plaintext: bytes) -> None:
    assert RING.decrypt(RING.encrypt(plaintext)) == plaintext


def test_the_ciphertext_is_enough_for_a_later_process() -> None:
    assert KeyRing(PASSPHRASE).decrypt(RING.encrypt(b"data key")) == b"data key"


def test_equal_plaintexts_look_different() -> None:
    assert RING.encrypt(b"data key") != RING.encrypt(b"data key")


def test_another_passphrase_opens_nothing() -> None:
    with pytest.raises(WrongKey):
        KeyRing(SecretStr("another passphrase")).decrypt(RING.encrypt(b"data key"))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_ciphertext_opens_nothing(position: int, change: int) -> None:
    sealed = bytearray(base64.b64decode(RING.encrypt(b"data key").removeprefix("vault:v1:")))
    # The salt stands first: changing that would cost a derivation each time.
    sealed[16 + position % (len(sealed) - 16)] ^= change
    with pytest.raises(WrongKey):
        RING.decrypt("vault:v1:" + base64.b64encode(sealed).decode())


@pytest.mark.parametrize("text", ["", "vault:v1:", "vault:v1:####", "vault:v2:AAAA", "…"])
def test_what_is_no_ciphertext_opens_nothing(text: str) -> None:
    with pytest.raises(WrongKey):
        RING.decrypt(text)


def test_the_two_calls_of_the_cli(service: KeyService) -> None:
    plaintext = base64.b64encode(b"data key").decode()
    sealed = call(service, ENCRYPT, {"plaintext": plaintext}).json()["data"]["ciphertext"]
    assert sealed.startswith("vault:v1:")
    assert call(service, DECRYPT, {"ciphertext": sealed}).json() == {"data": {"plaintext": plaintext}}


def test_it_listens_on_the_loopback_interface_only(service: KeyService) -> None:
    assert service.environment["VAULT_ADDR"].startswith("http://127.0.0.1:")
    server = service._server  # pyright: ignore[reportPrivateUsage]
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_without_the_token_nothing_is_answered(service: KeyService, token: str) -> None:
    environment = service.environment
    headers = [(b"x-vault-token", token.encode("latin-1"))]
    with httpx.Client(base_url=environment["VAULT_ADDR"], trust_env=False) as client:
        for path in (ENCRYPT, DECRYPT, "/v1/sys/health"):
            answer = client.put(path, json={"plaintext": ""}, headers=headers)
            assert answer.status_code == 403
            assert answer.json() == {"errors": ["permission denied"]}


def test_each_service_has_a_token_of_its_own(service: KeyService) -> None:
    with KeyService(PASSPHRASE) as other:
        assert (
            call(other, ENCRYPT, {"plaintext": ""}, X_Vault_Token=service.environment["VAULT_TOKEN"]).status_code == 403
        )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ENCRYPT, b"not JSON"),
        (ENCRYPT, []),
        (ENCRYPT, {}),
        (ENCRYPT, {"plaintext": "not base64 …"}),
        (ENCRYPT, {"plaintext": 7}),
        (DECRYPT, {"ciphertext": None}),
        (DECRYPT, {"ciphertext": "vault:v1:AAAA"}),
        ("/v1/transit/encrypt/other", {"plaintext": ""}),
        ("/v1/transit/keys/reviewapp", {}),
        (ENCRYPT, {"plaintext": "A" * 100_000}),
    ],
)
def test_malformed_calls_are_refused_and_not_quoted(service: KeyService, path: str, body: Any) -> None:
    answer = call(service, path, body)
    assert answer.status_code == 400
    assert len(answer.content) < 60


def test_other_methods_are_refused(service: KeyService) -> None:
    with httpx.Client(base_url=service.environment["VAULT_ADDR"], trust_env=False) as client:
        assert client.get(ENCRYPT).status_code == 501


def test_closed_means_closed() -> None:
    with KeyService(PASSPHRASE) as service:
        address = service.environment["VAULT_ADDR"]
    with pytest.raises(httpx.ConnectError):
        httpx.put(address + ENCRYPT, trust_env=False)


def test_the_passphrase_is_in_no_representation() -> None:
    with KeyService(PASSPHRASE) as service:
        assert "staple" not in repr(vars(service)) + repr(vars(KeyRing(PASSPHRASE)))


def test_an_engine_that_is_killed_in_the_middle_of_a_call_leaves_no_traceback(
    service: KeyService, capfd: pytest.CaptureFixture[str]
) -> None:
    host, _, port = service.environment["VAULT_ADDR"].removeprefix("http://").partition(":")
    for _ in range(5):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"PUT /v1/transit/encrypt/reviewapp HTTP/1.1\r\nContent-Le")
            # Closed as by a kill: what it has not read is refused.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert call(service, ENCRYPT, {"plaintext": "YQ=="}).status_code == 200
    time.sleep(0.1)
    assert "Traceback" not in capfd.readouterr().err
