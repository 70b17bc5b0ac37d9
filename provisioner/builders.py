"""Which builder a commit's image is built with, and how it is kept in bounds. Pure."""

from __future__ import annotations

from typing import Any

from provisioner.build_options import BuildOptions
from provisioner.errors import Refusal, SpecRefused
from provisioner.settings import StackSettings
from stacks.inputs import Builder, BuildResources


def builder_fields(options: BuildOptions | None, settings: StackSettings) -> dict[str, Any]:
    """Return the fields of a `Build` that depend on its builder, by their names.

    Raises:
        SpecRefused: the config names a builder that this installation does not let it choose, or asks it for what it
            can't do.
    """
    builder = _chosen(options, settings)
    if builder == "kaniko" and options and options.secrets:
        remedy = "are what Kaniko can't keep out of the image: leave them out, or have another builder"
        raise SpecRefused([Refusal("spec.config.build.secrets", repr(", ".join(options.secrets)), remedy)])
    images = {
        "buildkit": settings.builder_image,
        "buildah": settings.buildah_image,
        "kaniko": settings.kaniko_image,
    }
    profiles = {"buildkit": settings.builder_seccomp_profile, "buildah": settings.buildah_seccomp_profile}
    return {
        "builder": builder,
        "builder_image": images[builder],
        "seccomp_profile": profiles.get(builder),
        "network": settings.builder_network,
        "user_namespace": builder == "buildah" and settings.buildah_user_namespace,
        "resources": BuildResources(
            cpu_request=settings.build_cpu_request,
            cpu_limit=settings.build_cpu_limit,
            memory_request=settings.build_memory_request,
            memory_limit=settings.build_memory_limit,
        ),
        "priority_class": settings.build_priority_class,
        "image_registries": settings.image_registries,
        "queue": settings.kueue_queue,
    }


def _chosen(options: BuildOptions | None, settings: StackSettings) -> Builder:
    asked = options.builder if options else None
    if asked is None or asked == settings.builder:
        return settings.builder
    if asked not in settings.app_builders:
        others = ", ".join(sorted({*settings.app_builders, settings.builder}))
        remedy = f"is not a builder that apps of this installation may choose: leave it out, or name one of {others}"
        raise SpecRefused([Refusal("spec.config.build.builder", repr(asked), remedy)])
    return asked
