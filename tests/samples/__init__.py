"""Real inputs for tests: a ReviewApp with every field of the original resource, and what is made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from provisioner.databases import Known
from provisioner.desired import stack_inputs
from provisioner.review_app import Spec, parse
from provisioner.settings import Settings
from stacks.inputs import TLS, StackInputs

REVIEW_APP = Path(__file__).with_name("reviewapp.yaml")

CERTIFICATE = TLS(certificate=SecretStr("certificate in PEM"), key=SecretStr("private key in PEM"))


def review_app() -> dict[str, Any]:
    """The manifest as the bot writes it; a new copy for each call."""
    return yaml.safe_load(REVIEW_APP.read_text())


def spec(**changes: Any) -> Spec:
    """The sample's spec, with fields replaced; `config` replaces single fields of the config."""
    document: dict[str, Any] = review_app()["spec"]
    document["config"] |= changes.pop("config", {})
    return parse(document | changes)


def settings(**changes: Any) -> Settings:
    """An installation's settings, with some replaced."""
    values: dict[str, Any] = {
        "app_domain": "review.example.com",
        "registry": "registry.example.com/apps",
        "passphrase": "a passphrase of a test",
    }
    return Settings(**(values | changes))


def inputs(*, built: bool = False, **changes: Any) -> StackInputs:
    """What the sample's stack declares at first; with `built`, once its commit is built and its database ready."""
    return stack_inputs(
        spec(**changes),
        settings(tls_secret="certificates/wildcard"),
        previous=None,
        built=built,
        tls=CERTIFICATE,
        known=Known(ready=built),
    )
