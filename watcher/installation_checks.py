"""Checks of an installation: CRD, namespaces, the watcher, its rights, the Secrets that the settings name, the engine.

Reads only (a SubjectAccessReview stores nothing), with the rights of whoever runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from provisioner.aws_plugin import plugins_for
from provisioner.crd import custom_resource_definition
from provisioner.engine import KUBERNETES, PULUMI_VERSION, Engine
from provisioner.errors import EngineMissing, SettingsRefused
from provisioner.settings import StackSettings
from provisioner.settings_sources import load, load_stack_settings
from watcher import rights
from watcher.cluster import DEPLOYMENTS, NAMESPACES, PODS, SECRETS, Cluster, Object, Resource, entries, section
from watcher.conditions import condition, trouble
from watcher.findings import Finding, ok, unknown, wrong

_CRDS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
_CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
_REVIEWS = Resource("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False)

# As `deploy/` calls them.
_DEPLOYMENT = "reviewapp"
_SETTINGS_MAP = "reviewapp-settings"
_SETTINGS_KEY = "settings.yaml"

_APPLY_ALL = "apply your installation again: its overlay, or its chart"
_GIVEN_BY = {
    "rbac": "apply your installation again: deploy/base/rbac.yaml gives it",
    "certificate": "add the component deploy/components/certificate, or `certificate.enabled` to the chart's values",
    "per-app": "add the component deploy/components/per-app, or `perApp.enabled` to the chart's values",
    "app-roles": "add the component deploy/components/app-roles, or `appRoles.enabled` to the chart's values",
}
# These say where to look, not what the settings are.
_WHERE = {"REVIEWAPP_NAMESPACE", "REVIEWAPP_BUILD_NAMESPACE"}


def server(cluster: Cluster) -> Iterator[Finding]:
    """Check that the API server answers."""
    version: Object = json.loads(cluster.text("/version"))
    yield ok(f"the API server answers: Kubernetes {version.get('gitVersion', 'of an unknown version')}")


def crd(cluster: Cluster) -> Iterator[Finding]:
    """Check that the API server knows ReviewApps as this version of the program does."""
    wanted = custom_resource_definition()
    remedy = "`reviewapp crd | kubectl apply --server-side -f -`"
    live = cluster.get(_CRDS, None, wanted["metadata"]["name"])
    if live is None:
        yield wrong("the CRD of ReviewApp is not there", remedy)
    elif not _has(live["spec"], wanted["spec"]):
        yield wrong("the CRD of ReviewApp is not that of this version", remedy)
    elif condition(live, "Established") != "True":
        yield wrong("the CRD of ReviewApp is not established", "see its conditions: `kubectl describe crd`")
    else:
        yield ok("the CRD of ReviewApp is there and current")


def _has(live: object, wanted: object) -> bool:
    """Whether all that is wanted is there, whatever else the API server has added."""
    if isinstance(wanted, dict):
        there = cast("dict[str, Any]", live) if isinstance(live, dict) else {}
        return all(_has(there.get(key), value) for key, value in cast("dict[str, Any]", wanted).items())
    if isinstance(wanted, list | tuple):
        listed = cast("list[Any]", live) if isinstance(live, list) else []
        items = cast("list[Any]", wanted)
        return len(listed) == len(items) and all(map(_has, listed, items))
    return live == wanted


def namespaces(cluster: Cluster, names: Iterable[str]) -> Iterator[Finding]:
    """Check that these namespaces are there."""
    for name in names:
        found = cluster.get(NAMESPACES, None, name)
        if found is None:
            yield wrong(f"namespace {name} is not there", f"`kubectl create namespace {name}`")
        elif section(found, "status").get("phase") == "Terminating":
            yield wrong(f"namespace {name} is being deleted", "wait until it is gone, and create it anew")
        else:
            yield ok(f"namespace {name} is there")


def watcher(cluster: Cluster, namespace: str, *, unseen: int) -> Iterator[Finding]:
    """Check that a watcher runs.

    Args:
        cluster: where.
        namespace: the watcher's.
        unseen: how many ReviewApps, or changes of them, no watcher has taken notice of.
    """
    deployment = cluster.get(DEPLOYMENTS, namespace, _DEPLOYMENT)
    if deployment is None:
        if unseen:
            yield wrong(f"no watcher seems to run: {unseen} ReviewApps wait to be seen", f"{_APPLY_ALL}, or start one")
        else:
            yield unknown(f"there is no Deployment {namespace}/{_DEPLOYMENT}: a watcher runs elsewhere, or none")
        return
    if section(deployment, "status").get("readyReplicas"):
        if unseen:
            remedy = f"see its log: `kubectl -n {namespace} logs deploy/{_DEPLOYMENT}`"
            yield wrong(f"a watcher is ready, and yet {unseen} ReviewApps wait to be seen", remedy)
        else:
            yield ok(f"the watcher is ready: Deployment {namespace}/{_DEPLOYMENT}")
        return
    if deployment["spec"].get("replicas") == 0:
        remedy = f"`kubectl -n {namespace} scale deploy/{_DEPLOYMENT} --replicas=1`"
        yield wrong(f"the watcher is scaled down: Deployment {namespace}/{_DEPLOYMENT}", remedy)
        return
    labels: dict[str, str] = section(deployment, "spec", "selector", "matchLabels")
    pods, _ = cluster.list(PODS, namespace, label_selector=",".join(f"{key}={value}" for key, value in labels.items()))
    found = trouble(pods)
    why = f"{found.reason}: {found.message}" if found else "its Pod is not ready"
    yield wrong(
        f"the watcher is not ready: {why}",
        f"`kubectl -n {namespace} describe pod`, `kubectl -n {namespace} logs deploy/{_DEPLOYMENT}`",
    )


def watcher_rights(
    cluster: Cluster, namespace: str, builds: str, apps: Iterable[str], values: StackSettings | None
) -> Iterator[Finding]:
    """Check that the watcher's service account may do what it has to.

    Args:
        cluster: where.
        namespace: the watcher's.
        builds: that of builds.
        apps: where apps are.
        values: the settings, where they are known.
    """
    certificate = values.tls_secret if values else None
    per_app = bool(values and values.namespace_mode == "per-app")
    app_roles = bool(values and values.aws_bucket)
    account = f"{namespace}/{rights.SERVICE_ACCOUNT}"
    wanted = rights.needed(namespace, builds, apps, certificate, own_namespaces=per_app, app_roles=app_roles)
    lacking = [
        right
        for right in wanted
        if not section(cluster.create(_REVIEWS, None, rights.review(right, namespace)), "status").get("allowed")
    ]
    if not lacking:
        yield ok(f"service account {account} has every right that it needs")
    for right in lacking:
        file = "certificate" if right.resource.startswith("secrets:") else "rbac"
        if per_app and right in rights.needed(namespace, builds, (), own_namespaces=True):
            file = "per-app" if right not in rights.needed(namespace, builds, ()) else file
        if right.resource == "serviceaccounts":
            file = "app-roles"
        yield wrong(f"service account {account} may not {right}", _GIVEN_BY[file])


def settings(cluster: Cluster, file: Path | None, namespace: str) -> tuple[StackSettings | None, list[Finding]]:
    """Check the settings that are given, else those that the cluster has; return them too, where they hold."""
    if file or any(name.startswith("REVIEWAPP_") for name in os.environ.keys() - _WHERE):
        try:
            return load(file), [ok("the settings given here hold")]
        except SettingsRefused as refused:
            return None, [wrong(f"settings: {refusal}", "") for refusal in refused.refusals]
    name = _settings_map(cluster, namespace)
    where = f"ConfigMap {namespace}/{name}"
    found = cluster.get(_CONFIG_MAPS, namespace, name)
    text: str | None = section(found or {}, "data").get(_SETTINGS_KEY)
    if text is None:
        return None, [unknown(f"no settings: neither given here, nor in {where}", "give them with --settings")]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as copy:
        copy.write(text)
        copy.flush()
        try:
            values = load_stack_settings(Path(copy.name))
        except SettingsRefused as refused:
            return None, [wrong(f"settings: {refusal}", f"correct {where}") for refusal in refused.refusals]
    return values, [ok(f"the settings in {where} hold")]


def _settings_map(cluster: Cluster, namespace: str) -> str:
    """Return the name of the watcher's ConfigMap: kustomize and Helm put a digest of its content behind it."""
    deployment = cluster.get(DEPLOYMENTS, namespace, _DEPLOYMENT) or {}
    volumes = entries(deployment, "spec", "template", "spec", "volumes")
    names = [str(section(volume, "configMap").get("name")) for volume in volumes]
    return next((name for name in names if name.startswith(f"{_SETTINGS_MAP}-")), _SETTINGS_MAP)


