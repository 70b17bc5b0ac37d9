"""The doctor says whether the state of stacks can be decrypted with the settings: their passphrase, or a key of KMS."""

from __future__ import annotations

from typing import Any, cast

import boto3
import httpx
import pytest
from pydantic import SecretStr

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.state_store import StateStore
from tests.integration.conftest import MakeInputs
from tests.moto_server import moto_server
from tests.state_servers import S3_CREDENTIALS
from watcher.findings import results
from watcher.state_checks import secrets

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

GOOD = "ok", "the secrets in the state of stacks can be decrypted: acme.shop.7 was tried", ""
WRONG = (
    "wrong",
    "secrets_provider: the secrets in the state of stack acme.shop.7 cannot be decrypted",
    "give the watcher the passphrase, or access to the key, that the stack was made with",
)


def said(settings: Settings, engine: Engine) -> tuple[str, str, str]:
    """Return the one finding: its verdict, what it says, and the remedy."""
    (found,) = results("the state of stacks", lambda: secrets(settings, engine))
    return found.verdict, found.what, found.remedy


def with_passphrase(settings: Settings, passphrase: str) -> Settings:
    return settings.model_copy(update={"passphrase": SecretStr(passphrase)})


@pytest.mark.parametrize("provider", ["local", "passphrase"])
def test_a_passphrase(
    provider: str, settings: Settings, engine: Engine, make_inputs: MakeInputs, store: StateStore
) -> None:
    settings = settings.model_copy(update={"secrets_provider": provider})
    backend = Backend(settings, engine)
    assert said(settings, engine) == ("ok", "there are no secrets in the state of stacks yet", "")
    Stacks(backend).up(make_inputs(build=False), 0)
    backend.close()
    before = {key: store.read(key) for key in store.keys("")}
    assert said(settings, engine) == GOOD
    assert said(with_passphrase(settings, "quite another passphrase"), engine) == WRONG
    # Another way to encrypt than the one that they were encrypted by.
    other = {"local": "passphrase", "passphrase": "local"}[provider]
    assert said(settings.model_copy(update={"secrets_provider": other}), engine) == WRONG
    assert {key: store.read(key) for key in store.keys("")} == before


# moto's servers in a process forget together, a bucket too.
@pytest.mark.parametrize("state_kind", ["file"])
def test_a_key_that_is_lost(
    settings: Settings, engine: Engine, make_inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in S3_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with moto_server() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", address)
        session = boto3.Session(region_name="us-east-1")
        kms = cast("Any", session.client("kms"))  # pyright: ignore[reportUnknownMemberType]
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        settings = settings.model_copy(update={"secrets_provider": f"awskms://{key}?region=us-east-1"})
        backend = Backend(settings, engine)
        Stacks(backend).up(make_inputs(build=False), 0)
        backend.close()
        assert said(settings, engine) == GOOD
        # All that it keeps, and so the key.
        httpx.post(f"{address}/moto-api/reset")
        assert said(settings, engine) == WRONG
