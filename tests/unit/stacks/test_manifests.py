"""The table of a stack's resources, row by row. The build Job's own tests are beside this file."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from stacks import naming
from stacks.inputs import StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests
from tests import samples

NEXT_COMMIT = "0123456789abcdef0123456789abcdef01234567"


def declared(inputs: StackInputs) -> dict[str, Manifest]:
    """Return the stack's objects by `Kind/name`."""
    return {f"{manifest['kind']}/{manifest['metadata']['name']}": manifest for manifest in manifests(inputs)}


def one(kind: str, inputs: StackInputs | None = None, **changes: Any) -> Manifest:
    """Return the stack's only object of a kind, or of a kind and the end of its name."""
    kind, _, suffix = kind.partition(" ")
    objects = manifests(inputs or samples.inputs(**changes))
    (only,) = [m for m in objects if m["kind"] == kind and m["metadata"]["name"].endswith(suffix)]
    return only


def pod(**changes: Any) -> dict[str, Any]:
    return one("Deployment", **changes)["spec"]["template"]["spec"]


def app_container(**changes: Any) -> dict[str, Any]:
    (container,) = pod(**changes)["containers"]
    return container


def decoded(secret: Manifest) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


class TestStack:
    def test_it_declares_these_and_no_others(self) -> None:
        assert list(declared(samples.inputs())) == [
            "Secret/shop-42--env",
            "Secret/shop-42--tls",
            "NetworkPolicy/shop-42",
            "NetworkPolicy/shop-42--db",
            "Secret/shop-42--db-auth",
            "Secret/shop-42--db-copy",
            "Postgres/shop-42--db",
            "Job/shop-42--8a1f0e3c5b",
            "Deployment/shop-42",
            "Service/shop-42",
            "Ingress/shop-42",
        ]

    def test_all_but_the_build_are_in_the_apps_namespace(self) -> None:
        for name, manifest in declared(samples.inputs()).items():
            expected = "reviewapp-builds" if name.startswith("Job/") else "review-shop"
            assert manifest["metadata"]["namespace"] == expected

    def test_every_object_and_pod_says_whose_it_is(self) -> None:
        for name, manifest in declared(samples.inputs()).items():
            found = [manifest["metadata"]]
            if name.startswith(("Job/", "Deployment/")):
                found.append(manifest["spec"]["template"]["metadata"])
            for metadata in found:
                assert metadata["labels"]["reviewtron.k8s.revelry.co/app"] == "shop"
                assert metadata["labels"]["reviewtron.k8s.revelry.co/build"] == "42"
                assert metadata["labels"]["reviewtron.k8s.revelry.co/stack"] == "acme.shop.42"
                assert metadata["labels"]["app.kubernetes.io/managed-by"] == "reviewapp"

    def test_the_engine_waits_for_nothing_and_manages_as_the_stack(self) -> None:
        for manifest in manifests(samples.inputs()):
            assert (
                manifest["metadata"]["annotations"].items()
                >= {
                    "pulumi.com/skipAwait": "true",
                    "pulumi.com/patchFieldManager": "acme.shop.42",
                }.items()
            )

    def test_it_is_plain_data_and_always_the_same(self) -> None:
        assert manifests(samples.inputs()) == manifests(samples.inputs())


class TestBuildJob:
    def test_name_namespace_and_limits(self) -> None:
        job = one("Job")
        assert job["metadata"]["name"] == "shop-42--8a1f0e3c5b"
        assert job["spec"]["backoffLimit"] == 3
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"

    def test_the_tarball_is_unpacked_first(self) -> None:
        first, *_ = one("Job")["spec"]["template"]["spec"]["initContainers"]
        assert first["name"] == "unpack"
        assert {"name": "UNPACK_URL", "value": samples.review_app()["spec"]["tarballUrl"]} in first["env"]

    def test_without_a_build_there_is_none(self) -> None:
        inputs = samples.inputs().model_copy(update={"build": None})
        assert not [name for name in declared(inputs) if name.startswith("Job/")]


