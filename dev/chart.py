"""What values the Helm chart takes, as a schema by which Helm refuses others: `python -m dev.chart` prints it.

The settings are those of the model, so that a misspelt one is told before it is installed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import yaml

from dev.paths import REPOSITORY
from provisioner.settings import Settings

CHART = REPOSITORY / "deploy" / "chart"
# What the chart says itself, and what is no setting of a file.
_NOT_GIVEN = ("namespace", "build_namespace", "data_folder", "passphrase")
_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer"}
# Whose keys are not ours.
_OPEN = ("annotations", "podLabels", "nodeSelector", "resources")


def schema() -> dict[str, Any]:
    """Return the JSON schema of values.yaml."""
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    found = _of(values)
    found["properties"]["settings"] = _settings()
    found["properties"]["replicas"] = {"type": "integer", "minimum": 1}
    # Helm hands what charts above say to all below them.
    found["properties"]["global"] = {"type": "object"}
    return {"$schema": "http://json-schema.org/draft-07/schema#"} | found


def _of(value: Any, name: str = "") -> dict[str, Any]:
    kind = _TYPES[type(value)]
    if kind != "object" or name in _OPEN:
        return {"type": kind}
    properties = {key: _of(inner, key) for key, inner in value.items()}
    return {"type": kind, "additionalProperties": False, "properties": properties}


def _settings() -> dict[str, Any]:
    found = Settings.model_json_schema()
    properties = {name: _setting(of) for name, of in found["properties"].items() if name not in _NOT_GIVEN}
    required = [name for name in found["required"] if name in properties]
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _setting(of: dict[str, Any]) -> dict[str, Any]:
    """Return a setting's schema; a list may also be a text with commas."""
    kept = {key: value for key, value in of.items() if key not in ("title", "default")}
    if kept.get("type") != "array":
        return kept
    description = {"description": kept.pop("description")}
    return description | {"anyOf": [kept, {"type": "string"}]}


if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=2)
    print()
