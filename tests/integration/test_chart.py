"""The Helm chart installs what kustomize does: object by object, for the base and for what is said otherwise."""

from __future__ import annotations

import operator
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.test_api_server import DEPLOY, Manifest, dry_run, overlay, rendered

pytestmark = pytest.mark.cluster

CHART = DEPLOY / "chart"
SYSTEM = "reviewapp-system"
KEPT = {"helm.sh/resource-policy": "keep"}
STATE = {"name": "REVIEWAPP_BACKEND_URL", "valueFrom": {"secretKeyRef": {"name": "reviewapp-state", "key": "url"}}}

Objects = dict[tuple[str, str, str | None], Manifest]


def helm(*options: str, namespace: str = SYSTEM, values: Manifest | None = None) -> tuple[bool, str]:
    """Run `helm template`; return whether it succeeded, and all it said."""
    command = ["helm", "template", "reviewapp", str(CHART), f"--namespace={namespace}", "--values=-", *options]
    given = yaml.safe_dump(values or {})
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr


def objects(documents: list[Any]) -> Objects:
    """Return objects by their names, with what names them by their settings' digest as if it had none."""
    text = re.sub(r"reviewapp-settings-[0-9a-z]{10}\b", "reviewapp-settings", yaml.safe_dump_all(documents))
    found: Objects = {}
    for document in (document for document in yaml.safe_load_all(text) if document):
        metadata = document["metadata"]
        if document["kind"] == "ConfigMap":
            document["data"] = {name: yaml.safe_load(content) for name, content in document["data"].items()}
        if document["kind"] == "Deployment":
            # None of them names another: their order says nothing.
            (container,) = document["spec"]["template"]["spec"]["containers"]
            container["env"] = sorted(container["env"], key=operator.itemgetter("name"))
        name = document["kind"], metadata["name"], metadata.get("namespace")
        assert name not in found
        found[name] = document
    return found


def of_chart(values: Manifest | None = None, *options: str) -> Objects:
    done, said = helm(*options, values=values)
    assert done, said
    found = objects(list(yaml.safe_load_all(said)))
    # Helm makes the release's own namespace, and deletes what is not to be kept.
    (definition,) = [document for (kind, *_), document in found.items() if kind == "CustomResourceDefinition"]
    assert definition["metadata"].pop("annotations") == KEPT
    return found


def of_kustomize(folder: Path) -> Objects:
    found = objects(rendered(folder))
    del found["Namespace", SYSTEM, None]
    return found


def test_by_default_it_is_the_base_object_by_object() -> None:
    assert of_chart() == of_kustomize(DEPLOY)


def test_with_two_watchers_it_is_the_overlay_with_its_state_elsewhere() -> None:
    assert of_chart({"replicas": 2, "environment": [STATE]}) == of_kustomize(DEPLOY / "overlays/postgres-state")


def test_what_it_can_add_is_what_the_components_do(tmp_path: Path) -> None:
    names = {
        "monitoring": "monitoring",
        "certificate": "certificate",
        "per-app": "perApp",
        "app-roles": "appRoles",
        "build-network": "buildNetwork",
    }
    folder = overlay(tmp_path, components=[DEPLOY / "components" / name for name in names])
    assert of_chart({name: {"enabled": True} for name in names.values()}) == of_kustomize(folder)


def test_the_api_server_takes_it() -> None:
    done, said = helm()
    assert done, said
    taken, answer = dry_run("-f", "-", documents=[document for document in yaml.safe_load_all(said) if document])
    assert taken, answer
    assert "Warning" not in answer


def test_another_namespace_is_meant_everywhere() -> None:
    values = {"buildNamespace": {"name": "previews-builds"}}
    done, said = helm(namespace="previews", values=values)
    assert done, said
    text = "\n".join(line for line in said.splitlines() if "description:" not in line)
    assert not re.search(r"reviewapp-(system|builds)\b", text)
    found = objects(list(yaml.safe_load_all(said)))
    settings = found["ConfigMap", "reviewapp-settings", "previews"]["data"]["settings.yaml"]
    assert (settings["namespace"], settings["build_namespace"]) == ("previews", "previews-builds")
    assert ("Namespace", "previews-builds", None) in found


def test_changed_settings_start_a_new_watcher() -> None:
    names = [
        set(re.findall(r"reviewapp-settings-[0-9a-z]{10}\b", helm(values={"settings": {"workers": number}})[1]))
        for number in (4, 5)
    ]
    assert [len(found) for found in names] == [1, 1]
    assert names[0] != names[1]


def test_what_is_said_of_a_pod_is_there() -> None:
    values: Manifest = {
        "image": {"repository": "registry.example.org/watcher", "tag": "1", "pullSecrets": [{"name": "pull"}]},
        "passphraseSecret": "mine",
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn"}},
        "storage": {"size": "1Gi", "className": "fast"},
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": None}},
        "podLabels": {"team": "platform"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "certificate": {"enabled": True, "namespace": "tls", "name": "wild"},
    }
    found = of_chart(values)
    template = found["Deployment", "reviewapp", SYSTEM]["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]
    assert template["metadata"]["labels"]["team"] == "platform"
    assert (container["image"], container["resources"]) == (
        "registry.example.org/watcher:1",
        {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {}},
    )
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert (pod["nodeSelector"], pod["tolerations"]) == (values["nodeSelector"], values["tolerations"])
    assert {"name": "mine", "key": "passphrase"} in [
        v.get("valueFrom", {}).get("secretKeyRef") for v in container["env"]
    ]
    assert (
        found["ServiceAccount", "reviewapp", SYSTEM]["metadata"]["annotations"]
        == values["serviceAccount"]["annotations"]
    )
    claim = found["PersistentVolumeClaim", "reviewapp-data", SYSTEM]["spec"]
    assert (claim["resources"]["requests"]["storage"], claim["storageClassName"]) == ("1Gi", "fast")
    assert found["Role", "reviewapp-certificate", "tls"]["rules"][0]["resourceNames"] == ["wild"]
    assert ("RoleBinding", "reviewapp-certificate", "tls") in found


def test_a_policy_of_ones_own_takes_the_place_of_the_bases(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text((DEPLOY / "base/policy.yaml").read_text().replace("pull requests from forks", "OTHERS"))
    done, said = helm(f"--set-file=policy={file}")
    assert done, said
    assert "OTHERS" in said
    assert "pull requests from forks" not in said


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"settings": {"app_domian": "review.example.org"}}, "app_domian"),
        ({"settings": {"app_domain": "https://review.example.org"}}, "/settings/app_domain"),
        ({"settings": {"passphrase": "in a file that many read"}}, "passphrase"),
        ({"replica": 2}, "replica"),
        ({"replicas": 0}, "/replicas"),
    ],
)
def test_what_does_not_hold_is_refused_by_its_name(values: Manifest, told: str) -> None:
    done, said = helm(values=values)
    assert not done
    assert told in said
