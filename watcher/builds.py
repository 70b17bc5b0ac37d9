"""Which build a ReviewApp's commit has, and what came out of it. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from provisioner.databases import Operators
from provisioner.desired import wanted_build
from provisioner.review_app import Spec
from provisioner.settings import StackSettings
from stacks import naming
from stacks.build_step import BUILD_CONTAINER
from stacks.crane import PULL_CACHE_CONTAINER, PUSH_CACHE_CONTAINER, PUSH_CONTAINER
from stacks.inputs import Build, BuildSecret, StackInputs
from watcher.cluster import Object, entries, section
from watcher.conditions import job_pods, job_state

_BY_DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Lookups:
    """What was looked up elsewhere for one ReviewApp, because its next step depends on it.

    Attributes:
        image: `<repository>@sha256:…`, where the image of the wanted build is in the registry already.
        cache: `<repository>@sha256:…` of the layers of an earlier build, where there are any.
        secrets: what the Secrets hold that the wanted build may use, in Base64, by their names and keys.
        missing: those of them that are not there, empty, or not to be read, as namespace/name.
        operators: what the cluster has of the operator that is to run the database, where one is.
        password: of a database that has none yet.
        place: where the wanted build stands in the queue of builds; None where it is not to wait.
        lines: the last lines of what failed in it, without secrets.
    """

    image: str | None = None
    cache: str | None = None
    secrets: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict[str, Mapping[str, str]])
    missing: tuple[str, ...] = ()
    operators: Operators | None = None
    password: SecretStr | None = None
    place: str | None = None
    lines: str | None = None


NOTHING_FOUND = Lookups()
"""What is known of what nobody looked for."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The build of the commit that a ReviewApp asks for.

    Attributes:
        build: the build.
        is_known: whether it is the one that the stack was last asked to declare.
        is_deployed: whether what runs came out of it.
        has_succeeded: whether its Job has.
        has_ended: whether its Job has, well or not.
        reported: `<repository>@sha256:…` as its Pod reported it, while that is there.
        reported_cache: the same of its layers.
    """

    build: Build
    is_known: bool
    is_deployed: bool
    has_succeeded: bool
    has_ended: bool
    reported: str | None
    reported_cache: str | None

    @property
    def lacks_secrets(self) -> bool:
        """Whether it is under way or to come, without what the Secrets hold that it may use."""
        is_over = self.has_ended or self.is_deployed or self.build.existing
        return not is_over and any(not one.data for one in self.build.secrets)

    @property
    def needs_turn(self) -> bool:
        """Whether it has not begun, so that others can go first; one that was let go never waits again."""
        return self.build.waits or not (self.is_known or self.has_ended or self.is_deployed or self.build.existing)


def find_job(jobs: Sequence[Object], name: str) -> Object | None:
    """Return the Job of that name."""
    return next((job for job in jobs if job["metadata"]["name"] == name), None)


def is_of(inputs: StackInputs, build: Build) -> bool:
    """Whether what is deployed came out of this build."""
    running = inputs.workload
    return bool(running.replicas) and (running.commit, running.built_as) == (build.commit, build.image)


def wanted(
    review_app: Object,
    spec: Spec,
    settings: StackSettings,
    previous: StackInputs | None,
    jobs: Sequence[Object],
    pods: Sequence[Object],
) -> Wanted:
    """Return the build of the spec's commit: the one that is known, unless it failed or another attempt is asked for.

    A commit is built once: new settings or a freshly signed address are no reason to build it again.

    Args:
        review_app: the object itself, for its annotations.
        spec: its spec.
        settings: the installation's.
        previous: what its stack was last asked to declare.
        jobs: the stack's build Jobs.
        pods: the stack's Pods.

    Raises:
        SpecRefused: the spec does not say what to build.
    """
    known = previous.build if previous and previous.build and previous.build.commit == spec.commit_hash else None
    token = section(review_app, "metadata", "annotations").get(naming.REBUILD_ANNOTATION)
    # Somebody who takes the annotation away asks for nothing.
    attempt = naming.attempt(token) if token else known.attempt if known else ""
    is_known = known is not None and known.attempt == attempt
    if known and is_known and job_state(find_job(jobs, known.job_name)) != "failed":
        build = known
    else:
        build = wanted_build(spec, settings, attempt)
        if known and is_known:
            # Its Job stays as it is, unless the spec or a setting says otherwise, or it wants for layers that are lost.
            is_lost = _has_failed(job_pods(pods, known.job_name), PULL_CACHE_CONTAINER)
            build = build.model_copy(update={"cache_from": "" if is_lost else known.cache_from})
    running = previous.workload if previous and previous.workload.replicas else None
    state = job_state(find_job(jobs, build.job_name))
    has_succeeded = state == "succeeded"
    ended_pods = job_pods(pods, build.job_name) if has_succeeded else []
    return Wanted(
        build=build,
        is_known=is_known,
        is_deployed=running is not None and (running.commit, running.built_as) == (spec.commit_hash, build.image),
        has_succeeded=has_succeeded,
        has_ended=state in {"succeeded", "failed"},
        reported=_reported_by_kaniko(ended_pods, build)
        if build.builder == "kaniko"
        else _reported(ended_pods, PUSH_CONTAINER),
        reported_cache=_reported(ended_pods, PUSH_CACHE_CONTAINER),
    )


def with_lookups(wanted: Wanted, lookups: Lookups) -> Build:
    """Return the build with what was looked up for it; what its Secrets hold goes with its end."""
    build = wanted.build
    changes: dict[str, object] = {}
    if not wanted.is_known and lookups.image:
        changes["existing"] = lookups.image
    elif not wanted.is_known and lookups.cache:
        changes["cache_from"] = lookups.cache
    is_over = wanted.has_ended or wanted.is_deployed or "existing" in changes or build.existing
    changes["waits"] = wanted.needs_turn and not is_over and lookups.place is not None
    if build.secrets:
        held = {} if is_over else {one.name: one.data for one in build.secrets if one.data} | dict(lookups.secrets)
        changes["secrets"] = tuple(
            BuildSecret(name=one.name, data=dict(held.get(one.name, {}))) for one in build.secrets
        )
    return build.model_copy(update=changes)


def _has_failed(pods: Sequence[Object], container: str) -> bool:
    """Whether the newest Pod ended because of an init container."""
    return any(
        status["name"] == container and section(status, "state", "terminated").get("exitCode")
        for status in (entries(pods[-1], "status", "initContainerStatuses") if pods else ())
    )


def _reported_by_kaniko(pods: Sequence[Object], build: Build) -> str | None:
    """Return what came out of it. Its steps can write its last word, so that chooses among its repository's alone."""
    said = _reported(pods, BUILD_CONTAINER)
    return said and f"{build.image.rpartition(':')[0]}@{said.rpartition('@')[2]}"


def _reported(pods: Sequence[Object], container: str) -> str | None:
    """Return what a container that pushed left as its last word."""
    for pod in reversed(pods):
        for status in entries(pod, "status", "containerStatuses"):
            ended = section(status, "state", "terminated")
            # crane ends it with a line break.
            said = (ended.get("message") or "").strip()
            if status["name"] == container and ended.get("exitCode") == 0 and _BY_DIGEST.fullmatch(said):
                return said
    return None
