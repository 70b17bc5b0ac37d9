from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from provisioner.desired import stack_inputs, wanted_build
from provisioner.errors import SpecRefused
from provisioner.settings import Settings
from stacks.inputs import TLS, Build, SourceLimits, StackInputs
from stacks.review_app import manifests
from tests import samples

NEXT_COMMIT = "0123456789abcdef0123456789abcdef01234567"
SETTINGS = samples.settings()


def inputs(
    previous: StackInputs | None = None, *, built: bool = False, settings: Settings = SETTINGS, **changes: Any
) -> StackInputs:
    return stack_inputs(samples.spec(**changes), settings, previous=previous, built=built, tls=None)


def build_of(declared: StackInputs) -> Build:
    assert declared.build
    return declared.build


class TestSource:
    def test_without_an_address_it_is_where_the_older_operators_bot_puts_it(self) -> None:
        settings = SETTINGS.model_copy(update={"tarball_bucket": "tarballs"})
        assert build_of(inputs(tarballUrl=None, settings=settings)).tarball_url == "s3://tarballs/acme-shop-8a1f0e3c"

    def test_without_an_address_and_a_bucket_it_is_refused(self) -> None:
        with pytest.raises(SpecRefused, match=r"spec\.tarballUrl: is missing: add it, or have the setting tarball_"):
            inputs(tarballUrl=None)

    def test_limits_and_checksum_reach_the_build(self) -> None:
        settings = SETTINGS.model_copy(update={"tarball_maximum_bytes": 5, "tarball_maximum_entries": 7})
        build = build_of(inputs(settings=settings, tarballSha256="AB" * 32))
        assert build.tarball_sha256 == "ab" * 32
        assert build.limits == SourceLimits(compressed_bytes=5, entries=7)


class TestLife:
    def test_new_it_declares_everything_with_no_replicas(self) -> None:
        new = inputs()
        assert (new.stack, new.name, new.namespace) == ("acme.shop.42", "shop-42", "review-shop")
        assert new.workload.replicas == 0
        assert new.workload.image == "registry.example.com/apps/acme/shop:42-8a1f0e3c5b7d"
        assert build_of(new).image == new.workload.image
        assert build_of(new).job_name == "shop-42--8a1f0e3c5b"
        assert build_of(new).namespace == "reviewapp-builds"
        assert new.route.host == "shop-42.review.example.com"

    def test_built_it_runs_what_was_built_and_nothing_else_changes(self) -> None:
        new = inputs()
        built = inputs(new, built=True)
        assert built == new.model_copy(update={"workload": new.workload.model_copy(update={"replicas": 1})})

    def test_the_next_commit_is_built_while_the_old_version_runs_on(self) -> None:
        built = inputs(built=True)
        building = inputs(built, commitHash=NEXT_COMMIT)
        assert building.workload == built.workload
        assert building.workload.replicas == 1
        assert build_of(building).commit == NEXT_COMMIT
        assert build_of(building).image != building.workload.image

    def test_the_next_commits_config_waits_for_its_image(self) -> None:
        built = inputs(built=True)
        changes: dict[str, Any] = {"applicationPort": 8080, "env": {}, "namespace": "moved", "migrate": None}
        building = inputs(built, commitHash=NEXT_COMMIT, config=changes)
        assert building == built.model_copy(update={"build": building.build})
        rebuilt = inputs(building, built=True, commitHash=NEXT_COMMIT, config=changes)
        assert (rebuilt.workload.port, rebuilt.workload.environment, rebuilt.namespace) == (8080, {}, "moved")
        assert (rebuilt.workload.commit, rebuilt.workload.image) == (NEXT_COMMIT, build_of(building).image)

    def test_built_again_it_runs_the_next_commit(self) -> None:
        building = inputs(inputs(built=True), commitHash=NEXT_COMMIT)
        rebuilt = inputs(building, built=True, commitHash=NEXT_COMMIT)
        assert rebuilt.workload.commit == NEXT_COMMIT
        assert rebuilt.workload.image == build_of(building).image
        assert rebuilt.workload.replicas == 1
        assert rebuilt.build == building.build

    def test_a_commit_that_was_never_built_gives_way_to_the_next(self) -> None:
        next_one = inputs(inputs(), commitHash=NEXT_COMMIT)
        assert next_one == inputs(commitHash=NEXT_COMMIT)
        assert next_one.workload.replicas == 0

    def test_a_new_certificate_reaches_a_version_whose_successor_does_not_build(self) -> None:
        tls = TLS(certificate=SecretStr("new"), key=SecretStr("new"))
        built = inputs(built=True)
        building = stack_inputs(samples.spec(commitHash=NEXT_COMMIT), SETTINGS, previous=built, built=False, tls=tls)
        assert building.route.tls == tls
        assert building.workload == built.workload

    def test_the_same_is_always_the_same(self) -> None:
        assert inputs(built=True).digest() == inputs(built=True).digest()
        assert inputs(built=True).digest() != inputs().digest()

    def test_every_state_survives_being_written_down(self) -> None:
        with_tls = samples.inputs(built=True)
        again = StackInputs.model_validate_json(with_tls.model_dump_json())
        assert again == with_tls
        assert again.digest() == with_tls.digest()


