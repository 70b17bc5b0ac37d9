# The SDK reads events without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import Any

import pytest
from pulumi.automation import EngineEvent

from provisioner.preview.model import PropertyChange, ResourceChange
from provisioner.preview.steps import Steps
from stacks.workload import ENVIRONMENT_ANNOTATION

MARKED = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def declared(kind: str = "ConfigMap", name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "review"}, **fields}


def event(
    operation: str,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    differences: dict[str, str] | None = None,
    *,
    logical: bool = True,
    type_token: str = "kubernetes:core/v1:ConfigMap",
) -> EngineEvent:
    metadata: dict[str, Any] = {
        "op": operation,
        "urn": f"urn:pulumi:s::reviewapp::{type_token}::ConfigMap/registered",
        "type": type_token,
        "logical": logical,
        "detailedDiff": {path: {"diffKind": kind} for path, kind in (differences or {}).items()},
    }
    for side, inputs in (("old", old), ("new", new)):
        if inputs is not None:
            metadata[side] = {"inputs": inputs}
    return EngineEvent.from_json({"resourcePreEvent": {"metadata": metadata, "planning": True}})


def steps(*events: EngineEvent) -> Steps:
    taken = Steps()
    for item in events:
        taken.add(item)
    return taken


def only(item: EngineEvent) -> ResourceChange:
    (change,) = steps(item).changes
    return change


def test_what_stays_is_counted_and_what_is_the_engines_own_is_not() -> None:
    taken = steps(
        event("same", declared(), declared()),
        event("same", {}, {}, type_token="pulumi:pulumi:Stack"),
        event("create", None, {}, type_token="pulumi:providers:kubernetes"),
        EngineEvent.from_json({"summaryEvent": {"resourceChanges": {}}}),
        EngineEvent.from_json({"diagnosticEvent": {"message": "", "color": "", "severity": "info"}}),
    )
    assert taken.unchanged == 1
    assert taken.changes == ()


def test_a_replacement_is_one_change() -> None:
    old, new = declared(data={"a": "1"}), declared(data={"a": "2"})
    taken = steps(
        event("delete-replaced", old, None, logical=False),
        event("replace", old, new, {"data.a": "update-replace"}),
        event("create-replacement", old, new, {"data.a": "update-replace"}, logical=False),
    )
    assert taken.changes == (
        ResourceChange(
            "replace", "v1", "ConfigMap", "review", "a", (PropertyChange("data.a", "update", "1", "2", replaces=True),)
        ),
    )


def test_changes_are_in_one_order_whatever_the_engines_was() -> None:
    events = [
        event("delete", declared(name="b")),
        event("create", None, declared(name="z")),
        event("create", None, declared("Secret", "a")),
        event("create", None, declared(name="b")),
        event("update", declared(), declared()),
    ]
    names = [(change.operation, change.kind, change.name) for change in steps(*events).changes]
    assert names == [
        ("create", "ConfigMap", "b"),
        ("create", "ConfigMap", "z"),
        ("create", "Secret", "a"),
        ("update", "ConfigMap", "a"),
        ("delete", "ConfigMap", "b"),
    ]
    assert steps(*reversed(events)).changes == steps(*events).changes


@pytest.mark.parametrize(
    ("kind", "old", "new", "path", "difference", "expected"),
    [
        ("ConfigMap", {}, {"data": {"b": 1}}, "data.b", "add", PropertyChange("data.b", "add", None, 1)),
        ("ConfigMap", {"data": {"b": 1}}, {}, "data.b", "delete", PropertyChange("data.b", "delete", 1, None)),
        (
            "ConfigMap",
            {"data": {"b": 1}},
            {"data": {"b": UNKNOWN_TEXT}},
            "data.b",
            "update",
            PropertyChange("data.b", "update", 1, unknown=True),
        ),
        (
            "ConfigMap",
            {"data": {"b": "x"}},
            {"data": {"b": MARKED}},
            "data.b",
            "update",
            PropertyChange("data.b", "update", secret=True),
        ),
        (
            "ConfigMap",
            {"data": {"b": "http://a/?x"}},
            {"data": {"b": "http://a/?y"}},
            "data.b",
            "update",
            PropertyChange("data.b", "update", secret=True),
        ),
        # A Secret's data is secret, whether the program said so or not.
        (
            "Secret",
            {"stringData": {"b": "x"}},
            {"stringData": {"b": "y"}},
            "stringData.b",
            "update",
            PropertyChange("stringData.b", "update", secret=True),
        ),
        ("Secret", {"type": "x"}, {"type": "y"}, "type", "update", PropertyChange("type", "update", "x", "y")),
        (
            "ConfigMap",
            {},
            {},
            f'metadata.annotations["{ENVIRONMENT_ANNOTATION}"]',
            "update",
            PropertyChange(f'metadata.annotations["{ENVIRONMENT_ANNOTATION}"]', "update", secret=True),
        ),
        # What is only in the outputs: that it differs is all there is to say.
        ("ConfigMap", {}, {}, "status", "update", PropertyChange("status", "update", secret=True)),
        # The whole object, whatever is in it.
        ("Secret", {}, {"stringData": {"b": "y"}}, "", "update", PropertyChange("", "update", secret=True)),
    ],
)
def test_differences(
    kind: str, old: dict[str, Any], new: dict[str, Any], path: str, difference: str, expected: PropertyChange
) -> None:
    change = only(event("update", declared(kind, **old), declared(kind, **new), {path: difference}))
    assert change.properties == (expected,)


def test_of_what_comes_or_goes_no_property_is_told() -> None:
    assert only(event("create", None, declared("Secret", data=MARKED))).properties == ()
    assert only(event("delete", declared("Secret", data=MARKED))).properties == ()


def test_an_object_moved_to_another_namespace_is_named_by_where_it_goes() -> None:
    old, new = declared(), declared()
    new["metadata"]["namespace"] = "elsewhere"
    change = only(event("replace", old, new, {"metadata.namespace": "update-replace"}))
    assert str(change) == "ConfigMap elsewhere/a"


def test_what_is_no_kubernetes_object_goes_by_the_engines_names() -> None:
    change = only(event("create", None, {"bucket": "x"}, type_token="aws:s3/bucket:Bucket"))
    assert change == ResourceChange("create", "", "aws:s3/bucket:Bucket", "", "ConfigMap/registered")


@pytest.mark.parametrize(
    ("api_version", "kind", "operation", "loses"),
    [
        ("v1", "PersistentVolumeClaim", "delete", True),
        ("v1", "PersistentVolumeClaim", "replace", True),
        ("v1", "PersistentVolumeClaim", "update", False),
        ("v1", "PersistentVolumeClaim", "create", False),
        ("kubedb.com/v1", "Postgres", "replace", True),
        ("kubedb.com/v1alpha2", "Postgres", "delete", True),
        ("postgresql.cnpg.io/v1", "Cluster", "delete", True),
        ("cluster.x-k8s.io/v1beta1", "Cluster", "delete", False),
        ("apps/v1", "Deployment", "delete", False),
    ],
)
def test_what_loses_data(api_version: str, kind: str, operation: Any, loses: bool) -> None:
    assert bool(ResourceChange(operation, api_version, kind, "review", "a").loses) is loses