class TestSecrets:
    def test_the_tls_secret_is_a_copy(self) -> None:
        secret = one("Secret --tls")
        assert secret["type"] == "kubernetes.io/tls"
        assert decoded(secret) == {"tls.crt": "certificate in PEM", "tls.key": "private key in PEM"}

    def test_the_environments_values_are_in_a_secret(self) -> None:
        secret = one("Secret --env")
        assert secret["type"] == "Opaque"
        assert decoded(secret) == {"ENV_ONE": "value number one", "ENV_TWO": "1"}

    def test_without_values_it_has_no_data(self) -> None:
        assert "data" not in one("Secret --env", config={"env": {}})

    def test_values_stay_out_of_everything_else(self) -> None:
        others = [m for m in manifests(samples.inputs()) if m["metadata"]["name"] != "shop-42--env"]
        assert "value number one" not in str(others)


class TestDeployment:
    @pytest.mark.parametrize(("built", "replicas"), [(False, 0), (True, 1)])
    def test_it_runs_once_it_is_built(self, built: bool, replicas: int) -> None:
        assert one("Deployment", built=built)["spec"]["replicas"] == replicas

    def test_image_and_port(self) -> None:
        container = app_container()
        assert container["image"] == "registry.example.com/apps/acme/shop:42-8a1f0e3c5b7d"
        assert container["ports"] == [{"name": "http", "containerPort": 5000}]
        assert container["readinessProbe"]["tcpSocket"] == {"port": 5000}
        assert container["lifecycle"]["preStop"]["sleep"]["seconds"] > 0

    def test_the_image_is_pulled_with_the_registry_secret(self) -> None:
        assert pod()["imagePullSecrets"] == [{"name": "harbor"}]
        assert "imagePullSecrets" not in pod(config={"registrySecretName": None})

    def test_migrate_runs_before_it_in_the_same_image_and_environment(self) -> None:
        (migrate,) = pod()["initContainers"]
        assert (migrate["name"], migrate["command"], migrate["args"]) == ("migrate", ["npm"], ["run", "migrate"])
        app = app_container()
        for field in ("image", "env", "envFrom"):
            assert migrate[field] == app[field]
        assert "initContainers" not in pod(config={"migrate": None})

    def test_the_environment_comes_from_config_maps_secrets_and_values_in_this_order(self) -> None:
        # The last source of a variable wins: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
        assert app_container()["envFrom"] == [
            {"configMapRef": {"name": "config-map-one"}},
            {"configMapRef": {"name": "config-map-two"}},
            {"secretRef": {"name": "secret-one"}},
            {"secretRef": {"name": "secret-two"}},
            {"secretRef": {"name": "shop-42--env"}},
        ]

    def test_what_an_app_is_told_of_itself(self) -> None:
        def auth(key: str) -> dict[str, Any]:
            return {"secretKeyRef": {"name": "shop-42--db-auth", "key": key}}

        assert app_container()["env"] == [
            {"name": "APP_DOMAIN", "value": "shop-42.review.example.com"},
            {"name": "APP_NAME", "value": "shop-42"},
            {"name": "CLUSTER_DISABLED", "value": "1"},
            {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "POSTGRES_HOSTNAME", "value": "shop-42--db"},
            {"name": "POSTGRES_PORT", "value": "5432"},
            {"name": "POSTGRES_USER", "valueFrom": auth("username")},
            {"name": "POSTGRES_PASSWORD", "valueFrom": auth("password")},
            {"name": "POSTGRES_DATABASE", "value": "postgres"},
            {"name": "DATABASE_URL", "valueFrom": auth("url")},
        ]

    def test_a_value_of_the_config_wins_over_ours(self) -> None:
        changes: dict[str, Any] = {"config": {"env": {"values": [{"name": "CLUSTER_DISABLED", "value": 0}]}}}
        assert "CLUSTER_DISABLED" not in {variable["name"] for variable in app_container(**changes)["env"]}
        assert decoded(one("Secret --env", **changes)) == {"CLUSTER_DISABLED": "0"}

    def test_a_changed_value_starts_new_pods_and_says_nothing_of_itself(self) -> None:
        def annotations(**changes: Any) -> dict[str, str]:
            return one("Deployment", **changes)["spec"]["template"]["metadata"]["annotations"]

        def value(text: str) -> dict[str, Any]:
            return {"env": {"values": [{"name": "A", "value": text}]}}

        assert annotations(config=value("1")) != annotations(config=value("2"))
        assert annotations(config=value("1")) == annotations(config=value("1"))
        assert annotations(config=value("1"), pr="42") != annotations(config=value("1"), pr="43")

    def test_a_new_commit_keeps_the_selector(self) -> None:
        # A Deployment's selector can't change.
        first, second = one("Deployment"), one("Deployment", commitHash=NEXT_COMMIT)
        assert first["spec"]["selector"] == second["spec"]["selector"]
        assert first["spec"]["template"] != second["spec"]["template"]

    def test_it_and_the_service_select_the_apps_pods_and_no_others(self) -> None:
        inputs = samples.inputs()
        objects = declared(inputs)
        deployment = objects["Deployment/shop-42"]
        selectors = [deployment["spec"]["selector"]["matchLabels"], objects["Service/shop-42"]["spec"]["selector"]]
        pods = deployment["spec"]["template"]["metadata"]["labels"]
        build_pods = objects["Job/shop-42--8a1f0e3c5b"]["spec"]["template"]["metadata"]["labels"]
        others_pods = one("Deployment", pr="43")["spec"]["template"]["metadata"]["labels"]
        for selector in selectors:
            assert selector.items() <= pods.items()
            assert not selector.items() <= build_pods.items()
            assert not selector.items() <= others_pods.items()

    def test_the_commit_stands_on_its_pods(self) -> None:
        template = one("Deployment")["spec"]["template"]
        assert template["metadata"]["annotations"][naming.COMMIT_ANNOTATION] == samples.spec().commit_hash

    def test_the_app_gets_no_token_of_the_cluster(self) -> None:
        assert pod()["automountServiceAccountToken"] is False


