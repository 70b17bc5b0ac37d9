"""Notice what was changed by hand, and have it put right, or say so: as the setting `drift` has it.

What is not as declared has to stay so for a moment before it counts, since watches tell of an update of ours a little
later than the update itself does. Whoever changes it back again and again is answered later each time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

import structlog

from provisioner.errors import ReviewAppError
from stacks.inputs import StackInputs
from watcher.cluster import Cluster
from watcher.correction import correct
from watcher.drift import Drift, drift
from watcher.events import record
from watcher.metrics import DRIFTS
from watcher.part_metadata import KINDS, PartMetadata
from watcher.status import Event
from watcher.view import View

_log = structlog.get_logger()
_LASTING_SECONDS = 2.0
_LONGEST_SECONDS = 300.0
# So long a correction is remembered, for the next one to wait longer.
_MEMORY_SECONDS = 3_600.0

Mode = Literal["correct", "report", "ignore"]


class DriftWatch:
    """What has drifted, by ReviewApp; each one is asked about by one thread at a time.

    Args:
        cluster: where.
        mode: what is done about it.
        on_change: called with the name of each stack of which an object came, changed or went.
        look_again: has a ReviewApp looked at in so many seconds.
        have_rights: called with a ReviewApp and a namespace before something is done there, and where it can't be seen.
    """

    def __init__(
        self,
        cluster: Cluster,
        mode: Mode,
        on_change: Callable[[str], None],
        look_again: Callable[[str, float], None],
        have_rights: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._mode: Mode = mode
        self._look_again = look_again
        self._have_rights = have_rights
        self._clock = clock
        self._parts = PartMetadata(cluster, on_change)
        self._lock = threading.Lock()
        # By ReviewApp: what was seen, as text, and when first.
        self._seen: dict[str, tuple[str, float]] = {}
        self._told: dict[str, str] = {}
        self._corrected: dict[str, list[float]] = {}

    def follow(self, namespaces: set[str]) -> None:
        """Follow these namespaces of apps, and no others."""
        if self._mode != "ignore":
            self._parts.follow(namespaces)

    def stop(self) -> None:
        """Follow nothing any more."""
        self._parts.stop()

    def step(self, view: View) -> None:
        """Look at a stack that was updated to its inputs, and do about it what is to be done.

        Raises:
            ReviewAppError: it could not be put right.
        """
        entry = view.entry
        if self._mode == "ignore" or entry is None or entry.phase != "applied":
            return
        namespace = entry.inputs.namespace
        if self._parts.is_forbidden(namespace):
            # Somebody has taken them from us, or the namespace was made anew.
            self._have_rights(view.name, namespace)
        found = self._lasting(view, entry.inputs)
        if not found:
            return
        message = "; ".join(str(one) for one in found)
        if self._mode == "report":
            self._tell(view, "Drifted", message)
            return
        DRIFTS.labels("corrected").inc(len(found))
        with self._lock:
            self._corrected.setdefault(view.name, []).append(self._clock())
            self._seen.pop(view.name, None)
        try:
            self._have_rights(view.name, namespace)
            correct(self._cluster, entry.inputs, found)
        except ReviewAppError:
            self._tell(view, "Drifted", message)
            raise
        self._tell(view, "Corrected", message)

    def _lasting(self, view: View, inputs: StackInputs) -> list[Drift]:
        """Return what has drifted for long enough, or nothing yet."""
        name, now = view.name, self._clock()
        parts = self._parts.of(inputs.stack, inputs.namespace)
        if parts is None:
            return []
        jobs = [{"kind": "Job", "metadata": job["metadata"]} for job in view.jobs]
        found = [one for one in drift(inputs, [*parts, *jobs]) if one.key[0] in KINDS | {"Job"}]
        with self._lock:
            if not found:
                self._seen.pop(name, None)
                self._told.pop(name, None)
                return []
            text = "; ".join(str(one) for one in found)
            before, since = self._seen.get(name, ("", now))
            if before != text:
                since = now
            self._seen[name] = (text, since)
            recent = [at for at in self._corrected.get(name, ()) if now - at < _MEMORY_SECONDS]
            self._corrected[name] = recent
            left = since + min(_LONGEST_SECONDS, _LASTING_SECONDS * 2 ** len(recent)) - now
        if left > 0:
            self._look_again(name, left)
            return []
        return found

    def _tell(self, view: View, reason: str, message: str) -> None:
        if self._told.get(view.name) == f"{reason} {message}":
            return
        self._told[view.name] = f"{reason} {message}"
        if reason == "Drifted":
            DRIFTS.labels("found").inc()
        _log.warning(reason.lower(), review_app=view.name, what=message)
        record(self._cluster, view.review_app, Event("Warning", reason, message))
