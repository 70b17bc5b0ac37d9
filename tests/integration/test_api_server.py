"""What a real API server says of our manifests and of ReviewApps. Most of it in dry runs, which leave nothing."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import uuid
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.inputs import Build, StackInputs
from stacks.review_app import manifests
from tests import samples
from watcher.cluster import DECLARED

pytestmark = pytest.mark.cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
REVIEW_APPS = "/apis/reviewtron.k8s.revelry.co/v1/reviewapps"

Manifest = dict[str, Any]


def kubectl(*arguments: str, document: Manifest | None = None, documents: Sequence[Manifest] = ()) -> tuple[bool, str]:
    """Run kubectl; return whether it succeeded, and all it said."""
    given = [document] if document else documents
    done = subprocess.run(
        ["kubectl", *arguments],
        input="\n---\n".join(map(json.dumps, given)) if given else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode == 0, done.stdout


def dry_run(*arguments: str, document: Manifest | None = None, documents: Sequence[Manifest] = ()) -> tuple[bool, str]:
    return kubectl(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"),
        *arguments,
        document=document,
        documents=documents,
    )


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:  # pyright: ignore[reportUnusedFunction]
    for name in ("crd.yaml", "namespaces.yaml"):
        done, said = kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEPLOY / "base" / name))
        assert done, said
    done, said = kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(DEPLOY / "base/crd.yaml"))
    assert done, said


def overlay(folder: Path, *, components: Sequence[Path] = (), **fields: Any) -> Path:
    """Write an overlay of the base, as a platform owner has one; return its folder."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(DEPLOY / "base", folder.resolve())],
        "components": [os.path.relpath(component, folder.resolve()) for component in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization | fields))
    return folder


@pytest.fixture
def namespace() -> Generator[str]:
    name = f"manifests-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def rendered(folder: Path) -> list[Manifest]:
    """Return what kustomize makes of a folder."""
    done, said = kubectl("kustomize", str(folder))
    assert done, said
    return list(yaml.safe_load_all(said))


def one(documents: list[Manifest], kind: str) -> Manifest:
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


