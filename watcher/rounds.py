"""Looks at what nobody tells of: at the start of a term, and then every so often."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping

import structlog

from provisioner.errors import ReviewAppError

_log = structlog.get_logger()
_FIRST_SECONDS = (5.0, 60.0)
_EVERY_SECONDS = 600.0


class Rounds:
    """Makes looks, one after the other, on a thread of its own.

    Args:
        looks: by what they are after.
    """

    def __init__(self, looks: Mapping[str, Callable[[], object]]) -> None:
        self._looks = looks
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rounds", daemon=True)

    def start(self) -> None:
        """Look in a few seconds, a minute later, and then every ten minutes."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more. A look that is under way goes on."""
        self._stopped.set()

    def _run(self) -> None:
        for wait in itertools.chain(_FIRST_SECONDS, itertools.repeat(_EVERY_SECONDS)):
            if self._stopped.wait(wait):
                return
            for what, look in self._looks.items():
                try:
                    look()
                except ReviewAppError as error:
                    _log.warning("not_looked_at", what=what, error=str(error))
