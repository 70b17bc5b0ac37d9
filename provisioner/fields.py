"""The types of fields in a ReviewApp: what a text in it may be, and what is said where it is not.

Knows no field by name.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from provisioner import quantities
from provisioner.refusals import matching
from stacks import naming


def _as_text(value: object) -> object:
    """Return a number or a boolean as JSON writes it; leave the rest to the model."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _not_ours(name: str) -> str:
    """Refuse the copies of the wildcard TLS secret: in an app's environment they would give its key away."""
    if name.endswith(f"--{naming.TLS_SUFFIX}"):
        raise PydanticCustomError("reserved", "is a name that review apps keep for themselves: name another Secret")
    return name


# What YAML has not or takes for the end of a line, and JSON writes as it is.
# https://yaml.org/spec/1.2.2/#51-character-set
_NOT_IN_YAML = re.compile("[\x7f-\x9f\ufeff\ufffe\uffff]")


def _in_yaml(text: str) -> str:
    """Refuse what the API server can't read in an object that is applied."""
    if _NOT_IN_YAML.search(text):
        raise PydanticCustomError("characters", "must not hold control characters or byte order marks: remove them")
    return text


NO_CONTROL = matching(r"[^\x00-\x1f\x7f-\x9f]*", "must not hold control characters: remove them")
_NO_NULL = matching(r"[^\x00]*", "must not hold null bytes: remove them")

Label = Annotated[
    str,
    Field(max_length=63),
    matching(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "must be a DNS label: lower-case letters, digits and '-'"),
]
ObjectName = Annotated[
    str,
    Field(max_length=253),
    matching(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "must be an object's name: lower-case letters, digits, '-' and '.'"),
]
SecretName = Annotated[ObjectName, AfterValidator(_not_ours)]
Text = Annotated[str, Field(max_length=32_768), _NO_NULL]
Argument = Annotated[Text, AfterValidator(_in_yaml)]
Scalar = Annotated[Text, BeforeValidator(_as_text, json_schema_input_type=Any)]
Word = Annotated[
    str,
    Field(max_length=100),
    matching(r"[A-Za-z0-9._-]+", "must be a name as forges have it: letters, digits, '.', '_' and '-'"),
]
Quantity = Annotated[Scalar, matching(quantities.PATTERN, quantities.REMEDY)]
VariableName = Annotated[
    str,
    Field(max_length=256),
    matching(r"[A-Za-z_][A-Za-z0-9_]*", "must be a variable's name: letters, digits and '_', not a digit first"),
]


class Model(BaseModel):
    """Fields in camel case, none that is not known, and none that changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)