def secrets(cluster: Cluster, values: StackSettings) -> Iterator[Finding]:
    """Check the Secrets that the settings name."""
    wanted: list[tuple[str, str, str | None, tuple[str, ...]]] = [
        ("push_secret_name", values.build_namespace, values.push_secret_name, (".dockerconfigjson",)),
        ("tarball_secret_name", values.build_namespace, values.tarball_secret_name, ("AWS_ACCESS_KEY_ID",)),
    ]
    if values.tls_secret:
        namespace, _, name = values.tls_secret.partition("/")
        wanted.append(("tls_secret", namespace, name, ("tls.crt", "tls.key")))
    for setting, namespace, name, keys in wanted:
        if name is None:
            continue
        found = cluster.get(SECRETS, namespace, name)
        missing = [key for key in keys if key not in section(found or {}, "data")]
        if found is None:
            remedy = "create it, or correct the setting"
            yield wrong(f"{setting}: there is no Secret {namespace}/{name}", remedy)
        elif missing:
            remedy = "add what is missing, or name another Secret"
            yield wrong(f"{setting}: Secret {namespace}/{name} lacks {' and '.join(missing)}", remedy)
        else:
            yield ok(f"{setting}: Secret {namespace}/{name} is there")


def engine(values: StackSettings | None, *, needed: bool) -> tuple[Engine | None, list[Finding]]:
    """Check the engine of this machine; return it too, where it is the right one.

    Args:
        values: the settings, where they are known.
        needed: whether this is where the watcher runs, or where stacks are looked into.
    """
    if not needed and shutil.which(os.environ.get("REVIEWAPP_PULUMI") or "pulumi") is None:
        return None, [unknown("there is no pulumi on this machine: only the watcher's needs it")]
    try:
        found = Engine(plugins=plugins_for(values) if values else (KUBERNETES,))
    except EngineMissing as error:
        what, _, remedy = str(error).partition(": ")
        return None, [wrong(what, remedy) if needed else unknown(what, remedy)]
    providers = " and ".join(f"{plugin.name} provider {plugin.version}" for plugin in found.providers)
    return found, [ok(f"pulumi {PULUMI_VERSION} and its {providers} are here")]
