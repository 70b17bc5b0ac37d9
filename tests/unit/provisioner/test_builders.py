"""Which builder a commit gets, and what settings that can't go together are told."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.builders import builder_fields
from provisioner.errors import SettingsRefused, SpecRefused
from provisioner.review_app import parse
from provisioner.settings import StackSettings
from provisioner.settings_sources import load_stack_settings
from stacks.inputs import BuildResources
from tests.unit.watcher.views import spec


def settings(**changes: Any) -> StackSettings:
    return StackSettings(app_domain="example.com", registry="registry:5000", **changes)


def fields(build: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"namespace": "review-shop", "applicationPort": 8080}
    asked = parse(spec(config=config | ({"build": build} if build else {}))).config.build
    return builder_fields(asked, settings(**changes))


def test_it_is_buildkit_unless_the_platform_says_otherwise() -> None:
    found = fields(builder_image="kit", builder_seccomp_profile="kit.json", buildah_image="ah")
    assert (found["builder"], found["builder_image"], found["seccomp_profile"]) == ("buildkit", "kit", "kit.json")
    found = fields(
        builder="buildah", buildah_image="ah", buildah_seccomp_profile="ah.json", buildah_user_namespace=True
    )
    assert (found["builder"], found["builder_image"], found["seccomp_profile"]) == ("buildah", "ah", "ah.json")
    assert found["user_namespace"]
    found = fields(builder="kaniko", kaniko_image="ka", buildah_user_namespace=True)
    assert (found["builder"], found["builder_image"], found["seccomp_profile"]) == ("kaniko", "ka", None)
    assert not found["user_namespace"]


def test_bounds_come_from_the_settings() -> None:
    found = fields(
        build_cpu_request="1",
        build_cpu_limit="2",
        build_memory_request="3Gi",
        build_memory_limit="4Gi",
        build_priority_class="low",
        kueue_queue="builds",
    )
    resources = BuildResources(cpu_request="1", cpu_limit="2", memory_request="3Gi", memory_limit="4Gi")
    assert (found["resources"], found["priority_class"], found["queue"]) == (resources, "low", "builds")


def test_an_app_chooses_among_what_it_is_offered() -> None:
    assert fields({"builder": "buildah"}, app_builders="kaniko, buildah")["builder"] == "buildah"
    assert fields({"builder": "buildkit"})["builder"] == "buildkit"
    with pytest.raises(SpecRefused) as refused:
        fields({"builder": "kaniko"}, app_builders="buildah")
    assert str(refused.value) == (
        "spec.config.build.builder: 'kaniko' is not a builder that apps of this installation may choose: leave it out, "
        "or name one of buildah, buildkit"
    )


def test_kaniko_gets_no_secrets() -> None:
    with pytest.raises(SpecRefused, match=r"spec\.config\.build\.secrets: 'npm' are what Kaniko can't keep out"):
        fields({"secrets": ["npm"]}, builder="kaniko")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"BUILDER": "docker"}, "builder: 'docker' must be 'buildkit', 'buildah' or 'kaniko'"),
        ({"APP_BUILDERS": "docker"}, "app_builders[0]: 'docker' must be 'buildkit', 'buildah' or 'kaniko'"),
        (
            {"BUILDER_NETWORK": "none", "BUILDER": "buildah", "APP_BUILDERS": "kaniko"},
            "builder_network: 'none' is what BuildKit alone can do: leave buildah and kaniko out of builder and "
            "app_builders",
        ),
        (
            {"KUEUE_QUEUE": "builds", "MAXIMUM_BUILDS": "3"},
            "kueue_queue: 'builds' is a second queue beside maximum_builds: leave one of the two out",
        ),
        ({"MAXIMUM_BUILDS": "0"}, "maximum_builds: '0' must be at least 1"),
        (
            {"BUILD_MEMORY_LIMIT": "much"},
            "build_memory_limit: 'much' must be a quantity of Kubernetes, as in 500m or 256Mi",
        ),
    ],
)
def test_settings_that_do_not_hold_say_so(
    changes: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({"APP_DOMAIN": "example.com", "REGISTRY": "registry:5000"} | changes).items():
        monkeypatch.setenv(f"REVIEWAPP_{name}", value)
    with pytest.raises(SettingsRefused) as refused:
        load_stack_settings()
    assert str(refused.value) == message


def test_no_network_goes_with_buildkit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fields(builder_network="none", app_builders="buildkit")["network"] == "none"


def test_images_come_from_the_named_registries() -> None:
    found = fields(image_registries="docker.io/library, registry:5000")
    assert found["image_registries"] == ("docker.io/library", "registry:5000")
    assert fields()["image_registries"] == ()


@pytest.mark.parametrize(
    "wrong", ["library/alpine", "https://ghcr.io", "ghcr.io/", "ghcr.io/*", "GHCR.io", "ghcr.io/a.."]
)
def test_a_registry_is_one_host_and_may_have_a_path(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(monkeypatch, "image_registries", "must be registries, or paths in them", image_registries=wrong)


@pytest.mark.parametrize("others", [{"builder": "kaniko"}, {"app_builders": "buildah, kaniko"}])
def test_kaniko_can_not_be_held_to_registries(others: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    refused(monkeypatch, "image_registries", "is what Kaniko can't be held to", image_registries="ghcr.io", **others)


def refused(monkeypatch: pytest.MonkeyPatch, field: str, words: str, **values: str) -> None:
    for name, value in {"app_domain": "example.com", "registry": "registry", **values}.items():
        monkeypatch.setenv(f"REVIEWAPP_{name.upper()}", value)
    with pytest.raises(SettingsRefused, match=words) as caught:
        load_stack_settings()
    assert caught.value.refusals[0].field == field