class TestDeploy:
    @pytest.mark.parametrize("name", [".", "overlays/aws", "overlays/demo", "overlays/postgres-state"])
    def test_each_installation_is_taken_without_a_warning(self, name: str) -> None:
        assert {document["kind"] for document in rendered(DEPLOY / name)} >= {"CustomResourceDefinition", "Deployment"}
        done, said = dry_run("-k", str(DEPLOY / name))
        assert done, said
        assert "Warning" not in said

    @pytest.mark.parametrize("name", ["app-roles", "build-network", "certificate", "per-app"])
    def test_each_component_is_taken_with_the_base(self, name: str, tmp_path: Path) -> None:
        folder = overlay(tmp_path, components=[DEPLOY / "components" / name])
        assert rendered(folder) != rendered(DEPLOY)
        # The namespace `certificates` is whoever's who has one.
        done, said = dry_run("-k", str(folder))
        assert done or (name == "certificate" and 'namespaces "certificates" not found' in said), said

    def test_monitoring_is_taken_where_its_operator_is_not(self, tmp_path: Path) -> None:
        documents = rendered(overlay(tmp_path, components=[DEPLOY / "components" / "monitoring"]))
        # What an operator serves is held against what it publishes: tests/unit/deploy/published.
        added = {"ServiceMonitor", "Service"}
        assert {document["kind"] for document in documents} - {
            document["kind"] for document in rendered(DEPLOY)
        } == added
        done, said = dry_run("-f", "-", document=one(documents, "Service"))
        assert done, said

    def test_two_watchers_share_no_volume(self) -> None:
        documents = rendered(DEPLOY / "overlays/postgres-state")
        assert "PersistentVolumeClaim" not in {document["kind"] for document in documents}
        spec = one(documents, "Deployment")["spec"]
        assert (spec["replicas"], spec["strategy"]["type"]) == (2, "RollingUpdate")
        pod = spec["template"]["spec"]
        assert {"name": "data", "emptyDir": {"sizeLimit": "5Gi"}} in pod["volumes"]
        names = {variable["name"] for variable in pod["containers"][0]["env"]}
        assert names == {"REVIEWAPP_SETTINGS", "REVIEWAPP_PASSPHRASE", "REVIEWAPP_BACKEND_URL"}

    def test_an_overlay_of_ones_own_has_settings_images_and_a_policy_of_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "settings.yaml").write_text("app_domain: example.org\nregistry: registry.example.org\n")
        policy = (DEPLOY / "base/policy.yaml").read_text().replace("pull requests from forks", "OTHERS")
        (tmp_path / "policy.yaml").write_text(policy)
        folder = overlay(
            tmp_path,
            images=[{"name": "ghcr.io/reviewapp/watcher", "newName": "registry.example.org/watcher", "newTag": "1"}],
            configMapGenerator=[
                {
                    "name": "reviewapp-settings",
                    "namespace": "reviewapp-system",
                    "behavior": "replace",
                    "files": ["settings.yaml"],
                }
            ],
            patches=[{"path": "policy.yaml"}],
        )
        documents = rendered(folder)
        (container,) = one(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "registry.example.org/watcher:1"
        assert "example.org" in one(documents, "ConfigMap")["data"]["settings.yaml"]
        mine, theirs = [
            [
                validation["message"]
                for document in of
                if document["metadata"]["name"] == "reviewapp-specs" and "validations" in document["spec"]
                for validation in document["spec"]["validations"]
            ]
            for of in (documents, rendered(DEPLOY))
        ]
        assert mine == [message.replace("pull requests from forks", "OTHERS") for message in theirs] != theirs
        done, said = dry_run("-k", str(folder))
        assert done, said

    def test_the_schema_is_structural(self) -> None:
        done, said = kubectl("get", "crd", "reviewapps.reviewtron.k8s.revelry.co", "-o", "json")
        assert done, said
        conditions = {entry["type"]: entry["status"] for entry in json.loads(said)["status"]["conditions"]}
        assert conditions["Established"] == "True"
        assert conditions.get("NonStructuralSchema", "False") == "False"

    @pytest.mark.parametrize("privileged", [False, True])
    def test_the_watchers_pod_keeps_to_the_restricted_standard(self, privileged: bool) -> None:
        (deployment,) = [
            document
            for document in yaml.safe_load_all((DEPLOY / "base/deployment.yaml").read_text())
            if document["kind"] == "Deployment"
        ]
        spec = copy.deepcopy(deployment["spec"]["template"]["spec"])
        # The service account and the class need not be there yet.
        spec["serviceAccountName"] = "default"
        del spec["priorityClassName"]
        spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = privileged
        metadata = {"name": "standard", "namespace": "reviewapp-system"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        done, said = kubectl("create", "--dry-run=server", "-f", "-", document=pod)
        assert done is not privileged, said
        assert ("violates PodSecurity" in said) is privileged


def variants() -> list[StackInputs]:
    new = samples.inputs()
    assert new.build
    plain_registry: Build = new.build.model_copy(
        update={
            "registry_insecure": True,
            "push_secret_name": "docker",
            "tarball_secret_name": "aws",
            "s3_endpoint_url": "http://minio:9000",
            "seccomp_profile": "profiles/builder.json",
        }
    )
    return [
        new,
        samples.inputs(built=True, config={"migrate": None, "registrySecretName": None, "env": {}}),
        new.model_copy(
            update={
                "build": plain_registry,
                "route": new.route.model_copy(update={"tls": None, "ingress_class": "nginx"}),
            }
        ),
        # The longest names that there can be.
        samples.inputs(repoOwner="a" * 100, repo="b" * 100, pr="1234567890"),
    ]


class TestStack:
    @pytest.mark.parametrize("inputs", variants(), ids=["new", "built", "plain", "long"])
    def test_every_object_is_taken_as_it_is(self, inputs: StackInputs, namespace: str) -> None:
        assert inputs.build
        build = inputs.build.model_copy(update={"namespace": "reviewapp-builds"})
        for manifest in manifests(inputs.model_copy(update={"namespace": namespace, "build": build})):
            # What an operator serves is held against what it publishes: tests/unit/stacks/published.
            if DECLARED[manifest["apiVersion"], manifest["kind"]].optional:
                continue
            done, said = dry_run("-f", "-", document=manifest)
            assert done, said
            # The sample's certificate is none.
            assert "Warning" not in said.replace("Warning: tls: failed to find any PEM data", "")


def review_app() -> Manifest:
    document = samples.review_app()
    document["metadata"]["name"] = f"api-{uuid.uuid4().hex[:6]}"
    return document


def create(document: Manifest) -> tuple[bool, str]:
    return kubectl("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", document=document)


class TestReviewApp:
    def test_the_sample_is_taken_as_it_is(self) -> None:
        document = review_app()
        done, said = create(document)
        assert done, said
        assert json.loads(said)["spec"] == document["spec"]

    @pytest.mark.parametrize("value", ["text", 1, 1.5, True])
    def test_any_scalar_is_a_value(self, value: object) -> None:
        document = review_app()
        document["spec"]["config"]["env"]["values"] = [{"name": "A", "value": value}]
        done, said = create(document)
        assert done, said
        assert json.loads(said)["spec"]["config"]["env"]["values"] == [{"name": "A", "value": value}]

    @pytest.mark.parametrize("value", [["a"], {"a": "b"}])
    def test_nothing_else_is_a_value(self, value: object) -> None:
        document = review_app()
        document["spec"]["config"]["env"]["values"] = [{"name": "A", "value": value}]
        done, said = create(document)
        assert not done
        assert "spec.config.env.values[0].value: Too many" in said

    def test_a_misspelt_field_is_refused_to_whoever_asks_for_it(self) -> None:
        document = review_app()
        document["spec"]["config"]["applicatonPort"] = 1
        done, said = create(document)
        assert not done
        assert 'unknown field "spec.config.applicatonPort"' in said

    @pytest.mark.parametrize("place", ["config", "value"])
    def test_depth_never_reaches_the_stored_object(self, place: str, tmp_path: Path) -> None:
        document = review_app()
        if place == "config":
            document["spec"]["config"]["unknown"] = "DEEP"
        else:
            document["spec"]["config"]["env"]["values"] = [{"name": "A", "value": "DEEP"}]
        # As text: Python's own encoder has no such depth.
        file = tmp_path / "deep.json"
        file.write_text(json.dumps(document).replace('"DEEP"', "[" * 3000 + "]" * 3000))
        done, said = kubectl("create", "--raw", f"{REVIEW_APPS}?dryRun=All", "-f", str(file))
        assert done is (place == "config")
        assert "[[[" not in said

    @pytest.mark.parametrize(("field", "value"), [("repo", "other"), ("repoOwner", "other"), ("pr", "43")])
    def test_what_names_the_stack_cannot_change(self, field: str, value: str) -> None:
        document = review_app()
        # A watcher that happens to run refuses it, and so makes nothing.
        document["spec"]["config"]["namespace"] = "kube-system"
        name = document["metadata"]["name"]
        done, said = kubectl("create", "-f", "-", document=document)
        assert done, said
        try:
            patch = json.dumps({"spec": {field: value}})
            done, said = kubectl("patch", "reviewapp", name, "--dry-run=server", "--type=merge", f"--patch={patch}")
            assert not done
            assert f"{field} can't change: delete this ReviewApp and create another" in said
        finally:
            kubectl("delete", "reviewapp", name, "--timeout=30s")
