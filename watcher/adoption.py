"""How what the older operator has made for a review app becomes its stack, and what stands in the way. Pure.

What runs goes on as it runs: its Pods' template, the Secrets that they read, the database's object. They are part of
the stack's inputs, until a commit of ours takes the place of the first two. All else becomes what stacks declare.
"""

from __future__ import annotations

import base64
import binascii
import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, cast

from pydantic import SecretStr

from provisioner.desired import stack_inputs, wanted_build
from provisioner.review_app import Spec, Status
from provisioner.settings import StackSettings
from stacks import naming
from stacks.database_names import auth_keys
from stacks.inputs import AdoptedDatabase, AdoptedSecret, AdoptedWorkload, Database, StackInputs
from stacks.manifest import Manifest, object_labels
from stacks.review_app import manifests
from stacks.secrets import environment_secret_name
from stacks.workload import COMPONENT
from watcher.cluster import Object, section
from watcher.old_objects import OldObjects, secret_names

UNKNOWN_COMMIT = "unknown"
"""The commit of what runs, where the status does not say it: the ReviewApp's own is built then."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What adopting one review app does.

    Attributes:
        inputs: what its stack is to declare.
        takes: what goes on as it is, and belongs to the stack from then on.
        changes: what becomes different, and what is made.
        left: what of the operator's serves nothing any more, and goes with the app.
        obstacles: why it can't be adopted, each with its remedy.
    """

    inputs: StackInputs
    takes: tuple[str, ...]
    changes: tuple[str, ...]
    left: tuple[str, ...]
    obstacles: tuple[str, ...]


def plan(spec: Spec, status: Status, settings: StackSettings, old: OldObjects) -> Plan:
    """Return what adopting an app comes to.

    Args:
        spec: its ReviewApp's.
        status: as the older operator has left it.
        settings: the installation's.
        old: what there is of it.

    Raises:
        SpecRefused: the spec asks for what this installation does not give.
    """
    inputs = _inputs(spec, status, settings, old)
    live = _live(old)
    takes: list[str] = []
    changes: list[str] = []
    obstacles = list(_obstacles(spec, settings, old, inputs))
    for manifest in manifests(inputs):
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        target = f"{kind} {inputs.namespace}/{name}"
        found = live.get((kind, name))
        if found is None:
            changes.append(f"{target} is made")
            continue
        takes.append(target)
        if kind == "Secret" and found.get("type", "Opaque") != manifest["type"]:
            obstacles.append(f"{target} is of type {found.get('type')}, and would be {manifest['type']}: delete it")
        lost = () if kind in {"Deployment", "Postgres"} else _lost(manifest, found)
        paths = [*_differences(manifest, found, kind), *(f"{path} (goes)" for path in lost)]
        if paths:
            changes.append(f"{target}: {', '.join(paths)}")
    declared = {(item["kind"], item["metadata"]["name"]) for item in manifests(inputs)}
    left = [
        f"{resource.kind} {item['metadata']['namespace']}/{item['metadata']['name']}"
        for resource, item in old.others
        if (resource.kind, item["metadata"]["name"]) not in declared
    ]
    return Plan(inputs, tuple(takes), tuple(changes), tuple(left), tuple(obstacles))


def _inputs(spec: Spec, status: Status, settings: StackSettings, old: OldObjects) -> StackInputs:
    build = wanted_build(spec, settings)
    deployment = old.deployment or {"spec": {"replicas": 0}}
    runs = bool(section(deployment, "spec").get("replicas", 1))
    image = section(deployment, "spec", "template", "spec")["containers"][0]["image"] if runs else None
    commit = status.build_commit if status.build_status == "success" else None
    is_current = runs and commit == spec.commit_hash
    if is_current and image:
        build = build.model_copy(update={"image": image, "existing": image})
    base = stack_inputs(spec, settings, previous=None, built=runs, tls=old.tls, build=build, image=image)
    found = _database(spec, old)
    if not runs:
        # Nothing runs that could be started anew: all but the database is as if it were new.
        return base.model_copy(update={"build": None, "database": found})
    workload = base.workload.model_copy(
        update={
            "image": image,
            "tag": "",
            "commit": commit or UNKNOWN_COMMIT,
            "environment": _environment(base, old),
            "port_name": next(iter(section(old.service or {}, "spec").get("ports", [{}]))).get("name", ""),
            "adopted": _adopted_workload(base, commit or UNKNOWN_COMMIT, deployment, old),
        }
    )
    return base.model_copy(
        update={"workload": workload, "build": build if is_current else None, "database": found, "network": None}
    )


def _adopted_workload(base: StackInputs, commit: str, deployment: Object, old: OldObjects) -> AdoptedWorkload:
    template: Object = copy.deepcopy(deployment["spec"]["template"])
    metadata = template.setdefault("metadata", {})
    metadata.pop("creationTimestamp", None)
    metadata["labels"] = section(metadata, "labels") | object_labels(base, COMPONENT)
    metadata["annotations"] = section(metadata, "annotations") | {naming.COMMIT_ANNOTATION: commit}
    declared = {item["metadata"]["name"] for item in manifests(base) if item["kind"] == "Secret"}
    names = set(secret_names(template["spec"])) - declared
    return AdoptedWorkload(template=template, secrets=_secrets(old, names))


def _secrets(old: OldObjects, names: set[str]) -> tuple[AdoptedSecret, ...]:
    return tuple(
        AdoptedSecret(name=name, type=item.get("type", "Opaque"), data=section(item, "data"))
        for name, item in sorted(old.secrets.items())
        if name in names
    )