class TestConfig:
    def test_values_names_and_commands_arrive(self) -> None:
        workload = inputs().workload
        assert workload.environment == {"ENV_ONE": "value number one", "ENV_TWO": "1"}
        assert workload.secret_names == ("secret-one", "secret-two")
        assert workload.config_map_names == ("config-map-one", "config-map-two")
        assert workload.pull_secret_name == "harbor"
        assert workload.migrate
        assert (workload.migrate.command, workload.migrate.arguments) == (("npm",), ("run", "migrate"))

    @pytest.mark.parametrize(
        ("migrate", "expected"),
        [
            (None, None),
            ({}, None),
            ({"args": ["migrate"]}, ((), ("migrate",))),
            ({"command": ["migrate"]}, (("migrate",), ())),
        ],
    )
    def test_migrate_runs_where_it_has_something_to_run(
        self, migrate: object, expected: tuple[tuple[str, ...], tuple[str, ...]] | None
    ) -> None:
        declared = inputs(config={"migrate": migrate}).workload.migrate
        assert (declared and (declared.command, declared.arguments)) == expected

    def test_the_order_of_the_environment_does_not_matter(self) -> None:
        values = [{"name": "A", "value": 1}, {"name": "B", "value": 2}]
        one = inputs(config={"env": {"values": values}})
        other = inputs(config={"env": {"values": values[::-1]}})
        assert one.digest() == other.digest()

    def test_secrets_are_not_shown(self) -> None:
        address = "https://s3.example.com/a.tar.gz?X-Amz-Signature=hunter2"
        values = [{"name": "A", "value": "hunter2"}]
        shown = repr(samples.inputs(tarballUrl=address, config={"env": {"values": values}}))
        assert "hunter2" not in shown
        assert "private key" not in shown


class TestNamespace:
    @pytest.mark.parametrize(
        "namespace", ["kube-system", "kube-public", "reviewapp-system", "reviewapp-builds", "certificates"]
    )
    @pytest.mark.parametrize("built", [False, True])
    def test_others_namespaces_are_refused(self, namespace: str, built: bool) -> None:
        settings = samples.settings(tls_secret="certificates/wildcard")
        with pytest.raises(SpecRefused) as caught:
            inputs(inputs(built=True), built=built, settings=settings, config={"namespace": namespace})
        (refusal,) = caught.value.refusals
        assert (refusal.field, refusal.value) == ("spec.config.namespace", repr(namespace))
        assert refusal.remedy == "is not open to review apps: name the app's own namespace"

    def test_those_that_the_settings_name_are_refused(self) -> None:
        settings = samples.settings(namespace="ours", build_namespace="builds")
        for namespace in ("ours", "builds"):
            with pytest.raises(SpecRefused):
                inputs(settings=settings, config={"namespace": namespace})
        assert inputs(settings=settings, config={"namespace": "reviewapp-system"}).namespace == "reviewapp-system"


class TestAttempt:
    def test_the_first_one_leaves_no_trace_in_names(self) -> None:
        assert wanted_build(samples.spec(), SETTINGS) == build_of(inputs())

    def test_a_further_one_has_a_job_and_an_image_of_its_own(self) -> None:
        again = wanted_build(samples.spec(), SETTINGS, "kdwpz")
        assert (again.job_name, again.attempt) == ("shop-42--8a1f0e3c5b-kdwpz", "kdwpz")
        assert again.image == "registry.example.com/apps/acme/shop:42-8a1f0e3c5b7d-kdwpz"

    def test_what_runs_is_what_it_pushed(self) -> None:
        again = wanted_build(samples.spec(), SETTINGS, "kdwpz")
        first = inputs(built=True)
        building = stack_inputs(samples.spec(), SETTINGS, previous=first, built=False, tls=None, build=again)
        assert building.workload == first.workload
        built = stack_inputs(samples.spec(), SETTINGS, previous=building, built=True, tls=None, build=again)
        assert built.workload.image == again.image

    def test_what_was_written_down_before_there_were_any_is_read(self) -> None:
        old = inputs(built=True).model_dump(mode="json")
        del old["build"]["attempt"]
        del old["workload"]["paused"]
        assert StackInputs.model_validate(old) == inputs(built=True)


class TestPaused:
    @pytest.mark.parametrize("built", [False, True])
    def test_it_runs_no_pod_and_stays_deployed(self, built: bool) -> None:
        running = inputs(built=True)
        spec = samples.spec(commitHash=NEXT_COMMIT)
        paused = stack_inputs(spec, SETTINGS, previous=running, built=built, tls=None, paused=True)
        assert (paused.workload.replicas, paused.workload.paused) == (1, True)
        (deployed,) = (manifest for manifest in manifests(paused) if manifest["kind"] == "Deployment")
        assert deployed["spec"]["replicas"] == 0
        resumed = stack_inputs(spec, SETTINGS, previous=paused, built=built, tls=None)
        assert resumed == inputs(running, built=built, commitHash=NEXT_COMMIT)


def test_the_build_takes_the_installations_settings() -> None:
    settings = samples.settings(
        registry_insecure=True,
        push_secret_name="kaniko-docker",
        tarball_secret_name="kaniko-aws",
        s3_endpoint_url="http://minio:9000",
        unpack_image="unpack:1",
        builder_image="builder:1",
        push_image="push:1",
        builder_seccomp_profile="profiles/builder.json",
        build_timeout_seconds=60,
        build_retries=1,
    )
    assert build_of(inputs(settings=settings)).model_dump(
        exclude={
            "job_name",
            "commit",
            "attempt",
            "image",
            "tarball_url",
            "tarball_sha256",
            "limits",
            "options",
            "existing",
            "secrets",
            "cache_from",
            "cache_to",
            *("builder", "network", "user_namespace", "resources", "priority_class", "queue", "waits"),
            "image_registries",
        }
    ) == {
        "namespace": "reviewapp-builds",
        "registry_insecure": True,
        "push_secret_name": "kaniko-docker",
        "tarball_secret_name": "kaniko-aws",
        "s3_endpoint_url": "http://minio:9000",
        "unpack_image": "unpack:1",
        "builder_image": "builder:1",
        "push_image": "push:1",
        "seccomp_profile": "profiles/builder.json",
        "timeout_seconds": 60,
        "retries": 1,
    }
