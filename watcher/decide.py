"""Decide what to do next for one ReviewApp. Pure: no clock, no cluster, no engine.

`decide` is a function of what is, never of what happened: the same view gives the same answer after a
restart, a missed event or the same event twice. `controller.py` gathers the view and acts.
"""

from __future__ import annotations

import dataclasses

from provisioner.databases import Known
from provisioner.desired import stack_inputs
from provisioner.errors import (
    EngineInterrupted,
    EngineKilled,
    EngineTimeout,
    Refusal,
    SpecRefused,
    StackLocked,
)
from provisioner.review_app import Spec, parse
from provisioner.rules import require_allowed
from provisioner.settings import Settings
from provisioner.tenancy import require_open
from stacks import naming
from stacks.inputs import StackInputs
from watcher import builds
from watcher.cluster import section
from watcher.databases import database_attempt, is_ready
from watcher.journal import Entry
from watcher.view import Failure, View

_CUT_OFF = (EngineKilled, EngineTimeout, EngineInterrupted, StackLocked)


@dataclasses.dataclass(frozen=True)
class Nothing:
    """All is as it should be, or only the cluster can bring it further."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """Put our finalizer on the ReviewApp, before anything is made for it."""


@dataclasses.dataclass(frozen=True)
class Refuse:
    """Say what is wrong; make nothing, and leave what runs."""

    error: SpecRefused


@dataclasses.dataclass(frozen=True)
class Wait:
    """Try again at `until` (Unix time), not before."""

    until: float


@dataclasses.dataclass(frozen=True)
class Apply:
    """Bring the stack to `inputs`; first finish the update to `unfinished`, which was cut off."""

    inputs: StackInputs
    unfinished: StackInputs | None


@dataclasses.dataclass(frozen=True)
class Destroy:
    """Destroy the stack, sweep what is left, forget it; then, on a delete, let the ReviewApp go.

    Attributes:
        stack: the stack's name, or None where none was ever made.
        unfinished: the inputs of an update that was cut off; it is finished first, or its objects would be left.
        engine_done: whether the engine has already destroyed the stack.
        namespaces: where the stack may have objects.
    """

    stack: str | None
    unfinished: StackInputs | None
    engine_done: bool
    namespaces: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Abandon:
    """Forget the stack, leave all that it has where it is, and let the ReviewApp go: a human asked for it.

    Attributes:
        stack: the stack's name, or None where none was ever made.
        namespaces: where the stack may have objects.
    """

    stack: str | None
    namespaces: tuple[str, ...]


Action = Nothing | Claim | Refuse | Wait | Apply | Destroy | Abandon


def decide(view: View, settings: Settings, now: float) -> Action:
    """Return the one thing to do next."""
    if view.deleting:
        return _delete(view, settings) if view.claimed else Nothing()
    if not view.claimed:
        return Claim()
    try:
        spec = parse(view.review_app.get("spec"))
        inputs = wanted(view, spec, settings)
    except SpecRefused as error:
        return Refuse(error)
    entry = view.entry
    if entry and (entry.inputs.stack != inputs.stack or entry.phase in {"destroying", "destroyed"}):
        # The name now asks for another pull request, or its last life is not yet cleaned up.
        return _destroy(view, settings)
    if view.crowded and entry and settings.when_full == "oldest-waits":
        return _destroy(view, settings)
    if refused := refusal(view, spec, settings):
        return Refuse(refused)
    if entry and entry.phase == "applied" and entry.digest == inputs.digest():
        return Nothing()
    if view.failure and view.failure.digest == inputs.digest() and now < view.failure.retry_at:
        return Wait(view.failure.retry_at)
    return Apply(inputs, unfinished(entry, view.failure) if entry else None)


def refusal(view: View, spec: Spec, settings: Settings) -> SpecRefused | None:
    """Return why nothing new may be made for a spec as things are, or None where it may."""
    try:
        require_allowed(spec, settings)
        require_open(spec, view.namespace and section(view.namespace, "metadata", "annotations"))
    except SpecRefused as error:
        return error
    return None if view.entry else view.crowded


def decide_orphan(entry: Entry, failure: Failure | None = None) -> Destroy:
    """Return how to clean up after a ReviewApp that went without our finalizer having been asked."""
    return Destroy(entry.inputs.stack, unfinished(entry, failure), entry.phase == "destroyed", entry.namespaces)


def unfinished(entry: Entry, failure: Failure | None) -> StackInputs | None:
    """Return the inputs of an update that was cut off, and so may have made what the state does not know.

    An engine that said why it failed has written all it made; one that was killed has not.
    """
    if entry.phase != "applying":
        return None
    ended = failure is not None and failure.digest == entry.digest and not isinstance(failure.error, _CUT_OFF)
    return None if ended else entry.inputs


def wanted(view: View, spec: Spec, settings: Settings) -> StackInputs:
    """Return what the ReviewApp's stack should declare, given what has been built.

    Raises:
        SpecRefused: the spec can't be met.
    """
    if view.holder not in {None, view.name}:
        raise refuse_second(view, view.holder)
    if view.host_holder not in {None, view.name}:
        raise refuse_host(view, view.host_holder)
    previous = view.previous
    wanted = builds.wanted(view.review_app, spec, settings, previous, view.jobs, view.pods)
    build = builds.with_lookups(wanted, view.lookups)
    built = wanted.is_deployed or wanted.has_succeeded or bool(build.existing)
    image = (wanted.reported or build.existing or view.lookups.image) if built else None
    cache = wanted.reported_cache or (previous.workload.cache if previous else "")
    if wanted.is_deployed and previous:
        # What runs goes on as it is called: another name for the same image would start it anew.
        image, cache = previous.workload.image, previous.workload.cache
    tls = view.tls or (previous.route.tls if previous else None)
    return stack_inputs(
        spec,
        settings,
        previous=previous,
        built=built,
        tls=tls,
        build=build,
        image=image,
        cache=cache,
        paused=view.paused,
        known=_known(view, previous),
    )


def _known(view: View, previous: StackInputs | None) -> Known:
    """Return what is known of the ReviewApp's database."""
    known = Known(
        ready=bool(previous and is_ready(previous, view.databases, view.jobs, view.pods)),
        attempt=database_attempt(view.review_app),
    )
    if view.lookups.operators:
        known = dataclasses.replace(known, operators=view.lookups.operators)
    return dataclasses.replace(known, password=view.lookups.password) if view.lookups.password else known


