"""The JSON schema of a repository's `.reviewapp.yaml`, for editors: generated from the model that refuses.

It says what can be said in a schema (fields, types, choices, sizes, formats); the model says the rest. Checks nothing.
"""

from __future__ import annotations

from typing import Any, cast

from provisioner.review_app import Config

_Schema = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> _Schema:
    """Return the schema of `.reviewapp.yaml`, which holds the `config` of a ReviewApp.

    https://json-schema.org/draft/2020-12/json-schema-core
    """
    schema = _readable(Config.model_json_schema(by_alias=True))
    return {"$schema": _DIALECT, "title": ".reviewapp.yaml"} | schema


def _readable(schema: _Schema) -> _Schema:
    """Return a schema without what pydantic makes up, and with the types that it leaves open."""
    result = {key: value for key, value in schema.items() if key not in {"title", "default"}}
    if not result.keys() & {"type", "anyOf", "$ref"}:
        result["type"] = ["string", "number", "boolean"]
    for key in ("properties", "$defs"):
        if key in result:
            result[key] = {name: _readable(value) for name, value in cast("_Schema", result[key]).items()}
    if "items" in result:
        result["items"] = _readable(result["items"])
    if "anyOf" in result:
        result["anyOf"] = [_readable(option) for option in result["anyOf"]]
    return result
