"""What the doctor says of what is there. Objects are given by hand; tests/e2e has it look at a real installation."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provisioner.crd import custom_resource_definition
from provisioner.engine import KUBERNETES, PULUMI_VERSION
from provisioner.errors import ClusterUnreachable
from stacks import naming
from tests import samples
from tests.unit.provisioner.test_aws_settings import ON
from tests.unit.watcher.test_listing import NOW, ready
from tests.unit.watcher.views import review_app
from watcher import installation_checks as installation
from watcher import leftover_checks as leftovers
from watcher.cli import app
from watcher.cluster import ApiRefused, Cluster, Object, Resource
from watcher.findings import Finding, ok, results


class Objects(Cluster):
    """A cluster with these objects, by kind, namespace and name."""

    def __init__(self, *items: Object) -> None:
        self.items = items
        self.allowed = True

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return next(
            (
                item
                for item in self.items
                if (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
                == (resource.kind, namespace, name)
            ),
            None,
        )

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
    ) -> tuple[list[Object], str]:
        return [item for item in self.items if item["kind"] == resource.kind], "1"

    def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        verb = body["spec"]["resourceAttributes"]["verb"]
        return {"status": {"allowed": self.allowed or verb != "watch"}}


def said(found: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.verdict, finding.what) for finding in found]


def crd(**changes: Any) -> Object:
    live = copy.deepcopy(custom_resource_definition())
    live["spec"]["conversion"] = {"strategy": "None"}
    live["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    return live | changes


def test_the_crd() -> None:
    assert said(installation.crd(Objects(crd()))) == [("ok", "the CRD of ReviewApp is there and current")]
    assert said(installation.crd(Objects())) == [("wrong", "the CRD of ReviewApp is not there")]
    new = crd(status={})
    assert said(installation.crd(Objects(new))) == [("wrong", "the CRD of ReviewApp is not established")]
    old = crd()
    del old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["pr"]
    assert said(installation.crd(Objects(old))) == [("wrong", "the CRD of ReviewApp is not that of this version")]
    old = crd()
    del old["spec"]["versions"][0]["additionalPrinterColumns"][0]
    assert said(installation.crd(Objects(old))) == [("wrong", "the CRD of ReviewApp is not that of this version")]


def test_namespaces() -> None:
    there: Object = {"kind": "Namespace", "metadata": {"name": "a"}}
    going: Object = {"kind": "Namespace", "metadata": {"name": "b"}, "status": {"phase": "Terminating"}}
    assert said(installation.namespaces(Objects(there, going), ["a", "b", "c"])) == [
        ("ok", "namespace a is there"),
        ("wrong", "namespace b is being deleted"),
        ("wrong", "namespace c is not there"),
    ]


def deployment(ready: int = 0, replicas: int = 1) -> Object:
    return {
        "kind": "Deployment",
        "metadata": {"namespace": "s", "name": "reviewapp"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}},
        "status": {"readyReplicas": ready},
    }


def test_the_watcher() -> None:
    def watcher(*items: Object, unseen: int = 0) -> list[tuple[str, str]]:
        return said(installation.watcher(Objects(*items), "s", unseen=unseen))

    assert watcher() == [("unknown", "there is no Deployment s/reviewapp: a watcher runs elsewhere, or none")]
    assert watcher(unseen=2) == [("wrong", "no watcher seems to run: 2 ReviewApps wait to be seen")]
    assert watcher(deployment(1)) == [("ok", "the watcher is ready: Deployment s/reviewapp")]
    assert watcher(deployment(1), unseen=1)[0][0] == "wrong"
    assert watcher(deployment(replicas=0)) == [("wrong", "the watcher is scaled down: Deployment s/reviewapp")]
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "reviewapp-passphrase" not found'}
    pod: Object = {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "status": {"containerStatuses": [{"name": "watcher", "state": {"waiting": waiting}}]},
    }
    ((verdict, what),) = watcher(deployment(), pod)
    assert verdict == "wrong"
    assert 'CreateContainerConfigError: container watcher: secret "reviewapp-passphrase" not found' in what


def test_rights() -> None:
    cluster = Objects()
    assert [verdict for verdict, _ in said(installation.watcher_rights(cluster, "s", "b", ["a"], None))] == ["ok"]
    cluster.allowed = False
    found = said(installation.watcher_rights(cluster, "s", "b", ["a"], None))
    assert ("wrong", "service account s/reviewapp may not watch secrets in namespace a") in found
    assert {verdict for verdict, _ in found} == {"wrong"}


def test_rights_over_service_accounts_are_asked_for_where_apps_have_roles() -> None:
    cluster = Objects()
    cluster.allowed = False
    lacking = "service account s/reviewapp may not watch serviceaccounts in namespace a"
    off = list(installation.watcher_rights(cluster, "s", "b", ["a"], samples.settings()))
    assert lacking not in [finding.what for finding in off]
    (found,) = [
        finding
        for finding in installation.watcher_rights(cluster, "s", "b", ["a"], samples.settings(**ON))
        if finding.what == lacking
    ]
    assert found.remedy.startswith("add the component deploy/components/app-roles")


def test_the_plugin_that_roles_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(f"#!/bin/sh\necho v{PULUMI_VERSION}\n")
    (tmp_path / KUBERNETES.program).touch()
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REVIEWAPP_PULUMI", raising=False)

    def version(plugin: Path) -> str | None:
        return KUBERNETES.version

    monkeypatch.setattr("provisioner.engine.plugin_version", version)
    engine, (found,) = installation.engine(samples.settings(), needed=True)
    assert engine
    assert found.what == f"pulumi {PULUMI_VERSION} and its kubernetes provider {KUBERNETES.version} are here"
    for needed, verdict in ((True, "wrong"), (False, "unknown")):
        engine, (found,) = installation.engine(samples.settings(**ON), needed=needed)
        assert (engine, found.verdict) == (None, verdict)
        assert found.what.startswith("pulumi-resource-aws was not found on PATH")
        assert "pulumi plugin install resource aws" in found.remedy


def test_secrets() -> None:
    values = samples.settings(push_secret_name="push", tarball_secret_name="aws", tls_secret="c/wildcard")
    push: Object = {
        "kind": "Secret",
        "metadata": {"namespace": "reviewapp-builds", "name": "push"},
        "data": {".dockerconfigjson": ""},
    }
    tls: Object = {"kind": "Secret", "metadata": {"namespace": "c", "name": "wildcard"}, "data": {"tls.crt": ""}}
    assert said(installation.secrets(Objects(push, tls), values)) == [
        ("ok", "push_secret_name: Secret reviewapp-builds/push is there"),
        ("wrong", "tarball_secret_name: there is no Secret reviewapp-builds/aws"),
        ("wrong", "tls_secret: Secret c/wildcard lacks tls.key"),
    ]


def test_settings_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REVIEWAPP_")]:
        monkeypatch.delenv(name)
    held: Object = {
        "kind": "ConfigMap",
        "metadata": {"namespace": "s", "name": "reviewapp-settings"},
        "data": {"settings.yaml": "app_domain: example.com\nregistry: r.example.com\nworkers: 2\n"},
    }
    values, found = installation.settings(Objects(held), None, "s")
    assert values
    assert said(iter(found)) == [("ok", "the settings in ConfigMap s/reviewapp-settings hold")]
    held["data"]["settings.yaml"] = "app_domain: example.com\n"
    values, found = installation.settings(Objects(held), None, "s")
    assert (values, [finding.verdict for finding in found]) == (None, ["wrong"])
    assert "registry" in found[0].what
    _, found = installation.settings(Objects(), None, "s")
    assert [finding.verdict for finding in found] == ["unknown"]


def test_settings_whose_name_has_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REVIEWAPP_")]:
        monkeypatch.delenv(name)
    # Where to look for them is none of them.
    monkeypatch.setenv("REVIEWAPP_NAMESPACE", "s")
    name = "reviewapp-settings-4k8f2h9m5t"
    volumes = [{"name": "data"}, {"name": "settings", "configMap": {"name": name}}]
    watcher: Object = {
        "kind": "Deployment",
        "metadata": {"namespace": "s", "name": "reviewapp"},
        "spec": {"template": {"spec": {"volumes": volumes}}},
    }
    held: Object = {
        "kind": "ConfigMap",
        "metadata": {"namespace": "s", "name": name},
        "data": {"settings.yaml": "app_domain: example.com\nregistry: r.example.com\n"},
    }
    values, found = installation.settings(Objects(held, watcher), None, "s")
    assert values
    assert said(iter(found)) == [("ok", f"the settings in ConfigMap s/{name} hold")]


def test_review_apps() -> None:
    stuck = ready()
    stuck["status"]["conditions"][3] |= {"status": "False", "reason": "Building", "message": "is being built"}
    broken = ready()
    broken["status"]["conditions"][3] |= {"status": "False", "reason": "BuildFailed", "message": "no make\nmore"}
    found = said(leftovers.not_ready([ready(), stuck, broken], NOW + 60))
    assert found == [
        ("wrong", "acme-shop-42 is not ready for 60s: BuildFailed: no make"),
        ("ok", "2 of 3 ReviewApps are ready, paused, or on their way"),
    ]
    assert ("wrong", "acme-shop-42 is not ready for 60m: Building: is being built") in said(
        leftovers.not_ready([stuck], NOW + 3600)
    )


def test_review_apps_that_no_watcher_has_seen() -> None:
    new = review_app()
    new["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert leftovers.unseen([new, ready()], NOW + 10) == 0
    assert leftovers.unseen([new, ready()], NOW + 60) == 1


def test_a_check_that_may_not_look_does_not_end_the_others() -> None:
    def check(error: Exception) -> Iterator[Finding]:
        yield ok("first")
        raise error

    refused = list(results("the CRD", lambda: check(ApiRefused(403, "Forbidden", "no"))))
    assert [finding.verdict for finding in refused] == ["ok", "unknown"]
    assert refused[1].what == "the CRD: not allowed to look"
    failed = list(results("the CRD", lambda: check(ApiRefused(500, "InternalError", "no"))))
    assert failed[1].verdict == "wrong"
    silent = list(results("the CRD", lambda: check(ClusterUnreachable("GET /: refused"))))
    assert silent[1].verdict == "wrong"


class RestrictedObjects(Objects):
    """Objects as one sees them who may not look at definitions, and perhaps not at ReviewApps either."""

    lists_review_apps = True

    def text(self, path: str) -> str:
        return '{"gitVersion": "v1.36.3"}'

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        if resource.kind == "CustomResourceDefinition":
            raise ApiRefused(403, "Forbidden", "no")
        return super().get(resource, namespace, name)

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
    ) -> tuple[list[Object], str]:
        if resource.kind == "ReviewApp" and not self.lists_review_apps:
            raise ApiRefused(403, "Forbidden", "no")
        return super().list(resource, namespace, label_selector, name)


@pytest.mark.parametrize("lists_review_apps", [True, False])
def test_what_may_not_be_looked_at_is_not_taken_for_absent(
    monkeypatch: pytest.MonkeyPatch, lists_review_apps: bool
) -> None:
    for name in [name for name in os.environ if name.startswith("REVIEWAPP_")]:
        monkeypatch.delenv(name)
    cluster = RestrictedObjects(ready() | {"kind": "ReviewApp"})
    cluster.lists_review_apps = lists_review_apps
    monkeypatch.setattr(Cluster, "from_environment", lambda: cluster)
    done = CliRunner().invoke(app, ["doctor"])
    assert ("1 of 1 ReviewApps are ready" in done.output) == lists_review_apps
    assert ("unknown  the journal: not allowed to look" in done.output) != lists_review_apps


class TestLeftovers:
    STACK = "acme.shop.7"

    class Removing(Objects):
        """Takes an object away if it is the one that was looked at."""

        def __init__(self, *items: Object) -> None:
            super().__init__(*items)
            self.deleted: list[tuple[str, str, str | None]] = []

        def delete_seen(self, resource: Resource, item: Object) -> None:
            self.deleted.append((resource.kind, item["metadata"]["name"], item["metadata"]["uid"]))

    def service(self, *, applied: bool = True) -> Object:
        manager = {"manager": self.STACK if applied else "kubectl", "operation": "Apply"}
        metadata = {
            "namespace": "a",
            "name": "shop-7",
            "uid": "u7",
            "labels": {naming.STACK_LABEL: self.STACK},
            "managedFields": [manager],
        }
        return {"kind": "Service", "metadata": metadata}

    def found(self, cluster: Cluster, known: set[str]) -> list[Finding]:
        return [finding for finding in leftovers.objects(cluster, "system", known) if finding.verdict == "wrong"]

    def test_an_object_of_a_stack_that_is_asked_for_is_none(self) -> None:
        assert self.found(self.Removing(self.service()), {self.STACK}) == []

    def test_one_that_our_engine_applied_is_removed_when_told_to(self) -> None:
        cluster = self.Removing(self.service())
        (finding,) = self.found(cluster, set())
        assert finding.fix
        assert cluster.deleted == []
        assert finding.fix() == "Service a/shop-7 is deleted"
        assert cluster.deleted == [("Service", "shop-7", "u7")]

    def test_one_that_only_has_the_label_is_a_humans_to_judge(self) -> None:
        (finding,) = self.found(self.Removing(self.service(applied=False)), set())
        assert finding.fix is None
        assert "see whose it is" in finding.remedy

    def test_one_that_is_asked_for_since_is_left(self) -> None:
        cluster = self.Removing(self.service())
        (finding,) = self.found(cluster, set())
        cluster.items += (review_app(pr="7"),)
        assert finding.fix
        assert finding.fix() == "Service a/shop-7 was left: its stack is asked for now"
        assert cluster.deleted == []
