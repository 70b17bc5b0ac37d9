"""Preview what the watcher would do for a ReviewApp: from the cluster as it is, by the engine. Changes nothing.

Sees what the watcher sees: the journal, the build Jobs, the wildcard certificate and the stack's state. Runs beside a
watcher that works on the same stack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from provisioner.errors import ApplyRefused, ForeignObject, Refusal, ReviewAppError, SpecRefused, StackNotFound
from provisioner.preview.model import Preview
from provisioner.review_app import Spec, parse
from provisioner.rules import require_allowed
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.tenancy import require_open
from stacks.inputs import TLS, StackInputs
from stacks.review_app import manifests, stack_label_selector
from watcher.certificate import certificate
from watcher.cluster import JOBS, NAMESPACES, PODS, REVIEW_APPS, SECRETS, ApiRefused, Cluster, Object, section
from watcher.decide import wanted
from watcher.journal import Entry, Journal
from watcher.lookups import look_up
from watcher.observation import asked_app, asked_stack
from watcher.preconditions import (
    is_there,
    name_of,
    namespaces,
    require_build_secrets,
    require_namespace,
    require_shared,
)
from watcher.registry import Registry
from watcher.submission import deleting
from watcher.view import View

_SLOT = 0


class NotPreviewed(ReviewAppError):
    """What would come first is no update: the ReviewApp, or the stack of its last life, is on its way out."""

    reason = "NotPreviewed"


def preview(cluster: Cluster, settings: Settings, stacks: Stacks, review_app: Object, *, built: bool) -> Preview:
    """Return what the watcher's next update does for a ReviewApp.

    Args:
        cluster: where it would be done.
        settings: the installation's.
        stacks: its stacks; nobody else uses slot 0 of them.
        review_app: the ReviewApp as it would be; whether it is there already does not matter.
        built: whether the build of its commit counts as succeeded, whatever became of it.

    Raises:
        SpecRefused: the ReviewApp asks for what it can't have.
        NotPreviewed: an update is not what comes next.
        StackNotFound: the state backend has not the stack that the journal says was updated.
        ReviewAppError: the cluster does not answer or refuses, or the engine fails.
    """
    spec = parse(review_app.get("spec"))
    view = _view(cluster, settings, review_app)
    silent: dict[str, str] = {}
    registry = Registry(cluster, settings, silent.__setitem__)
    view = dataclasses.replace(view, lookups=look_up(cluster, view, settings, registry))
    inputs = wanted(view, spec, settings)
    if built and inputs.build:
        done = {"metadata": {"name": inputs.build.job_name}, "status": {"conditions": [_COMPLETE]}}
        view = dataclasses.replace(view, jobs=[done])
        inputs = wanted(dataclasses.replace(view, lookups=look_up(cluster, view, settings, registry)), spec, settings)
    _require_update(view, inputs)
    found = stacks.preview(inputs, _SLOT)
    if found.is_new and view.entry and view.entry.phase == "applied":
        raise StackNotFound(inputs.stack)
    # After the engine's run: a cluster that answers now is one that has answered it.
    obstacles, unseen = _conditions(cluster, settings, spec, inputs, view.lookups.missing)
    return dataclasses.replace(
        found,
        assumptions=tuple(_assumptions(view, spec, inputs, built=built)),
        obstacles=tuple(obstacles),
        unseen=(
            *_under_way(view.entry),
            *(f"whether the registry has {image} already: {reason}" for image, reason in silent.items()),
            *unseen,
        ),
    )


_COMPLETE = {"type": "Complete", "status": "True"}


def merged(cluster: Cluster, written: Object) -> Object:
    """Return a ReviewApp as it would be if somebody applied what is `written`.

    Raises:
        SpecRefused: the name is that of another pull request's ReviewApp.
    """
    live = cluster.get(REVIEW_APPS, None, written["metadata"]["name"])
    if live is None:
        return written
    if asked_stack(live) != asked_stack(written):
        remedy = "is the ReviewApp of another pull request: name another"
        raise SpecRefused([Refusal("metadata.name", written["metadata"]["name"], remedy)])
    annotations = {**section(live, "metadata", "annotations"), **section(written, "metadata", "annotations")}
    return live | {"spec": written["spec"], "metadata": live["metadata"] | {"annotations": annotations}}


def _view(cluster: Cluster, settings: Settings, review_app: Object) -> View:
    journal = Journal(cluster, settings.namespace)
    journal.load()
    stack = asked_stack(review_app)
    jobs, pods = (
        cluster.list(kind, settings.build_namespace, stack_label_selector(stack))[0] if stack else []
        for kind in (JOBS, PODS)
    )
    return View(
        review_app=review_app,
        entry=journal.get(review_app["metadata"]["name"]),
        holder=journal.holder(stack) if stack else None,
        host_holder=journal.host_holder(app) if (app := asked_app(review_app)) else None,
        jobs=jobs,
        pods=pods,
        tls=_tls(cluster, settings.tls_secret),
    )


def _tls(cluster: Cluster, secret: str | None) -> TLS | None:
    if secret is None:
        return None
    namespace, name = secret.split("/", 1)
    # A list, as the watcher's informer asks for: that is the right that there is.
    found, _ = cluster.list(SECRETS, namespace, name=name)
    return certificate(found[0] if found else None)


def _require_update(view: View, inputs: StackInputs) -> None:
    if deleting(view.review_app):
        raise NotPreviewed(f"ReviewApp {view.name} is being deleted: nothing is made for it any more")
    entry = view.entry
    if entry and (entry.inputs.stack != inputs.stack or entry.phase in {"destroying", "destroyed"}):
        raise NotPreviewed(
            f"the stack {entry.inputs.stack} of the last ReviewApp {view.name} is on its way out: wait until it is gone"
        )


def _assumptions(view: View, spec: Spec, inputs: StackInputs, *, built: bool) -> Iterator[str]:
    commit = spec.commit_hash[:12]
    if built:
        yield f"the build of commit {commit} has succeeded"
    elif inputs.build and (
        inputs.workload.built_as != inputs.build.image or not (inputs.workload.replicas or view.paused)
    ):
        yield f"the build of commit {commit} has not succeeded yet: what comes after it is shown with --built"


def _under_way(entry: Entry | None) -> list[str]:
    if entry and entry.phase == "applying":
        return ["what an update changes that is under way, has failed or was cut off"]
    return []


def _conditions(
    cluster: Cluster, settings: Settings, spec: Spec, inputs: StackInputs, missing: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    """Return what makes an update fail, and of what that could not be seen."""
    obstacles: list[str] = []
    unseen: list[str] = []
    for target, look in _looks(cluster, settings, spec, inputs, missing):
        try:
            look()
        except (ApplyRefused, ForeignObject, SpecRefused) as error:
            obstacles.append(str(error))
        except ApiRefused as error:
            unseen.append(f"{target}: {error}")
    return obstacles, unseen


def _looks(
    cluster: Cluster, settings: Settings, spec: Spec, inputs: StackInputs, missing: tuple[str, ...]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "what the rules allow", partial(require_allowed, spec, settings)
    for name in namespaces(inputs):
        if inputs.own_namespace and name == inputs.namespace:
            # The update makes it.
            continue
        yield f"whether namespace {name} is there", partial(require_namespace, cluster, name)
    repository = f"{spec.repo_owner}/{spec.repo}"
    yield f"whether namespace {spec.config.namespace} is open to {repository}", partial(_require_open, cluster, spec)
    if settings.named_objects == "labelled":
        yield "whether what the config names is shared", partial(require_shared, cluster, spec)
    yield "whether the Secrets of the build are there", partial(require_build_secrets, missing)
    for manifest in manifests(inputs):
        look = partial(is_there, cluster, inputs.stack, manifest)
        yield f"whether {name_of(manifest)} is somebody else's", look


def _require_open(cluster: Cluster, spec: Spec) -> None:
    namespace = cluster.get(NAMESPACES, None, spec.config.namespace)
    # That it is not there has been said.
    if namespace:
        require_open(spec, section(namespace, "metadata", "annotations"))
