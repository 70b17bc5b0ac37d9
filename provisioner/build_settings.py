"""The settings of builds that are about who builds, with what, and how many at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings

from provisioner.refusals import matching
from provisioner.setting_types import LABEL, NAME, Amount, Builders, Registries
from stacks.inputs import Builder, BuildNetwork


class BuilderSettings(BaseSettings):
    """What a platform owner decides of builders; a part of the installation's settings."""

    builder: Builder = Field(default="buildkit", description="What builds images: buildkit, buildah or kaniko.")
    app_builders: Builders = Field(
        default=(), description="Builders that config.build.builder may name beside that one."
    )
    builder_network: BuildNetwork = Field(
        default="default",
        description=(
            "What steps of a Dockerfile reach: what the Pod does (default), or nothing (none: "
            "BuildKit alone can; base images are still pulled)."
        ),
    )
    buildah_image: str = Field(default="quay.io/buildah/stable:v1.41.4", description="Buildah.")
    buildah_seccomp_profile: str | None = Field(
        default=None, description="Localhost seccomp profile of Buildah; Unconfined if left out."
    )
    buildah_user_namespace: bool = Field(
        default=False,
        description=(
            "Whether Buildah's Pods have a user namespace of their own (hostUsers: false): the node "
            "must have them (runc 1.2, Linux 6.3 or newer)."
        ),
    )
    kaniko_image: str = Field(default="gcr.io/kaniko-project/executor:v1.24.0", description="Kaniko.")
    build_cpu_request: Amount = Field(default="250m", description="CPU that the build container asks for.")
    build_cpu_limit: Amount = Field(default="4", description="CPU that it may take.")
    build_memory_request: Amount = Field(default="256Mi", description="Memory that it asks for.")
    build_memory_limit: Amount = Field(default="4Gi", description="Memory that it may take.")
    build_priority_class: Annotated[str, matching(NAME, "must be the name of a PriorityClass")] | None = Field(
        default=None, description="PriorityClass of build Pods."
    )
    image_registries: Registries = Field(
        default=(),
        description=(
            "Registries, or paths in them, from which the images of Dockerfiles may come, as in "
            "ghcr.io, docker.io/library; any if left out. BuildKit and Buildah hold builds to it; "
            "Kaniko can't, and is refused beside it."
        ),
    )
    maximum_builds: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="How many builds run at once in the whole installation; any if left out.",
    )
    kueue_queue: Annotated[str, matching(LABEL, "must be the name of a LocalQueue")] | None = Field(
        default=None, description="LocalQueue of Kueue in the build namespace, which then says when a build starts."
    )

    @field_validator("builder_network")
    @classmethod
    def _only_buildkit_cuts_off(cls, network: BuildNetwork, info: ValidationInfo) -> BuildNetwork:
        others = {info.data.get("builder"), *info.data.get("app_builders", ())} - {"buildkit", None}
        if network == "none" and others:
            message = "is what BuildKit alone can do: leave {others} out of builder and app_builders"
            raise PydanticCustomError("network", message, {"others": " and ".join(sorted(map(str, others)))})
        return network

    @field_validator("image_registries")
    @classmethod
    def _kaniko_takes_any(cls, registries: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if registries and "kaniko" in {info.data.get("builder"), *info.data.get("app_builders", ())}:
            message = "is what Kaniko can't be held to: leave it out of builder and app_builders"
            raise PydanticCustomError("registries", message)
        return registries

    @field_validator("kueue_queue")
    @classmethod
    def _one_queue(cls, queue: str | None, info: ValidationInfo) -> str | None:
        if queue and info.data.get("maximum_builds"):
            raise PydanticCustomError("queue", "is a second queue beside maximum_builds: leave one of the two out")
        return queue
