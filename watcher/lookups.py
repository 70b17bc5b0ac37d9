"""Look up what a ReviewApp's next step depends on and no informer knows. Asks only where the answer decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from http import HTTPStatus

from provisioner.errors import SpecRefused
from provisioner.review_app import Spec, parse
from provisioner.settings import StackSettings
from stacks import naming
from stacks.inputs import Build, StackInputs
from watcher import builds
from watcher.build_log import BuildLogs, is_kept
from watcher.builds import NOTHING_FOUND, Lookups, Wanted
from watcher.cluster import SECRETS, ApiRefused, Cluster, section
from watcher.database_lookups import look_up_database
from watcher.registry import Registry
from watcher.turns import Turns
from watcher.view import View

MayRead = Callable[[View, Spec], bool]
"""Whether Secrets of its namespace may be read for a ReviewApp."""


def look_up(
    cluster: Cluster,
    view: View,
    settings: StackSettings,
    registry: Registry,
    may_read: MayRead | None = None,
    turns: Turns | None = None,
    logs: BuildLogs | None = None,
) -> Lookups:
    """Return what is to be known for the next step of a ReviewApp.

    Before a commit is built, whether its image is in the registry: after a revert, or in a pull request that was opened
    again; if it is not, which layers of earlier builds are, and what the Secrets hold that the build may use. After a
    build of which the Pod is gone, what came out of it. Before a database is made, what the cluster has for it.

    Args:
        cluster: where the Secrets are.
        view: what is known of the ReviewApp.
        settings: the installation's.
        registry: where images are.
        may_read: asked before Secrets are read; by default they may be.
        turns: where a build that is to begin takes its turn, or hears where it has to wait.
        logs: what gives the last lines of a build that failed.

    Raises:
        ApiRefused, ClusterUnreachable: a Secret could not be read.
    """
    try:
        spec = parse(view.review_app.get("spec"))
        wanted = builds.wanted(view.review_app, spec, settings, view.previous, view.jobs, view.pods)
    except SpecRefused:
        return NOTHING_FOUND
    operators, password = look_up_database(cluster, view, spec)
    found = _look_up_build(cluster, view, spec, wanted, registry, may_read)
    name = wanted.build.job_name
    lines = place = None
    if logs and not is_kept(view.review_app, name):
        lines = logs.lines(builds.find_job(view.jobs, name), view.pods)
    if turns and wanted.needs_turn and not found.image:
        place = turns.take(view.name, naming.stack_name(spec.repo_owner, spec.repo, spec.pr), name)
    return dataclasses.replace(found, operators=operators, password=password, place=place, lines=lines)


def _look_up_build(
    cluster: Cluster, view: View, spec: Spec, wanted: Wanted, registry: Registry, may_read: MayRead | None
) -> Lookups:
    is_lost = wanted.has_succeeded and not wanted.is_deployed and wanted.reported is None
    image = registry.digest(wanted.build.image) if is_lost or not wanted.is_known else None
    cache = None
    if not wanted.is_known and not image:
        cache = _cache(wanted.build, view.previous, registry)
    if image or not wanted.lacks_secrets or (may_read and not may_read(view, spec)):
        return Lookups(image, cache)
    namespace = spec.config.namespace
    held = {one.name: _data(cluster, namespace, one.name) for one in wanted.build.secrets if not one.data}
    missing = tuple(f"{namespace}/{name}" for name, data in held.items() if not data)
    return Lookups(image, cache, {name: data for name, data in held.items() if data}, missing)


def _data(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    try:
        return section(cluster.get(SECRETS, namespace, name) or {}, "data")
    except ApiRefused as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return {}


def _cache(build: Build, previous: StackInputs | None, registry: Registry) -> str | None:
    """Return the layers of the pull request's last build or, without them, of the repository's newest.

    One that is asked for once more starts from nothing: what it is to mend may be in those layers.
    """
    if not build.cache_to or build.attempt:
        return None
    own = previous.workload.cache if previous else ""
    return (registry.digest(own) if own else None) or registry.digest(build.cache_to)
