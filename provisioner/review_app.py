"""The ReviewApp resource: spec, config and status, validated at the edge.

What stands in a spec comes out of a pull request, so anyone who can open one writes it. `parse` turns
it into a model or says, for each thing that is wrong, the field, its value and the remedy. The CRD is
generated from these models by `provisioner.crd`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from provisioner.build_options import BuildOptions
from provisioner.database_options import Database
from provisioner.errors import SpecRefused
from provisioner.fields import (
    NO_CONTROL,
    Argument,
    Label,
    Model,
    ObjectName,
    Quantity,
    Scalar,
    SecretName,
    VariableName,
    Word,
)
from provisioner.refusals import matching, refusals

VERSION = "v1"
PLURAL = "reviewapps"
KIND = "ReviewApp"


# A Secret holds 1 MiB: the values go into one, and all of the config into the one that is kept for each stack.
_MOST_CONFIG_BYTES = 262_144


class Migrate(Model):
    """A command that runs in the app's image and environment before each start of the app."""

    command: tuple[Argument, ...] = Field(default=(), max_length=64, description="In place of the image's entry point.")
    args: tuple[Argument, ...] = Field(default=(), max_length=64, description="In place of the image's command.")


class EnvironmentValue(Model):
    """One environment variable; a number or a boolean becomes its text."""

    name: VariableName
    value: Scalar


def _no_duplicates(values: tuple[EnvironmentValue, ...]) -> tuple[EnvironmentValue, ...]:
    seen: set[str] = set()
    for name in (entry.name for entry in values):
        if name in seen:
            raise PydanticCustomError("duplicate", "names {name} more than once: keep one", {"name": name})
        seen.add(name)
    return values


class Environment(Model):
    """The app's environment: Secrets and ConfigMaps of its namespace, and values."""

    secrets: tuple[SecretName, ...] = Field(
        default=(), max_length=64, description="Secrets of the namespace: each key becomes a variable."
    )
    config_maps: tuple[ObjectName, ...] = Field(
        default=(), max_length=64, description="ConfigMaps of the namespace: each key becomes a variable."
    )
    values: Annotated[tuple[EnvironmentValue, ...], Field(max_length=512), AfterValidator(_no_duplicates)] = Field(
        default=(), description="Variables that stand here; they win over the others."
    )


class Quantities(Model):
    """An amount of each kind, in Kubernetes' words."""

    cpu: Quantity | None = Field(default=None, description="In cores, as in 500m.")
    memory: Quantity | None = Field(default=None, description="In bytes, as in 256Mi.")


class Resources(Model):
    """What the app's containers take; inside the installation's maximum."""

    requests: Quantities = Field(default=Quantities(), description="What is kept free for each.")
    limits: Quantities = Field(default=Quantities(), description="What each gets at most.")


class Config(Model):
    """The review-app config from the repository's YAML file."""

    namespace: Label = Field(description="Namespace of the app's objects; it must exist.")
    application_port: Annotated[int, Field(strict=True, ge=1, le=65_535)] = Field(
        description="Port that the app listens on."
    )
    registry_secret_name: ObjectName | None = Field(default=None, description="Secret with which the image is pulled.")
    build: BuildOptions | None = Field(default=None, description="How the image is built.")
    migrate: Migrate | None = Field(
        default=None, description="What runs, in the app's image and environment, before each start of the app."
    )
    database: Database | None = Field(default=None, description="The app's own database.")
    env: Environment = Field(default=Environment(), description="The app's environment.")
    resources: Resources | None = Field(
        default=None, description="What the app may take; the installation's defaults where it does not say."
    )
    read_only_root_filesystem: bool = Field(
        default=False, description="Whether the app can write nothing but `/tmp`, an empty folder of 1 GiB at most."
    )
    ignore_branches: tuple[Annotated[str, Field(max_length=255)], ...] = Field(
        default=(),
        max_length=256,
        description="Branches that get no review app: a branch's name, or a pattern between slashes.",
    )

    @model_validator(mode="after")
    def _not_too_large(self) -> Config:
        size = len(self.model_dump_json().encode())
        if size > _MOST_CONFIG_BYTES:
            message = "takes {size} bytes and may take {most}: keep large values in a Secret or ConfigMap"
            raise PydanticCustomError("too_large", message, {"size": size, "most": _MOST_CONFIG_BYTES})
        return self


