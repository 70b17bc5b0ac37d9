"""What `deploy/` says agrees with itself and with the code. Whether an API server takes it is an integration test's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dev.next_release import next_release
from provisioner.policy import admission_policy
from provisioner.settings import Settings
from provisioner.settings_sources import load, load_stack_settings
from stacks.naming import GROUP
from stacks.registration import KINDS

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "base"

FOLDERS = sorted(file.parent for file in DEPLOY.rglob("kustomization.yaml") if file.parent != DEPLOY)

Manifest = dict[str, Any]


def manifests(name: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all((BASE / name).read_text()) if document]


def one(name: str, kind: str) -> Manifest:
    (only,) = [manifest for manifest in manifests(name) if manifest["kind"] == kind]
    return only


def pod() -> dict[str, Any]:
    return one("deployment.yaml", "Deployment")["spec"]["template"]["spec"]


def pod_labels() -> dict[str, str]:
    return one("deployment.yaml", "Deployment")["spec"]["template"]["metadata"]["labels"]


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    return only


def rules(name: str) -> list[dict[str, Any]]:
    (role,) = [m for m in manifests("rbac.yaml") if m["metadata"]["name"] == name and "rules" in m]
    return role["rules"]


def verbs(role: str, group: str, resource: str) -> set[str]:
    return {
        verb
        for rule in rules(role)
        if group in rule["apiGroups"] and resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_kustomize_takes_every_file(folder: Path) -> None:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    listed = [*kustomization.get("resources", []), *(patch.get("path") for patch in kustomization.get("patches", []))]
    for generator in kustomization.get("configMapGenerator", []):
        listed += generator["files"]
    files = {path.name for path in folder.iterdir() if path.is_file()}
    assert {name for name in listed if name and name.endswith(".yaml")} == files - {"kustomization.yaml"}


def test_the_chart_has_every_manifest_there_is() -> None:
    files = {file.resolve() for file in (DEPLOY / "chart/files").iterdir()}
    others = {"kustomization.yaml", "settings.yaml"}
    there = {
        file for file in [*BASE.glob("*.yaml"), *(DEPLOY / "components").glob("*/*.yaml")] if file.name not in others
    }
    assert files == there


def test_by_default_it_is_the_base() -> None:
    assert yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"] == ["base"]


def test_everything_is_where_the_default_settings_say() -> None:
    namespaces = [manifest["metadata"]["name"] for manifest in manifests("namespaces.yaml")]
    fields = Settings.model_fields
    assert namespaces == [fields["namespace"].default, fields["build_namespace"].default]
    for name in ("rbac.yaml", "deployment.yaml", "volume.yaml", "network.yaml", "disruption.yaml"):
        for manifest in manifests(name):
            if not manifest["kind"].startswith("Cluster"):
                assert manifest["metadata"]["namespace"] in {*namespaces, "default"}


def test_the_policy_is_that_of_the_example_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REVIEWAPP_")]:
        monkeypatch.delenv(name)
    wanted = admission_policy(load_stack_settings(BASE / "settings.yaml"))
    assert manifests("policy.yaml") == wanted


def test_the_example_settings_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWAPP_PASSPHRASE", "a passphrase of a test")
    for file in DEPLOY.rglob("settings.yaml"):
        assert load(file).app_domain == "review.example.com"


def test_what_selects_the_watcher_selects_its_pods() -> None:
    network, budget = one("network.yaml", "NetworkPolicy"), one("disruption.yaml", "PodDisruptionBudget")
    for selector in (network["spec"]["podSelector"], budget["spec"]["selector"]):
        assert selector["matchLabels"].items() <= pod_labels().items()
    (port,) = network["spec"]["ingress"][0]["ports"]
    assert port["port"] in {port["name"] for port in container()["ports"]}
    assert pod()["priorityClassName"] == one("priority.yaml", "PriorityClass")["metadata"]["name"]


def test_the_published_schema_takes_the_service_monitor() -> None:
    service, monitor = yaml.safe_load_all((DEPLOY / "components/monitoring/monitoring.yaml").read_text())
    schema = yaml.safe_load((Path(__file__).parent / "published/monitoring.coreos.com_v1.yaml").read_text())
    jsonschema.validate(monitor["spec"], schema)
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert service["spec"]["selector"].items() <= pod_labels().items()


def test_a_single_watcher_can_be_drained() -> None:
    assert one("disruption.yaml", "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


class TestRights:
    def test_every_binding_gives_a_role_that_is_there_to_the_watcher(self) -> None:
        documents = manifests("rbac.yaml")
        roles = {(m["kind"], m["metadata"]["name"], m["metadata"].get("namespace")) for m in documents if "rules" in m}
        bound: set[tuple[str, str, str | None]] = set()
        for binding in (document for document in documents if "roleRef" in document):
            reference = binding["roleRef"]
            bound.add((reference["kind"], reference["name"], binding["metadata"].get("namespace")))
            assert binding["subjects"] == [
                {"kind": "ServiceAccount", "name": pod()["serviceAccountName"], "namespace": "reviewapp-system"}
            ]
        # That of apps is bound by the watcher itself, where it has some.
        assert bound == roles - {("ClusterRole", "reviewapp-apps", None)}

    @pytest.mark.parametrize(("api_version", "kind"), KINDS)
    def test_every_kind_that_a_stack_declares_can_be_made_and_swept(self, api_version: str, kind: str) -> None:
        group = api_version.rpartition("/")[0]
        plural = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies", "Postgres": "postgreses"}.get(
            kind, f"{kind.lower()}s"
        )
        given = verbs("reviewapp-apps", group, plural) | verbs("reviewapp-watch", group, plural)
        if kind == "ServiceAccount":
            (patch,) = yaml.safe_load((DEPLOY / "components/app-roles/app-roles.yaml").read_text())
            assert (given, patch["value"]["resources"]) == (set(), [plural])
            given = set(patch["value"]["verbs"])
        assert given == {"get", "list", "watch", "create", "patch", "delete"}

    def test_of_namespaces_it_can_only_see_whether_they_are_there_and_whom_they_take(self) -> None:
        assert verbs("reviewapp-watch", "", "namespaces") == {"get", "list", "watch"}

    def test_stacks_can_touch_nothing_else(self) -> None:
        roles = [*rules("reviewapp-apps"), *rules("reviewapp-builds")]
        resources = [resource for rule in roles for resource in rule["resources"]]
        kinds = {(version.partition("/")[0] if "/" in version else "", kind) for version, kind in KINDS}
        # ConfigMaps are looked at, Secrets and Jobs are in both, and ServiceAccounts are a component's.
        assert len(resources) == len(kinds) + 3 - 1
        assert verbs("reviewapp-apps", "", "configmaps") == {"get"}

    def test_secrets_are_read_in_no_namespace_but_by_a_binding_in_it(self) -> None:
        everywhere = [m["roleRef"]["name"] for m in manifests("rbac.yaml") if m["kind"] == "ClusterRoleBinding"]
        assert everywhere == ["reviewapp-watch", "reviewapp-bind"]
        assert all("secrets" not in rule["resources"] for role in everywhere for rule in rules(role))

    def test_nothing_is_given_by_wildcard(self) -> None:
        for manifest in manifests("rbac.yaml"):
            for rule in manifest.get("rules", ()):
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]

    def test_review_apps_are_read_and_patched_but_never_made_or_deleted(self) -> None:
        assert verbs("reviewapp-watch", GROUP, "reviewapps") == {"get", "list", "watch", "patch"}
        assert verbs("reviewapp-watch", GROUP, "reviewapps/status") == {"patch"}


class TestDeployment:
    def test_there_is_one_watcher_and_never_two(self) -> None:
        spec = one("deployment.yaml", "Deployment")["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})

    def test_its_volumes_are_where_the_settings_look(self) -> None:
        mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
        environment = {variable["name"]: variable.get("value") for variable in container()["env"]}
        data_folder = str(Settings.model_fields["data_folder"].default)
        assert mounts["data"] == data_folder
        assert environment["REVIEWAPP_SETTINGS"] == f"{mounts['settings']}/settings.yaml"
        assert environment["PULUMI_BACKEND_URL"] == f"file://{data_folder}/state"
        assert {volume["name"] for volume in pod()["volumes"]} == mounts.keys()
        claim = one("volume.yaml", "PersistentVolumeClaim")
        (data,) = [volume for volume in pod()["volumes"] if volume["name"] == "data"]
        assert data["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]

    def test_the_passphrase_comes_from_a_secret(self) -> None:
        (passphrase,) = [v for v in container()["env"] if v["name"] == "REVIEWAPP_PASSPHRASE"]
        assert passphrase["valueFrom"] == {"secretKeyRef": {"name": "reviewapp-passphrase", "key": "passphrase"}}

    def test_probes_ask_the_health_port(self) -> None:
        (port,) = container()["ports"]
        assert port["containerPort"] == 8081
        for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
            assert container()[probe]["httpGet"] == {"path": path, "port": port["name"]}

    def test_memory_is_enough_for_every_worker(self) -> None:
        # Measured: 80 MiB for Python, and 112 and 117 MiB for an engine and its plugin at their peak.
        needed = 80 + Settings.model_fields["workers"].default * (112 + 117)
        assert int(container()["resources"]["limits"]["memory"].removesuffix("Mi")) > needed

    def test_images_are_of_this_version(self) -> None:
        version = next_release()
        for image in (container()["image"], Settings.model_fields["unpack_image"].default):
            assert image.endswith(f":{version}")