def refuse_second(view: View, holder: str | None) -> SpecRefused:
    """Return why a ReviewApp can't have the stack that it asks for: the ReviewApp `holder` has it."""
    spec = view.review_app["spec"]
    pull_request = f"{spec['repoOwner']}/{spec['repo']}#{spec['pr']}"
    return SpecRefused([Refusal("spec.pr", pull_request, f"has the ReviewApp {holder} already: delete one of the two")])


def refuse_host(view: View, holder: str | None) -> SpecRefused:
    """Return why a ReviewApp can't have the host that it asks for: `holder`, of another repository, has it."""
    spec = view.review_app["spec"]
    host = naming.app_name(spec["repo"], spec["pr"])
    remedy = f"has a host {host}.… that the ReviewApp {holder} has already: delete that one, or rename the repository"
    return SpecRefused([Refusal("spec.repo", f"{spec['repoOwner']}/{spec['repo']}#{spec['pr']}", remedy)])


def _delete(view: View, settings: Settings) -> Destroy | Abandon:
    action = _destroy(view, settings)
    return Abandon(action.stack, action.namespaces) if view.orphaned else action


def _destroy(view: View, settings: Settings) -> Destroy:
    if view.entry:
        return decide_orphan(view.entry, view.failure)
    # The journal is written before anything is made. Should it have been lost, the spec still names the stack.
    try:
        spec = parse(view.review_app.get("spec"))
        inputs = stack_inputs(spec, settings, previous=None, built=False, tls=None)
    except SpecRefused:
        return Destroy(None, None, engine_done=True, namespaces=())
    if view.holder not in {None, view.name} or view.host_holder not in {None, view.name}:
        return Destroy(None, None, engine_done=True, namespaces=())
    return Destroy(inputs.stack, None, engine_done=False, namespaces=(inputs.namespace, settings.build_namespace))
