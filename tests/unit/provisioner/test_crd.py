from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml
from typer.testing import CliRunner

from provisioner.commands import app
from provisioner.crd import custom_resource_definition
from tests import samples

CRD = Path(__file__).parents[3] / "deploy/base/crd.yaml"

Schema = dict[str, Any]


def version() -> Schema:
    (only,) = custom_resource_definition()["spec"]["versions"]
    return only


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every schema below this one, with its path, itself first."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def all_nodes() -> dict[str, Schema]:
    return dict(nodes(version()["schema"]["openAPIV3Schema"]))


def test_the_file_in_deploy_is_current() -> None:
    printed = CliRunner().invoke(app, ["crd"])
    assert printed.exit_code == 0
    assert CRD.read_text() == printed.stdout, "run `make crd`"


def test_the_printed_yaml_says_the_same_without_aliases() -> None:
    text = CliRunner().invoke(app, ["crd"]).stdout
    assert yaml.safe_load(text) == custom_resource_definition()
    events = list(yaml.parse(text))
    assert not [event for event in events if isinstance(event, yaml.AliasEvent)]
    assert not [event for event in events if getattr(event, "anchor", None)]


def test_names_and_scope_are_those_of_the_old_operator() -> None:
    crd = custom_resource_definition()
    assert crd["metadata"]["name"] == "reviewapps.reviewtron.k8s.revelry.co"
    spec = crd["spec"]
    assert (spec["group"], spec["scope"]) == ("reviewtron.k8s.revelry.co", "Cluster")
    assert (spec["names"]["kind"], spec["names"]["plural"]) == ("ReviewApp", "reviewapps")
    assert (version()["name"], version()["served"], version()["storage"]) == ("v1", True, True)
    assert version()["subresources"] == {"status": {}}


def test_printer_columns() -> None:
    columns = version()["additionalPrinterColumns"]
    shown = [column["name"] for column in columns if not column.get("priority")]
    assert shown == ["Repo", "Branch", "PR", "Status", "Ready", "URL", "Age"]
    wide = [column["name"] for column in columns if column.get("priority")]
    assert wide == ["Reason", "Build", "Commit", "Namespace", "Stack"]
    known = all_nodes()
    for column in columns:
        if not column["jsonPath"].startswith((".metadata", ".status.conditions[")):
            assert column["jsonPath"].removeprefix(".") in known
            assert column["type"] == known[column["jsonPath"].removeprefix(".")]["type"]


def test_the_schema_is_structural() -> None:
    # https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "definitions", "title", "const", "default"}
    for path, schema in all_nodes().items():
        assert not forbidden & schema.keys(), path
        assert "type" in schema or schema.get("x-kubernetes-preserve-unknown-fields"), path
        assert ("properties" in schema) == (schema.get("type") == "object"), path
        assert ("items" in schema) == (schema.get("type") == "array"), path
        assert set(schema.get("required", ())) <= schema.get("properties", {}).keys(), path


def test_nothing_can_be_nested_without_an_end() -> None:
    # One such object would make the list that it is in unreadable: JSON decoders limit their depth.
    for path, schema in all_nodes().items():
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            assert "properties" not in schema, path
            assert (schema["maxItems"], schema["maxProperties"]) == (0, 0), path


def test_every_text_and_list_of_the_spec_is_bounded() -> None:
    for path, schema in all_nodes().items():
        if path.startswith("spec"):
            assert schema.get("type") != "string" or "maxLength" in schema or "enum" in schema, path
            assert schema.get("type") != "array" or "maxItems" in schema, path


def test_what_names_the_stack_cannot_change() -> None:
    known = all_nodes()
    immutable = {path for path, schema in known.items() if "x-kubernetes-validations" in schema}
    assert immutable == {"spec.repoOwner", "spec.repo", "spec.pr"}
    for path in immutable:
        assert [rule["rule"] for rule in known[path]["x-kubernetes-validations"]] == ["self == oldSelf"]


def test_optional_fields_may_be_null_and_required_ones_not() -> None:
    known = all_nodes()
    assert known["spec.config.migrate"]["nullable"]
    assert "nullable" not in known["spec.config.namespace"]


def test_every_field_of_the_sample_is_known() -> None:
    known = all_nodes()

    def check(path: str, value: Any) -> None:
        assert path in known, path
        if known[path].get("x-kubernetes-preserve-unknown-fields"):
            assert not isinstance(value, dict | list), path
        elif isinstance(value, dict):
            for name, child in cast("dict[str, Any]", value).items():
                check(f"{path}.{name}", child)
        elif isinstance(value, list):
            for child in cast("list[Any]", value):
                check(f"{path}[]", child)

    check("spec", samples.review_app()["spec"])


def test_status_holds_what_the_old_operator_wrote() -> None:
    old = {"appStatus", "buildStatus", "buildJobName", "image", "buildStartedAt", "buildCommit"}
    assert old <= all_nodes()["status"]["properties"].keys()
    conditions = all_nodes()["status.conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert conditions["x-kubernetes-list-type"] == "map"
