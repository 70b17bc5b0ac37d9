"""The rights that `reviewapp doctor` asks for are those that `deploy/` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from watcher import rights
from watcher.bindings import role_binding
from watcher.rights import Right, needed, review

DEPLOY = Path(__file__).parents[3] / "deploy"


def given(*more: str) -> set[Right]:
    """Every right that `deploy/` gives to the watcher, with the role that it binds itself as in `apps`."""
    files = [DEPLOY / name for name in ("base/rbac.yaml", "components/certificate/certificate.yaml", *more)]
    documents: list[Any] = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    documents.append({"kind": "RoleBinding", "metadata": {"namespace": "apps"}} | role_binding("reviewapp-system"))
    rules = {(d["kind"], d["metadata"]["name"]): d["rules"] for d in documents if "rules" in d}
    found: set[Right] = set()
    for binding in documents:
        subjects = [(subject["kind"], subject["name"]) for subject in binding.get("subjects", [])]
        if ("ServiceAccount", "reviewapp") not in subjects:
            continue
        role = binding["roleRef"]
        namespace = binding["metadata"].get("namespace", "apps" if role["name"] == rights.APPS_ROLE else None)
        for rule in rules[role["kind"], role["name"]]:
            found |= {
                Right(group, f"{resource}:{name}" if name else resource, verb, namespace)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for name in rule.get("resourceNames", [""])
                for verb in rule["verbs"]
            }
    return found


def test_they_are_those_of_deploy() -> None:
    places = ("reviewapp-system", "reviewapp-builds", ["apps"], "certificates/wildcard-tls")
    assert set(needed(*places)) == given()
    assert set(needed(*places, own_namespaces=True)) == given("components/per-app/per-app.yaml")
    (patch,) = yaml.safe_load((DEPLOY / "components/app-roles/app-roles.yaml").read_text())
    rule = patch["value"]
    of_app_roles = {Right("", resource, verb, "apps") for resource in rule["resources"] for verb in rule["verbs"]}
    assert rule["apiGroups"] == [""]
    assert set(needed(*places, app_roles=True)) == given() | of_app_roles


def test_a_right_is_asked_for_as_the_api_server_will_be() -> None:
    right = Right("reviewtron.k8s.revelry.co", "reviewapps/status", "patch")
    assert str(right) == "patch reviewapps/status.reviewtron.k8s.revelry.co in all namespaces"
    assert str(Right("", "pods", "get", "n")) == "get pods in namespace n"
    spec: Any = review(right, "ours")["spec"]
    assert spec["user"] == "system:serviceaccount:ours:reviewapp"
    assert (spec["resourceAttributes"]["resource"], spec["resourceAttributes"]["subresource"]) == (
        "reviewapps",
        "status",
    )
