"""The installation's settings: one YAML file, each value also an environment variable.

`REVIEWAPP_<NAME>` wins over the file that `REVIEWAPP_SETTINGS` names. Reads nothing else: no cluster,
no command line. `load` is how a program gets them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from provisioner.errors import Refusal, SettingsRefused
from provisioner.refusals import matching, refusals

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
_FILE_VARIABLE = "REVIEWAPP_SETTINGS"

_DNS_NAME = matching(_NAME, "must be a DNS name: DNS labels with a '.' between")
Label = Annotated[str, matching(_LABEL, "must be a DNS label: at most 63 lower-case letters, digits and '-'")]
Name = Annotated[str, Field(max_length=253), _DNS_NAME]


class Settings(BaseSettings):
    """What a platform owner decides once for an installation."""

    model_config = SettingsConfigDict(
        env_prefix="REVIEWAPP_", env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    # A host has at most 253 characters, of which `<repo>-<pr>.` can take 40.
    app_domain: Annotated[str, Field(max_length=213), _DNS_NAME] = Field(
        description="Wildcard domain: an app's host is <repo>-<pr>.<app domain>."
    )
    registry: Annotated[
        str, matching(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*", "must be host[:port][/path] in lower case, no scheme")
    ] = Field(description="Where images are pushed: host[:port][/path], without a scheme.")
    registry_insecure: bool = Field(default=False, description="Whether the registry speaks plain HTTP.")
    namespace: Label = Field(default="reviewapp-system", description="The watcher's own namespace.")
    build_namespace: Label = Field(default="reviewapp-builds", description="Where build Jobs run.")
    push_secret_name: Name | None = Field(
        default=None, description="Secret in the build namespace, type dockerconfigjson, with which images are pushed."
    )
    tarball_secret_name: Name | None = Field(
        default=None, description="Secret in the build namespace with AWS_* variables, to read s3:// tarballs."
    )
    s3_endpoint_url: str | None = Field(default=None, description="S3 endpoint other than AWS's own.")
    tls_secret: Annotated[str, matching(f"{_LABEL}/{_NAME}", "must be namespace/name of a Secret")] | None = Field(
        default=None,
        description="The wildcard TLS secret, as namespace/name; copied to each app; plain HTTP if left out.",
    )
    ingress_class: Name | None = Field(
        default=None, description="Class of the Ingress; the cluster's default if left out."
    )

    unpack_image: str = Field(default="ghcr.io/reviewapp/unpack:0.1.0", description="Fetches and unpacks tarballs.")
    builder_image: str = Field(default="docker.io/moby/buildkit:v0.34.2-rootless", description="Rootless BuildKit.")
    push_image: str = Field(
        default="gcr.io/go-containerregistry/crane:v0.22.1", description="crane, which pushes what was built."
    )
    builder_seccomp_profile: str | None = Field(
        default=None, description="Localhost seccomp profile of the builder; Unconfined if left out."
    )
    build_timeout_seconds: int = Field(default=1800, ge=10, le=86400, description="Time limit of one build.")
    build_retries: int = Field(default=3, ge=0, le=10, description="How often a failed build is tried again.")

    workers: int = Field(default=4, ge=1, le=64, description="How many stacks are updated at once.")
    engine_timeout_seconds: int = Field(default=300, ge=10, le=3600, description="Time limit of one engine run.")
    backend_url: (
        Annotated[str, matching(r"(file|s3|postgres|gs|azblob)://.*", "must be a Pulumi backend, as in s3://bucket")]
        | None
    ) = Field(default=None, repr=False, description="Where Pulumi keeps state; a folder below data_folder if left out.")
    data_folder: Path = Field(
        default=Path("/var/lib/reviewapp"), description="Work folders of the engine and, by default, its state."
    )
    secrets_provider: Annotated[
        str,
        matching(
            "local|passphrase|(awskms|gcpkms|azurekeyvault|hashivault)://.+",
            "must be local, passphrase, or a Pulumi secrets provider, as in awskms://alias/reviewapp",
        ),
    ] = Field(
        default="local",
        description="What encrypts the secrets in Pulumi's state: the passphrase, by a key service in the watcher "
        "(local) or by Pulumi's slower way (passphrase), or a key service elsewhere.",
    )
    passphrase: SecretStr = Field(min_length=16, description="Encrypts the secrets in Pulumi's state.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'.
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments, then the environment, then the settings file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _file_values())


def load() -> Settings:
    """Return the installation's settings, from the environment and the settings file.

    Raises:
        SettingsRefused: the file can't be read, or a setting is missing or does not hold.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue] - the values come from its sources.
    except ValidationError as error:
        raise SettingsRefused(refusals(error, "", _PUBLIC)) from None


# All but those that are, or can hold, a credential.
_PUBLIC = frozenset(Settings.model_fields) - {"backend_url", "passphrase", "s3_endpoint_url"}


def _file_values() -> dict[str, Any]:
    file = os.environ.get(_FILE_VARIABLE)
    if not file:
        return {}
    try:
        values: object = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise _refused(file, f"can't be read ({error.strerror}): correct the path, or unset it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise _refused(file, f"is not YAML{line}: correct it") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise _refused(file, "must be a mapping of settings: one `name: value` a line")
    return {str(name): value for name, value in cast("dict[Any, Any]", values).items()}


def _refused(file: str, remedy: str) -> SettingsRefused:
    return SettingsRefused([Refusal(_FILE_VARIABLE, file, remedy)])
