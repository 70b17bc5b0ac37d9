"""The installation's settings: one YAML file, each value also an environment variable.

`REVIEWAPP_<NAME>` wins over the file that `REVIEWAPP_SETTINGS` names. Reads nothing else: no cluster,
no command line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

DNS_LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
DNS_NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"

Label = Annotated[str, StringConstraints(pattern=DNS_LABEL)]
Name = Annotated[str, StringConstraints(pattern=DNS_NAME)]


class Settings(BaseSettings):
    """What a platform owner decides once for an installation.

    Raises:
        pydantic.ValidationError: a value is missing or does not hold.
    """

    model_config = SettingsConfigDict(env_prefix="REVIEWAPP_", extra="forbid", frozen=True)

    app_domain: Name = Field(description="Wildcard domain: an app's host is <repo>-<pr>.<app domain>.")
    registry: str = Field(
        pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$",
        description="Where images are pushed: host[:port][/path], without a scheme.",
    )
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
    tls_secret: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$",
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
    backend_url: str | None = Field(
        default=None,
        pattern=r"^(file|s3|postgres|gs|azblob)://",
        description="Where Pulumi keeps state; a folder below data_folder if left out.",
    )
    data_folder: Path = Field(
        default=Path("/var/lib/reviewapp"), description="Work folders of the engine and, by default, its state."
    )
    passphrase: SecretStr = Field(min_length=16, description="Encrypts the secrets in Pulumi's state.")

    @property
    def url_scheme(self) -> str:
        """`https` where apps get a TLS secret, else `http`."""
        return "https" if self.tls_secret else "http"

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
        file = os.environ.get("REVIEWAPP_SETTINGS")
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=file)
