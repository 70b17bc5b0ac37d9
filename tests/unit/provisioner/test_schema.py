"""The schema that editors get: current, valid, and of one mind with the model where a schema can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from provisioner.commands import app
from provisioner.errors import SpecRefused
from provisioner.review_app import parse_config
from provisioner.schema import config_schema
from tests import samples

PUBLISHED = Path(__file__).parents[3] / "docs" / "reviewapp.schema.json"


def config(**changes: Any) -> dict[str, Any]:
    return samples.review_app()["spec"]["config"] | changes


def valid(document: Any) -> bool:
    return Draft202012Validator(config_schema()).is_valid(document)  # pyright: ignore[reportUnknownMemberType]


def test_the_published_file_is_current() -> None:
    printed = CliRunner().invoke(app, ["schema"])
    assert printed.exit_code == 0
    assert PUBLISHED.read_text() == printed.stdout, "run `reviewapp schema > docs/reviewapp.schema.json`"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json.loads(PUBLISHED.read_text()))


def test_every_field_says_what_it_is() -> None:
    def silent(schema: dict[str, Any], path: str) -> list[str]:
        found: list[str] = []
        for name, child in schema.get("properties", {}).items():
            found += [] if "description" in child or "$ref" in json.dumps(child) else [f"{path}.{name}"]
        return found

    schema = config_schema()
    assert silent(schema, "") == []
    # What EnvironmentValue's two fields are, their names say.
    named = {name: silent(child, name) for name, child in schema["$defs"].items() if name != "EnvironmentValue"}
    assert {name: fields for name, fields in named.items() if fields} == {}


@pytest.mark.parametrize(
    "document",
    [
        config(),
        {"namespace": "n", "applicationPort": 80},
        config(migrate=None, database=None, registrySecretName=None),
        config(env={"values": [{"name": "A", "value": 1}, {"name": "B", "value": True}, {"name": "C", "value": 0.5}]}),
        yaml.safe_load("namespace: n\napplicationPort: 80\nmigrate:\nignoreBranches: [/a.*/, b]"),
    ],
)
def test_what_the_model_takes_it_takes(document: dict[str, Any]) -> None:
    parse_config(document)
    assert valid(document)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"namespace": "n"},
        config(applicationPort="80"),
        config(applicationPort=0),
        config(namespace="Not-A-Label"),
        config(unknown=1),
        config(env=None),
        config(env={"secrets": ["Not_A_Name"]}),
        config(env={"values": [{"name": "1A", "value": "x"}]}),
        config(env={"values": [{"name": "A", "value": {"nested": 1}}]}),
        config(env={"values": [{"name": "A", "value": ["listed"]}]}),
        config(database={"backend": "mysql"}),
        config(ignoreBranches=["b" * 256]),
    ],
)
def test_what_it_refuses_the_model_refuses(document: object) -> None:
    assert not valid(document)
    with pytest.raises(SpecRefused):
        parse_config(document)
