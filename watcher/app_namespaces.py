"""The namespaces in which apps are: had ready before an update, cleared after a destroy, shared or an app's own."""

from __future__ import annotations

import structlog

from provisioner.errors import ApplyRefused, ForeignObject
from provisioner.review_app import Spec
from provisioner.settings import Settings
from stacks import naming
from stacks.inputs import StackInputs
from watcher import own_namespaces
from watcher.bindings import Bindings
from watcher.cluster import Cluster, Object
from watcher.journal import Entry, Journal
from watcher.observation import asked_app, asked_stack
from watcher.preconditions import require_namespaces, require_shared

_log = structlog.get_logger()


class AppNamespaces:
    """Has namespaces ready for stacks, with our rights in them.

    Args:
        cluster: where.
        settings: the installation's.
        bindings: the rights.
    """

    def __init__(self, cluster: Cluster, settings: Settings, bindings: Bindings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._bindings = bindings

    def take(self, review_app: str, inputs: StackInputs, spec: Spec) -> None:
        """Have a stack's namespace ready, with our rights and what its config names in it.

        Raises:
            ApplyRefused, ForeignObject: it can't be.
        """
        own = inputs.own_namespace
        if own:
            own_namespaces.make(self._cluster, inputs, own)
            self._bindings.take(review_app, own.home)
        require_namespaces(self._cluster, inputs)
        self._bindings.take(review_app, inputs.namespace)
        if self._settings.named_objects == "labelled":
            require_shared(self._cluster, spec)
        if own:
            own_namespaces.furnish(self._cluster, inputs, own, spec)

    def leave_others(self, entry: Entry | None, inputs: StackInputs) -> None:
        """Delete a namespace that an app had for itself before, and has no more."""
        others = {*(entry.namespaces if entry else ())} - {inputs.namespace, self._settings.build_namespace}
        own_namespaces.remove(self._cluster, inputs.stack, others)

    def refresh(self, entry: Entry, spec: Spec) -> None:
        """Have copies follow what they are copies of; what can't be copied any more stays as it was."""
        own = entry.inputs.own_namespace
        if own is None:
            return
        try:
            if self._settings.named_objects == "labelled":
                require_shared(self._cluster, spec)
            own_namespaces.refresh(self._cluster, entry.inputs, own, spec)
        except (ApplyRefused, ForeignObject) as error:
            _log.warning("not_copied", review_app=entry.review_app, error=str(error))

    def may_clear(self, review_app: str, place: str, entry: Entry | None) -> bool:
        """Have the rights to take away what a stack has in a namespace; return whether that could be.

        Raises:
            ApplyRefused: it could not, and the journal says that the stack may have something there.
        """
        if place == self._settings.build_namespace:
            return True
        try:
            self._bindings.take(review_app, place)
        except ApplyRefused as error:
            if entry:
                raise
            # It asked for a namespace that was never open to it.
            _log.info("never_let_in", review_app=review_app, namespace=place, error=str(error))
            return False
        return True

    def clear_unnoted(self, review_app: Object | None, journal: Journal) -> list[str]:
        """Delete the namespace that was made for an app of which the journal knows nothing, since it came no further.

        Returns:
            What is still on its way out, as `Namespace <name>`.
        """
        app, stack = asked_app(review_app or {}), asked_stack(review_app or {})
        if app is None or stack is None or journal.holder(stack) or journal.host_holder(app):
            return []
        left = own_namespaces.remove(self._cluster, stack, [naming.own_namespace(app)])
        return [f"Namespace {name}" for name in left]


def namespaces_of(entry: Entry) -> tuple[str, ...]:
    """Return the namespaces in which a stack takes rights."""
    own = entry.inputs.own_namespace
    return (*entry.namespaces, own.home) if own else entry.namespaces
