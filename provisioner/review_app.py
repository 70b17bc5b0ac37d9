"""The ReviewApp resource: spec, config and status, validated at the edge.

What stands in a spec comes out of a pull request, so anyone who can open one writes it. `parse` turns
it into a model or says, for each thing that is wrong, the field, its value and the remedy. The CRD is
generated from these models by `provisioner.crd`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from provisioner.errors import Refusal, SpecRefused

VERSION = "v1"
PLURAL = "reviewapps"
KIND = "ReviewApp"


def _matching(pattern: str, remedy: str) -> AfterValidator:
    """Return a validator for a string: it matches `pattern` whole, or `remedy` says what it must be."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError("format", "{remedy}", {"remedy": remedy})
        return value

    return AfterValidator(check)


def _as_text(value: object) -> object:
    """Return numbers and booleans as the text that YAML wrote for them; leave the rest to the model."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


_NO_CONTROL = _matching(r"[^\x00-\x1f\x7f]*", "must not hold control characters: remove them")
_NO_NULL = _matching(r"[^\x00]*", "must not hold null bytes: remove them")

Label = Annotated[
    str,
    Field(max_length=63),
    _matching(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "must be a DNS label: lower-case letters, digits and '-'"),
]
ObjectName = Annotated[
    str,
    Field(max_length=253),
    _matching(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "must be an object's name: lower-case letters, digits, '-' and '.'"),
]
Text = Annotated[str, Field(max_length=65_536), _NO_NULL]
Scalar = Annotated[Text, BeforeValidator(_as_text, json_schema_input_type=Any)]
Word = Annotated[
    str,
    Field(max_length=100),
    _matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "must be a name as forges have it: letters, digits, '.', '_' and '-'"),
]
VariableName = Annotated[
    str,
    Field(max_length=256),
    _matching(r"[A-Za-z_][A-Za-z0-9_]*", "must be a variable's name: letters, digits and '_', not a digit first"),
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class SecretReference(_Model):
    """A key of a Secret in the app's namespace."""

    name: ObjectName
    key: Annotated[str, Field(max_length=253), _matching(r"[A-Za-z0-9._-]+", "must be a Secret's key")]


class ValueSource(_Model):
    """A value that stands here, or that a Secret in the app's namespace holds."""

    value: Scalar | None = None
    secret_ref: SecretReference | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ValueSource:
        if (self.value is None) == (self.secret_ref is None):
            raise PydanticCustomError("one_of", "give either value or secretRef, not both and not neither")
        return self


class CopyFrom(_Model):
    """The database whose data the app's own one starts with."""

    # The one key that the original resource writes with an underscore.
    database_url: ValueSource | None = Field(default=None, alias="database_url")
    host: ValueSource | None = None
    port: ValueSource | None = None
    database: ValueSource | None = None
    user: ValueSource | None = None
    password: ValueSource | None = None


class Database(_Model):
    """The app's own database."""

    backend: Literal["kubedb"] = "kubedb"
    version: Scalar | None = None
    copy_from: CopyFrom | None = None


class Migrate(_Model):
    """A command that runs in the app's image and environment before each start of the app."""

    command: tuple[Text, ...] = Field(default=(), max_length=64)
    args: tuple[Text, ...] = Field(default=(), max_length=64)


class EnvironmentValue(_Model):
    """One environment variable; a number or a boolean becomes its text."""

    name: VariableName
    value: Scalar


class Environment(_Model):
    """The app's environment: Secrets and ConfigMaps of its namespace, and values."""

    secrets: tuple[ObjectName, ...] = Field(default=(), max_length=64)
    config_maps: tuple[ObjectName, ...] = Field(default=(), max_length=64)
    values: tuple[EnvironmentValue, ...] = Field(default=(), max_length=512)

    @model_validator(mode="after")
    def _no_duplicates(self) -> Environment:
        names = [entry.name for entry in self.values]
        for name in names:
            if names.count(name) > 1:
                raise PydanticCustomError("duplicate", "values names {name} more than once: keep one", {"name": name})
        return self