class Spec(Model):
    """What the bot says of a pull request."""

    # The bot may say more than we read; the API server prunes it, and so does this.
    model_config = ConfigDict(extra="ignore")

    repo_owner: Word
    repo: Word
    branch: Annotated[str, Field(min_length=1, max_length=255), NO_CONTROL]
    pr: Annotated[str, Field(max_length=10), matching(r"[1-9][0-9]*", 'must be a pull request\'s number, as in "42"')]
    commit_hash: Annotated[
        str,
        Field(max_length=64),
        matching(r"[0-9a-fA-F]{7,64}", "must be a commit's hash: 7 to 64 hexadecimal digits"),
    ]
    tarball_url: (
        Annotated[
            str,
            Field(max_length=4096),
            matching(r"(https?|s3)://[!-~]+", "must be an https://, http:// or s3:// address, in ASCII"),
            matching(r"\w+://[^/?#]+/[^?#]+.*", "must name a file on its host"),
        ]
        | None
    ) = Field(default=None, description="The commit's source; left out, it is in the installation's bucket.")
    tarball_sha256: (
        Annotated[
            str,
            Field(max_length=64),
            matching(r"[0-9a-fA-F]{64}", "must be a SHA-256: 64 hexadecimal digits"),
        ]
        | None
    ) = Field(default=None, description="SHA-256 of the tarball; another one is not built.")
    fork: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Whether the pull request comes from a fork of the repository; the bot says so."
    )
    config: Config


class Condition(Model):
    """https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int


class Status(Model):
    """What was observed of a review app."""

    model_config = ConfigDict(extra="ignore")

    app_status: str | None = Field(default=None, description="building, deployed, paused, error or deleting.")
    build_status: str | None = Field(default=None, description="building, success or error.")
    build_job_name: str | None = None
    build_commit: str | None = Field(default=None, description="Commit of the newest build.")
    build_started_at: int | None = Field(default=None, description="Unix time in seconds.")
    image: str | None = Field(default=None, description="Image of the newest build.")
    image_digest: str | None = Field(default=None, description="Digest by which that image runs.")
    url: str | None = Field(default=None, description="Where the app answers.")
    stack: str | None = Field(default=None, description="Name of the Pulumi stack.")
    namespace: str | None = Field(default=None, description="Where the app runs.")
    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def read(cls, status: object) -> Status:
        """Return a status as it stands on a ReviewApp; an empty one where another program wrote what we don't know."""
        try:
            return cls.model_validate(status or {})
        except ValidationError:
            return cls()


# Their values may stand in a condition and a log. All others may hold, or be mistaken for, a secret.
_PUBLIC = frozenset(
    {
        "applicationPort",
        "backend",
        "branch",
        "builder",
        "commitHash",
        "configMaps",
        "cpu",
        "context",
        "dockerfile",
        "excludeTables",
        "extensions",
        "ignoreBranches",
        "key",
        "memory",
        "name",
        "namespace",
        "platform",
        "pr",
        "readOnlyRootFilesystem",
        "registrySecretName",
        "repo",
        "repoOwner",
        "schema",
        "secrets",
        "storageClass",
        "storageSize",
        "tables",
        "tarballSha256",
        "tarballUrl",
        "target",
        "version",
    }
)


def parse_config(config: object) -> Config:
    """Return the validated config of a review app, as it stands in a repository's file.

    Raises:
        SpecRefused: with one refusal for each thing that is wrong, its field relative to the config.
    """
    try:
        return Config.model_validate(config, by_alias=True, by_name=False)
    except ValidationError as error:
        raise SpecRefused(refusals(error, "", _PUBLIC)) from None


def parse(spec: object) -> Spec:
    """Return the validated spec of a ReviewApp, as JSON has it.

    Raises:
        SpecRefused: with one refusal for each thing that is wrong.
    """
    try:
        return Spec.model_validate(spec, by_alias=True, by_name=False)
    except ValidationError as error:
        raise SpecRefused(refusals(error, "spec", _PUBLIC)) from None
