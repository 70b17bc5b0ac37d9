"""What is there without a ReviewApp that asks for it: objects of stacks, and stacks of the backend.

Compared with what ReviewApps ask for and the journal has, at the start of a term and every so often. Told of by metric,
log and Event, and left where it is: `reviewapp doctor --fix` removes it. What the journal has and no ReviewApp asks for
is destroyed by the controller.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import structlog

from watcher.cluster import NAMESPACES, Cluster, Object
from watcher.events import record
from watcher.metrics import LEFTOVERS
from watcher.observation import Observation
from watcher.status import Event

_log = structlog.get_logger()
_REMEDY = "see whose it is; `reviewapp doctor --fix` removes what this program made"


class Leftovers:
    """Looks for what is left over. What is on its way out is seen once; what is there at the next look is left over.

    Args:
        cluster: where Events are written.
        observation: what is there.
        namespace: the watcher's, which stands for the backend.
        known: the stacks that somebody asks for, or that the journal has.
        stack_names: the stacks of the backend.
    """

    def __init__(
        self,
        cluster: Cluster,
        observation: Observation,
        namespace: str,
        known: Callable[[], Collection[str]],
        stack_names: Callable[[], Collection[str]],
    ) -> None:
        self._cluster = cluster
        self._observation = observation
        self._namespace = namespace
        self._known = known
        self._stack_names = stack_names
        self._before: set[tuple[str, str, str]] = set()
        self._told: set[tuple[str, str, str]] = set()

    def look(self) -> set[tuple[str, str, str]]:
        """Look once; tell of what was there at the last look too, and return it: what, of which stack, and where."""
        # Before what is known: a stack that is made meanwhile is known by then.
        found = {
            (f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}", stack, _place(item))
            for stack, item in self._observation.parts()
        }
        found |= {(f"stack {name} of the backend", name, self._namespace) for name in self._stack_names()}
        known = set(self._known())
        now = {one for one in found if one[1] not in known}
        lasting = now & self._before
        self._before = now
        for kind, count in (
            ("object", sum(not one[0].startswith("stack ") for one in lasting)),
            ("stack", sum(one[0].startswith("stack ") for one in lasting)),
        ):
            LEFTOVERS.labels(kind).set(count)
        for what, stack, namespace in sorted(lasting - self._told):
            self._tell(what, stack, namespace)
        self._told = lasting
        return lasting

    def _tell(self, what: str, stack: str, namespace: str) -> None:
        message = f"{what} is of stack {stack}, which no ReviewApp asks for: {_REMEDY}"
        _log.warning("left_over", what=what, stack=stack)
        where = self._cluster.get(NAMESPACES, None, namespace)
        if where:
            record(
                self._cluster, {"apiVersion": "v1", "kind": "Namespace"} | where, Event("Warning", "LeftOver", message)
            )


def _place(item: Object) -> str:
    return item["metadata"]["namespace"]
