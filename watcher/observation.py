"""The local view of all that a ReviewApp's next step depends on, kept current by informers. Decides nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

from provisioner.errors import ReviewAppError
from provisioner.rules import Rules
from stacks import naming
from watcher.certificate import WildcardCertificate
from watcher.cluster import (
    CNPG_CLUSTERS,
    DEPLOYMENTS,
    JOBS,
    KUBEDB_POSTGRESES,
    NAMESPACES,
    PODS,
    REVIEW_APPS,
    STATEFUL_SETS,
    Cluster,
    Object,
    section,
)
from watcher.informers import Informer
from watcher.journal import Journal
from watcher.places import TooManyApps, waiting
from watcher.turns import Known
from watcher.view import Failure, View

_SYNC_SECONDS = 60.0


class Observation:
    """ReviewApps, the parts of their stacks, and the wildcard certificate, as last seen.

    Args:
        cluster: where to look.
        tls_secret: the wildcard certificate's Secret as namespace/name, if there is to be one.
        rules: how many review apps may live.
        on_review_app: called with the name of each ReviewApp to look at.
        on_part: called with the name of each stack of which a part has changed.
    """

    def __init__(
        self,
        cluster: Cluster,
        tls_secret: str | None,
        rules: Rules,
        on_review_app: Callable[[str], None],
        on_part: Callable[[str], None],
    ) -> None:
        self._on_review_app = on_review_app
        self._on_part = on_part
        self._rules = rules
        self._crowded: dict[str, TooManyApps] = {}
        self._changed = threading.Event()
        self._places_lock = threading.Lock()
        self._review_apps = Informer(cluster, REVIEW_APPS, self._review_app_changed)
        self._jobs, self._deployments, self._pods = (
            Informer(cluster, resource, self._part_changed, naming.STACK_LABEL, naming.STACK_LABEL)
            for resource in (JOBS, DEPLOYMENTS, PODS)
        )
        self._databases = [
            Informer(cluster, resource, self._part_changed, naming.STACK_LABEL, naming.STACK_LABEL)
            for resource in (STATEFUL_SETS, *KUBEDB_POSTGRESES, CNPG_CLUSTERS)
        ]
        self._namespaces = Informer(cluster, NAMESPACES, self._namespace_changed)
        self.informers = [self._review_apps, self._jobs, self._deployments, self._pods, self._namespaces]
        self.informers += self._databases
        self._certificate: WildcardCertificate | None = None
        if tls_secret:
            self._certificate = WildcardCertificate(cluster, tls_secret, self._certificate_changed)
            self.informers.append(self._certificate.informer)

    def start(self) -> None:
        """Start all informers, and wait until each has seen everything once.

        Raises:
            ReviewAppError: a list did not come in time.
        """
        for informer in self.informers:
            informer.start()
        for informer in self.informers:
            if not informer.wait_synced(_SYNC_SECONDS):
                raise ReviewAppError(
                    f"no list of {informer.resource.plural} within {_SYNC_SECONDS:g} s: see the log above"
                )
        if self._certificate:
            self._certificate.warn_if_missing()

    def stop(self) -> None:
        """Ask all informers to end."""
        for informer in self.informers:
            informer.stop()

    def review_app(self, name: str) -> Object | None:
        """Return a ReviewApp; have those looked at that got or lost a place since the last call."""
        self._give_places()
        return self._review_apps.get(name)

    def parts(self) -> Iterator[tuple[str, Object]]:
        """Yield each object of a stack, with the stack's name, of the kinds that are watched everywhere, but Pods."""
        for informer in (self._jobs, self._deployments, *self._databases):
            for item in informer.all():
                yield item["metadata"]["labels"][naming.STACK_LABEL], {"kind": informer.resource.kind} | item

    def stacks_asked_for(self) -> set[str]:
        """Return the names of the stacks that ReviewApps ask for."""
        return {stack for item in self._review_apps.all() if (stack := asked_stack(item))}

    def names(self) -> list[str]:
        """Return the names of all ReviewApps."""
        return [item["metadata"]["name"] for item in self._review_apps.all()]

    def asking_for(self, stack: str) -> list[str]:
        """Return the names of the ReviewApps that ask for this stack; but for one of them, in vain."""
        return [item["metadata"]["name"] for item in self._review_apps.all() if asked_stack(item) == stack]

    def asking_for_host(self, app: str) -> list[str]:
        """Return the names of the ReviewApps that ask for the host of the app of this name."""
        return [item["metadata"]["name"] for item in self._review_apps.all() if asked_app(item) == app]

    def remember(self, review_app: Object) -> None:
        """Take in what a write of ours answered, so that the next look sees it."""
        self._review_apps.remember(review_app)

    def pods(self, stack: str) -> list[Object]:
        """Return all Pods of a stack, of builds and of the app."""
        return self._pods.labelled(stack)

    def builds(self, journal: Journal) -> list[Known]:
        """Return what is known of the build of each stack."""
        found: list[Known] = []
        for entry in journal.all():
            review_app = self._review_apps.get(entry.review_app)
            status = section(review_app or {}, "status")
            is_going = review_app is None or "deletionTimestamp" in review_app["metadata"]
            jobs = self._jobs.labelled(entry.inputs.stack)
            found.append(Known(entry, jobs, status.get("buildStartedAt"), is_going))
        return found

    def view(self, review_app: Object, journal: Journal, failure: Failure | None) -> View:
        """Return all that is known of a ReviewApp."""
        name = review_app["metadata"]["name"]
        entry = journal.get(name)
        stack = asked_stack(review_app) or (entry.inputs.stack if entry else None)
        parts = entry.inputs.stack if entry else stack
        deployments = self._deployments.labelled(parts) if parts else []
        return View(
            review_app=review_app,
            entry=entry,
            holder=journal.holder(stack) if stack else None,
            host_holder=journal.host_holder(app) if (app := asked_app(review_app)) else None,
            jobs=self._jobs.labelled(parts) if parts else [],
            deployment=deployments[0] if deployments else None,
            pods=self._pods.labelled(parts) if parts else [],
            tls=self._certificate.get() if self._certificate else None,
            failure=failure,
            databases=[item for informer in self._databases for item in informer.labelled(parts)] if parts else [],
            namespace=self._namespaces.get(asked_namespace(review_app) or ""),
            crowded=self._crowded.get(name),
        )

    def _give_places(self) -> None:
        with self._places_lock:
            if not self._changed.is_set():
                return
            # Before the look: a change that comes meanwhile asks for another.
            self._changed.clear()
            before, self._crowded = self._crowded, waiting(self._review_apps.all(), self._rules)
            others = {
                name
                for name in before.keys() | self._crowded.keys()
                if str(before.get(name)) != str(self._crowded.get(name))
            }
        for name in others:
            self._on_review_app(name)

    def _review_app_changed(self, item: Object) -> None:
        self._changed.set()
        self._on_review_app(item["metadata"]["name"])

    def _part_changed(self, item: Object) -> None:
        self._on_part(item["metadata"]["labels"][naming.STACK_LABEL])

    def _namespace_changed(self, namespace: Object) -> None:
        name = namespace["metadata"]["name"]
        for item in self._review_apps.all():
            if asked_namespace(item) == name:
                self._on_review_app(item["metadata"]["name"])

    def _certificate_changed(self) -> None:
        for item in self._review_apps.all():
            self._on_review_app(item["metadata"]["name"])


def asked_stack(review_app: Object) -> str | None:
    """Return the name of the stack that a ReviewApp asks for, where its spec names one at all."""
    owner, repository, pull_request = (_asked(review_app, key) for key in ("repoOwner", "repo", "pr"))
    if owner and repository and pull_request:
        return naming.stack_name(owner, repository, pull_request)
    return None


def asked_app(review_app: Object) -> str | None:
    """Return the name of the app that a ReviewApp asks for, where its spec names one at all."""
    repository, pull_request = _asked(review_app, "repo"), _asked(review_app, "pr")
    return naming.app_name(repository, pull_request) if repository and pull_request else None


def asked_namespace(review_app: Object) -> str | None:
    """Return the name of the namespace that a ReviewApp asks for, where its spec names one at all."""
    return _asked(review_app, "config", "namespace")


def _asked(review_app: Object, *path: str) -> str | None:
    """Return a text of a spec of which nobody has looked yet whether it is one."""
    found: Any = review_app.get("spec")
    for key in path:
        found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None
