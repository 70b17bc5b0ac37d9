"""The CustomResourceDefinition of ReviewApp, generated from the models.

The schema holds types, choices, required fields and sizes; what it does not name, the API server refuses
(`fieldValidation=Strict`, as kubectl asks for) or drops. Formats are checked by the watcher alone, which
can say what to do about them; and an object that no longer passes must still be deletable.
"""

from __future__ import annotations

from typing import Any

from provisioner.review_app import KIND, PLURAL, VERSION, Spec, Status
from stacks.naming import GROUP

_Schema = dict[str, Any]
_KEPT = ("type", "description", "required", "enum", "maxLength", "maxItems")
_IMMUTABLE = ("repoOwner", "repo", "pr")


def custom_resource_definition() -> _Schema:
    """Return the manifest of the CRD, structural, with a status subresource and printer columns.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {"kind": KIND, "plural": PLURAL, "singular": KIND.lower(), "shortNames": ["ra"]},
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {"openAPIV3Schema": _object_schema()},
                }
            ],
        },
    }


def _columns() -> list[_Schema]:
    ready = '.status.conditions[?(@.type=="Ready")]'
    columns = {
        "Repo": ".spec.repo",
        "Branch": ".spec.branch",
        "PR": ".spec.pr",
        "Status": ".status.appStatus",
        "Ready": f"{ready}.status",
        "URL": ".status.url",
    }
    wide = {
        "Reason": f"{ready}.reason",
        "Build": ".status.buildStatus",
        "Commit": ".spec.commitHash",
        "Namespace": ".spec.config.namespace",
        "Stack": ".status.stack",
    }
    return [
        *({"name": name, "type": "string", "jsonPath": path} for name, path in columns.items()),
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        *({"name": name, "type": "string", "jsonPath": path, "priority": 1} for name, path in wide.items()),
    ]


def _object_schema() -> _Schema:
    spec = _schema_of(Spec)
    for name in _IMMUTABLE:
        spec["properties"][name]["x-kubernetes-validations"] = [
            {"rule": "self == oldSelf", "message": f"{name} can't change: delete this ReviewApp and create another"}
        ]
    status = _schema_of(Status)
    status["properties"]["conditions"] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return {
        "type": "object",
        "description": "A review app of one pull request.",
        "required": ["spec"],
        "properties": {"spec": spec, "status": status},
    }


def _schema_of(model: type[Spec] | type[Status]) -> _Schema:
    schema = model.model_json_schema(by_alias=True)
    return _structural(schema, schema.get("$defs", {}))


def _structural(schema: _Schema, definitions: _Schema) -> _Schema:
    """Return a JSON schema as Kubernetes wants it: no references, no unions, and null as `nullable`.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
    """
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]] | {k: v for k, v in schema.items() if k != "$ref"}
    if "anyOf" in schema:
        (only,) = (option for option in schema["anyOf"] if option != {"type": "null"})
        inner = _structural(only, definitions)
        described = {"description": schema["description"]} if "description" in schema else {}
        return inner | described | {"nullable": True}
    result: _Schema = {key: schema[key] for key in _KEPT if key in schema}
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    if "properties" in schema:
        result["properties"] = {
            name: _structural(value, definitions) for name, value in sorted(schema["properties"].items())
        }
    if "items" in schema:
        result["items"] = _structural(schema["items"], definitions)
    if "type" not in result:
        # Any scalar. Lists and mappings can be nested thousands deep, and a client that can't read one such object
        # can't read the list that it is in.
        result |= {"x-kubernetes-preserve-unknown-fields": True, "maxItems": 0, "maxProperties": 0}
    return result