def _environment(base: StackInputs, old: OldObjects) -> dict[str, str]:
    """Return what the Secret of the environment has, where the operator gave it the name that ours has."""
    found = old.secrets.get(environment_secret_name(base))
    if found is None:
        return base.workload.environment
    return {name: _text(value) or "" for name, value in section(found, "data").items()}


def _database(spec: Spec, old: OldObjects) -> Database | None:
    if len(old.postgreses) != 1:
        return None
    item = old.postgreses[0]
    asked = copy.deepcopy(item["spec"])
    # The operator's own word.
    section(asked, "init").pop("initialized", None)
    scripts = {
        name
        for kind in ("script", "scriptSource")
        for name in [section(asked, "init", kind, "secret").get("secretName")]
        if name
    }
    name = item["metadata"]["name"]
    found = Database(
        backend="kubedb",
        api_version=old.postgres_version,
        name=name,
        version=str(asked.get("version", "")),
        storage_size=section(asked, "storage", "resources", "requests").get("storage", "1Gi"),
        storage_class=section(asked, "storage").get("storageClassName"),
        ephemeral=asked.get("storageType") == "Ephemeral",
        password=SecretStr(""),
        token=(spec.config.database.reset or "") if spec.config.database else "",
        settled=True,
        adopted=AdoptedDatabase(spec=asked, secrets=_secrets(old, scripts)),
    )
    _, password_key = auth_keys(found)
    password = _text(section(old.auth.get(f"{name}-auth", {}), "data").get(password_key, ""))
    return found.model_copy(update={"password": SecretStr(password or "")})


def _obstacles(spec: Spec, settings: StackSettings, old: OldObjects, inputs: StackInputs) -> Iterator[str]:
    app = f"{inputs.namespace}/{inputs.name}"
    if settings.namespace_mode == "per-app":
        yield "the setting namespace_mode is per-app, so that it would move: adopt it with shared"
    if old.deployment is None:
        yield f"there is no Deployment {app}: nothing runs that could be taken over; delete what there is instead"
    elif len(old.replica_sets) > 1:
        yield f"the Deployment {app} is being rolled out: wait until one ReplicaSet has all Pods"
    elif inputs.workload.replicas and old.service is None:
        yield f"there is no Service {app}: see why, and make it"
    if section(old.ingress or {}, "spec").get("tls") and inputs.route.tls is None and settings.route == "ingress":
        yield f"the Ingress {app} has TLS and would lose it: name the certificate in the setting tls_secret"
    if environment := old.secrets.get(environment_secret_name(inputs)):
        odd = [name for name, value in section(environment, "data").items() if _text(value) is None]
        if odd and inputs.workload.adopted:
            yield f"Secret {app}--env holds what is no text ({', '.join(odd)}): remove it"
    yield from _database_obstacles(spec, old, inputs.database)


def _database_obstacles(spec: Spec, old: OldObjects, found: Database | None) -> Iterator[str]:
    names = ", ".join(item["metadata"]["name"] for item in old.postgreses)
    if len(old.postgreses) > 1:
        yield f"it has more than one KubeDB Postgres ({names}): take the label of the app from all but its own"
    elif spec.config.database and spec.config.database.backend == "kubedb" and found is None:
        yield "config.database asks for KubeDB, and the app has no Postgres: delete the ReviewApp, and open it anew"
    elif found:
        if section(old.postgreses[0], "status").get("phase") != "Ready":
            yield f"the Postgres {names} is not Ready: wait, or see what KubeDB says of it"
        if not found.password.get_secret_value():
            _, key = auth_keys(found)
            yield f"there is no Secret {found.name}-auth with the key {key}: see what KubeDB says of {names}"


def _live(old: OldObjects) -> dict[tuple[str, str], Object]:
    """Return what there is, by kind and name."""
    found = {
        (kind, item["metadata"]["name"]): item
        for kind, item in (("Deployment", old.deployment), ("Service", old.service), ("Ingress", old.ingress))
        if item
    }
    found |= {("Secret", name): item for name, item in (old.secrets | old.auth).items()}
    return found | {("Postgres", item["metadata"]["name"]): item for item in old.postgreses}


def _differences(manifest: Manifest, live: Object, kind: str) -> Iterator[str]:
    """Yield the paths of what a manifest says otherwise than what is there, but for what only tells whose it is."""
    for key, value in manifest.items():
        if key in {"apiVersion", "kind", "metadata", "type"}:
            continue
        if key == "data":
            yield from (f"data.{name}" for name in value if section(live, "data").get(name) != value[name])
        elif kind == "Deployment":
            # A new Deployment of the same name takes over its ReplicaSet, labels of the stack on all of it.
            yield from ("spec.selector",)
            yield from _unequal(value["replicas"], live["spec"].get("replicas"), "spec.replicas")
        else:
            yield from _unequal(value, live.get(key), key)


def _unequal(wanted: Any, live: Any, path: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(live, dict):
        have = cast("Object", live)
        for key, value in cast("Object", wanted).items():
            yield from _unequal(value, have.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(live, list):
        ours, theirs = cast("list[Any]", wanted), cast("list[Any]", live)
        if len(ours) != len(theirs):
            yield path
        for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            yield from _unequal(one, other, f"{path}[{number}]")
    elif wanted != live:
        yield path


def _lost(manifest: Manifest, live: Object) -> Iterator[str]:
    """Yield what stands in an object and goes, since no stack declares it."""
    for path in (("metadata", "labels"), ("metadata", "annotations"), ("data",)):
        wanted = section(manifest, *path)
        yield from (f"{'.'.join(path)}.{name}" for name in section(live, *path) if name not in wanted)


def _text(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