class TestServiceAndRoute:
    def test_port_80_to_the_apps_port(self) -> None:
        (port,) = one("Service")["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (80, 5000)

    def test_the_host_leads_to_the_service(self) -> None:
        spec = one("Ingress")["spec"]
        (rule,) = spec["rules"]
        assert rule["host"] == "shop-42.review.example.com"
        (path,) = rule["http"]["paths"]
        assert (path["path"], path["pathType"]) == ("/", "Prefix")
        assert path["backend"]["service"] == {"name": one("Service")["metadata"]["name"], "port": {"number": 80}}

    def test_tls_by_the_copied_secret(self) -> None:
        (tls,) = one("Ingress")["spec"]["tls"]
        assert tls == {
            "hosts": ["shop-42.review.example.com"],
            "secretName": one("Secret --tls")["metadata"]["name"],
        }

    def test_without_a_certificate_there_is_plain_http(self) -> None:
        inputs = samples.inputs()
        plain = inputs.model_copy(update={"route": inputs.route.model_copy(update={"tls": None})})
        assert "tls" not in one("Ingress", plain)["spec"]
        assert "Secret/shop-42--tls" not in declared(plain)

    @pytest.mark.parametrize("name", ["nginx", None])
    def test_the_class_is_the_settings(self, name: str | None) -> None:
        inputs = samples.inputs()
        changed = inputs.model_copy(update={"route": inputs.route.model_copy(update={"ingress_class": name})})
        assert one("Ingress", changed)["spec"].get("ingressClassName") == name