class Config(_Model):
    """The review-app config from the repository's YAML file."""

    namespace: Label = Field(description="Namespace of the app's objects; it must exist.")
    application_port: Annotated[int, Field(ge=1, le=65_535)] = Field(description="Port that the app listens on.")
    registry_secret_name: ObjectName | None = Field(default=None, description="Secret with which the image is pulled.")
    migrate: Migrate | None = None
    database: Database | None = None
    env: Environment = Environment()
    ignore_branches: tuple[Annotated[str, Field(max_length=255)], ...] = Field(
        default=(), max_length=256, description="Branches for which the bot makes no review app."
    )


class Spec(_Model):
    """What the bot says of a pull request."""

    # The bot may say more than we read; the API server prunes it, and so does this.
    model_config = ConfigDict(extra="ignore")

    repo_owner: Word
    repo: Word
    branch: Annotated[str, Field(min_length=1, max_length=255), _NO_CONTROL]
    pr: Annotated[str, Field(max_length=10), _matching(r"[1-9][0-9]*", 'must be a pull request\'s number, as in "42"')]
    commit_hash: Annotated[
        str,
        Field(max_length=64),
        _matching(r"[0-9a-fA-F]{7,64}", "must be a commit's hash: 7 to 64 hexadecimal digits"),
    ]
    tarball_url: Annotated[
        str,
        Field(max_length=4096),
        _matching(r"(https?|s3)://[^\s\x00-\x1f/?#]+/[^\s\x00-\x1f]+", "must be an https://, http:// or s3:// address"),
    ]
    config: Config


class Condition(_Model):
    """https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int


class Status(_Model):
    """What was observed of a review app."""

    model_config = ConfigDict(extra="ignore")

    app_status: str | None = Field(default=None, description="building, deployed, error or deleting.")
    build_status: str | None = Field(default=None, description="building, success or error.")
    build_job_name: str | None = None
    build_commit: str | None = Field(default=None, description="Commit of the newest build.")
    build_started_at: int | None = Field(default=None, description="Unix time in seconds.")
    image: str | None = Field(default=None, description="Image of the newest build.")
    url: str | None = Field(default=None, description="Where the app answers.")
    stack: str | None = Field(default=None, description="Name of the Pulumi stack.")
    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()


def parse(spec: object) -> Spec:
    """Return the validated spec of a ReviewApp.

    Raises:
        SpecRefused: with one refusal for each thing that is wrong.
    """
    try:
        return Spec.model_validate(spec)
    except ValidationError as error:
        raise SpecRefused([_refusal(detail) for detail in error.errors(include_url=False)]) from None


_REMEDIES: Mapping[str, str] = {
    "missing": "is missing: add it",
    "extra_forbidden": "is not a field of a ReviewApp: remove it, or correct its name",
    "string_type": "must be text: put it in quotes",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
    "null": "must not be null: remove it, or give it a value",
}
# Values of these fields may be secrets, whatever they are for.
_HIDDEN = re.compile(r"\b(value|copyFrom|values)\b")


def _refusal(detail: Any) -> Refusal:
    field = "spec"
    for part in detail["loc"]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}"
    kind = "null" if detail["input"] is None and detail["type"] != "missing" else detail["type"]
    return Refusal(field, _shown(field, detail), _REMEDIES.get(kind, detail["msg"]))


def _shown(field: str, detail: Any) -> str:
    value = detail["input"]
    if detail["type"] == "missing":
        return ""
    if _HIDDEN.search(field) and not field.endswith(".name"):
        return "(not shown)"
    if isinstance(value, str) and field == "spec.tarballUrl":
        # The query of a presigned address is a credential.
        value = _without_query(value)
    shown = ascii(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _without_query(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return "(not shown)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
