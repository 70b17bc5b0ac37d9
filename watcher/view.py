"""What is known of one ReviewApp at one moment: what is decided by, and what its status tells of. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from provisioner.errors import ReviewAppError
from stacks import naming
from stacks.inputs import TLS, StackInputs
from watcher.builds import NOTHING_FOUND, Lookups
from watcher.cluster import Object, section
from watcher.journal import Entry
from watcher.places import TooManyApps


@dataclasses.dataclass(frozen=True)
class Failure:
    """An update that failed, and when (Unix time) the same inputs are tried again.

    Attributes:
        digest: of the inputs.
        error: why.
        retry_at: when.
        tries: how often they were tried.
        is_seen: whether what stands in the way can be asked for, so that no engine runs before it has gone.
    """

    digest: str
    error: ReviewAppError
    retry_at: float
    tries: int = 1
    is_seen: bool = False


@dataclasses.dataclass(frozen=True)
class View:
    """All that is known of one ReviewApp at one moment.

    Attributes:
        review_app: the object itself.
        entry: the journal's last word on its stack.
        holder: the ReviewApp that has the stack this one asks for, if any.
        host_holder: the ReviewApp that has the host this one asks for, if any.
        jobs: the build Jobs that carry the stack's label.
        deployment: the stack's Deployment.
        pods: all Pods that carry the stack's label, of builds and of the app.
        tls: the wildcard certificate, where the settings name one and it is there.
        failure: the last engine run, if it failed.
        namespace: the namespace that the spec names, if it is there.
        lookups: what was looked up for the next step.
        crowded: why it has no place among the review apps that may live, if so.
        databases: what carries the stack's label of the kinds that run databases.
    """

    review_app: Object
    entry: Entry | None = None
    holder: str | None = None
    host_holder: str | None = None
    jobs: Sequence[Object] = ()
    deployment: Object | None = None
    pods: Sequence[Object] = ()
    tls: TLS | None = None
    failure: Failure | None = None
    namespace: Object | None = None
    lookups: Lookups = NOTHING_FOUND
    crowded: TooManyApps | None = None
    databases: Sequence[Object] = ()

    @property
    def name(self) -> str:
        """The ReviewApp's name."""
        return self.review_app["metadata"]["name"]

    @property
    def deleting(self) -> bool:
        """Whether somebody asked for the ReviewApp's deletion."""
        return "deletionTimestamp" in self.review_app["metadata"]

    @property
    def claimed(self) -> bool:
        """Whether our finalizer is on it."""
        return naming.FINALIZER in self.review_app["metadata"].get("finalizers", [])

    @property
    def previous(self) -> StackInputs | None:
        """What the stack that the ReviewApp asks for was last asked to declare."""
        spec = section(self.review_app, "spec")
        if self.entry is None or not {"repoOwner", "repo", "pr"} <= spec.keys():
            return None
        stack = naming.stack_name(spec["repoOwner"], spec["repo"], spec["pr"])
        return self.entry.inputs if self.entry.inputs.stack == stack else None

    @property
    def paused(self) -> bool:
        """Whether somebody asked for it not to run."""
        return section(self.review_app, "metadata", "annotations").get(naming.PAUSED_ANNOTATION) == "true"

    @property
    def orphaned(self) -> bool:
        """Whether somebody asked for its deletion to leave what it has."""
        return section(self.review_app, "metadata", "annotations").get(naming.ORPHAN_ANNOTATION) == "true"
