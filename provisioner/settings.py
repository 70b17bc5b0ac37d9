"""The installation's settings, as models. Where their values come from is `settings_sources`'."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from provisioner.app_settings import AppSettings
from provisioner.aws_settings import AwsSettings
from provisioner.build_settings import BuilderSettings
from provisioner.database_settings import DatabaseSettings
from provisioner.refusals import matching
from provisioner.rules import Rules
from provisioner.setting_types import DNS_NAME, LABEL, NAME, Label, Name


class StackSettings(Rules, BuilderSettings, AppSettings, DatabaseSettings, AwsSettings):
    """What a platform owner decides of that which stacks declare: all that showing one takes."""

    model_config = SettingsConfigDict(
        env_prefix="REVIEWAPP_", env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    # A host has at most 253 characters, of which `<repo>-<pr>.` can take 40.
    app_domain: Annotated[str, Field(max_length=213), DNS_NAME] = Field(
        description="Wildcard domain: an app's host is <repo>-<pr>.<app domain>."
    )
    registry: Annotated[
        str, matching(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*", "must be host[:port][/path] in lower case, no scheme")
    ] = Field(description="Where images are pushed: host[:port][/path], without a scheme.")
    registry_insecure: bool = Field(default=False, description="Whether the registry speaks plain HTTP.")
    namespace: Label = Field(
        default="reviewapp-system", description="The watcher's own namespace, which holds the journal."
    )
    namespace_mode: Literal["shared", "per-app"] = Field(
        default="shared",
        description="Where apps live: in the namespace that their config names, or each in one that is made for it.",
    )
    build_namespace: Label = Field(default="reviewapp-builds", description="Where build Jobs run.")
    push_secret_name: Name | None = Field(
        default=None,
        description=(
            "Secret in the build namespace, type kubernetes.io/dockerconfigjson, with which images "
            "are pushed; the watcher reads it to ask the registry which images are there."
        ),
    )
    tarball_secret_name: Name | None = Field(
        default=None, description="Secret in the build namespace with AWS_* variables, to read s3:// tarballs."
    )
    s3_endpoint_url: str | None = Field(default=None, description="S3 endpoint other than AWS's own.")
    tarball_bucket: (
        Annotated[str, matching("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "must be the name of an S3 bucket")] | None
    ) = Field(
        default=None,
        description="S3 bucket of a ReviewApp without tarballUrl; its tarball's key is <owner>-<repo>-<8 of commit>.",
    )
    tarball_maximum_bytes: int = Field(
        default=512 << 20, ge=1, le=1 << 40, description="How large a tarball may be, in bytes."
    )
    tarball_maximum_unpacked_bytes: int = Field(
        default=2 << 30, ge=1, le=1 << 40, description="How large it may be unpacked, in bytes."
    )
    tarball_maximum_entries: int = Field(
        default=200_000, ge=1, le=10_000_000, description="How many files, folders and links it may hold."
    )
    tls_secret: Annotated[str, matching(f"{LABEL}/{NAME}", "must be namespace/name of a Secret")] | None = Field(
        default=None,
        description=(
            "The wildcard TLS secret, as namespace/name; copied to each app; plain HTTP if left out, "
            "or while it is missing."
        ),
    )
    ingress_class: Name | None = Field(
        default=None, description="Class of the Ingress; the cluster's default if left out."
    )

    ingress_annotations: dict[str, str] = Field(
        default={},
        description="Annotations of every app's Ingress or HTTPRoute: how its controller asks visitors who they are.",
    )

    gateway: Annotated[str, matching(f"{LABEL}/{NAME}", "must be namespace/name of a Gateway")] | None = Field(
        default=None,
        description=(
            "The Gateway that HTTPRoutes attach to, as namespace/name; its listeners let routes of "
            "the apps' namespaces in (allowedRoutes)."
        ),
    )
    route: Literal["ingress", "gateway"] = Field(
        default="ingress",
        validate_default=True,
        description="What leads to the apps: Ingresses, or HTTPRoutes of the Gateway API.",
    )
    gateway_scheme: Literal["https", "http"] = Field(
        default="https", description="How that Gateway is reached; its listeners have the certificate."
    )
    noindex: bool = Field(
        default=True, description="Whether HTTPRoutes have X-Robots-Tag: noindex set; an Ingress can't say so itself."
    )

    unpack_image: str = Field(default="ghcr.io/reviewapp/unpack:0.1.0", description="Fetches and unpacks tarballs.")
    builder_image: str = Field(default="docker.io/moby/buildkit:v0.34.2-rootless", description="Rootless BuildKit.")
    push_image: str = Field(
        default="gcr.io/go-containerregistry/crane/debug:v0.22.1",
        description="crane with a shell, as its debug images are; pushes what was built.",
    )
    builder_seccomp_profile: str | None = Field(
        default=None, description="Localhost seccomp profile of the builder; Unconfined if left out."
    )
    build_cache: bool = Field(
        default=True,
        description=(
            "Whether layers are kept in the registry, as <owner>/<repo>:cache, for later builds of "
            "the repository; false for a registry that takes nothing but images."
        ),
    )
    build_timeout_seconds: int = Field(default=1800, ge=10, le=86400, description="Time limit of one build.")
    build_retries: int = Field(default=3, ge=0, le=10, description="How often a failed build is tried again.")

    @field_validator("route")
    @classmethod
    def _goes_with_the_gateway(cls, route: str, info: ValidationInfo) -> str:
        # One that does not hold has been said.
        if "gateway" in info.data and (route == "gateway") != bool(info.data["gateway"]):
            raise PydanticCustomError("route", "must be gateway where the setting gateway names one, and not otherwise")
        return route

    @property
    def own_namespaces(self) -> tuple[str, ...]:
        """The namespaces in which a pull request's app could reach what is not its own, beside `kube-*`."""
        certificate = (self.tls_secret or "").partition("/")[0]
        return (self.namespace, self.build_namespace, *([certificate] if certificate else []))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'.
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments, then the environment."""
        return init_settings, env_settings


class Settings(StackSettings):
    """What a platform owner decides once for an installation."""

    workers: int = Field(
        default=4, ge=1, le=64, description="How many stacks are updated at once; each takes about 250 MiB while it is."
    )
    drift: Literal["correct", "report", "ignore"] = Field(
        default="correct",
        description="What is done about objects of stacks that somebody changes or deletes by hand.",
    )
    engine_timeout_seconds: int = Field(default=300, ge=10, le=3600, description="Time limit of one engine run.")
    backend_url: (
        Annotated[str, matching(r"(file|s3|postgres|gs|azblob)://.*", "must be a Pulumi backend, as in s3://bucket")]
        | None
    ) = Field(
        default=None,
        repr=False,
        description=(
            "Where Pulumi keeps state: file://, s3://, postgres://, gs:// or azblob://; a folder "
            "below data_folder if left out."
        ),
    )
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
        description=(
            "What encrypts the secrets in Pulumi's state: the passphrase, by a key service in the "
            "watcher (local) or by Pulumi's slower way (passphrase); or awskms://, gcpkms://, "
            "azurekeyvault:// or hashivault://."
        ),
    )
    passphrase: SecretStr = Field(min_length=16, description="Encrypts the secrets in Pulumi's state.")

    @property
    def state_url(self) -> str:
        """The backend where Pulumi keeps state."""
        return self.backend_url or f"file://{self.data_folder.absolute() / 'state'}"
