"""The rights that `reviewapp doctor` asks for are those that `deploy/` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from watcher.rights import Right, needed, review

RBAC = Path(__file__).parents[3] / "deploy" / "rbac.yaml"


def given() -> set[Right]:
    """Every right that the bindings of deploy/rbac.yaml give to the watcher, those in all namespaces as in `apps`."""
    documents: list[Any] = list(yaml.safe_load_all(RBAC.read_text()))
    rules = {(d["kind"], d["metadata"]["name"]): d["rules"] for d in documents if "rules" in d}
    found: set[Right] = set()
    for binding in documents:
        subjects = [(subject["kind"], subject["name"]) for subject in binding.get("subjects", [])]
        if ("ServiceAccount", "reviewapp") not in subjects:
            continue
        role = binding["roleRef"]
        namespace = "apps" if role["name"] == "reviewapp-stack" else binding["metadata"].get("namespace")
        for rule in rules[role["kind"], role["name"]]:
            found |= {
                Right(group, resource, verb, namespace)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            }
    return found


def test_they_are_those_of_deploy() -> None:
    assert set(needed("reviewapp-system", ["apps"])) == given()


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
