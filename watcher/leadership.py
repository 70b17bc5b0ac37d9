"""Who of several watchers acts: an election by Lease, and the word on whether this one still may.

A leader renews its Lease every two seconds. It may act until `MARGIN_SECONDS` before the Lease runs out, by its own
clock, counted from when it *sent* the last renewal that was taken. Others take the Lease once they have seen no
renewal for its whole duration, by their own clocks. So no two act at once, and no clocks are compared. A process that
was paused finds its time over when it wakes up. Decides nothing about review apps.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

import structlog

from provisioner.engine_guard import boot_clock
from provisioner.errors import ReviewAppError
from watcher import lease as leases
from watcher.cluster import LEASES, ApiRefused, Cluster, Object
from watcher.lease import DURATION_SECONDS, Identity

_log = structlog.get_logger()

MARGIN_SECONDS = 3.0
"""So long before its Lease runs out a leader begins nothing any more and ends its engines.

That is before the engines' guard does, which needs less time.
"""
_RENEW_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_JOIN_SECONDS = 10.0

Clock = Callable[[], float]


class NotLeading(ReviewAppError):
    """This watcher leads no more: whatever it was about to do is another one's."""

    reason = "NotLeading"

    def __init__(self) -> None:
        super().__init__("this watcher does not lead any more: another one goes on")


class Term:
    """One time in office, from taking the Lease to its end. It can't be taken up again.

    Args:
        clock: seconds of the clock that bounds it.
        until: when the Lease runs out, by that clock, if it is not renewed.
    """

    def __init__(self, clock: Clock, until: float) -> None:
        self.began = time.time()
        """Unix time at which it was taken."""
        self._clock = clock
        self._began_at = clock()
        self.until = until
        self._is_over = False

    @property
    def age(self) -> float:
        """For how many seconds it has lasted."""
        return self._clock() - self._began_at

    @property
    def holds(self) -> bool:
        """Whether something may be begun now."""
        return not self._is_over and self._clock() < self.until - MARGIN_SECONDS

    def require(self) -> None:
        """Go on only while it holds.

        Raises:
            NotLeading: it is over.
        """
        if not self.holds:
            raise NotLeading

    def renew(self, until: float) -> None:
        """Let it hold for longer."""
        self.until = until

    def end(self) -> None:
        """Let it never hold again."""
        self._is_over = True


class Elector:
    """Takes and renews the Lease, on a thread of its own, for as long as it is asked to.

    Args:
        store: where the Lease is. Its calls must end within some two seconds.
        namespace: the Lease's.
        identity: who this is.
        on_term: called with each Term that begins, and with that Term again when it ends otherwise than by `release`.
        on_renewed: called with the time, by `clock`, at which the Lease that was just taken or renewed runs out.
        is_gone: whether a holder is proven to have ended.
    """

    def __init__(
        self,
        store: Cluster,
        namespace: str,
        identity: Identity,
        on_term: Callable[[Term], None],
        on_renewed: Callable[[float], None],
        *,
        clock: Clock = boot_clock,
        is_gone: Callable[[str], bool] = leases.is_gone,
    ) -> None:
        self.last_step = time.monotonic()
        """When, by `time.monotonic`, it last looked at the Lease or tried to."""
        self._store = store
        self._namespace = namespace
        self._identity = str(identity)
        self._on_term = on_term
        self._on_renewed = on_renewed
        self._clock = clock
        self._is_gone = is_gone
        self._term: Term | None = None
        self._lease: Object | None = None
        self._stands = False
        # The version of another's Lease, and when it was first seen.
        self._seen: tuple[str, float] = ("", 0.0)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="elector", daemon=True)

    def start(self) -> None:
        """Start looking at the Lease."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the Lease stays as it is."""
        self._stopped.set()
        self._wake.set()
        self._thread.join(_JOIN_SECONDS)

    @property
    def has_died(self) -> bool:
        """Whether the thread was started and runs no more."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def leads(self) -> bool:
        """Whether this process leads now."""
        term = self._term
        return term is not None and term.holds

    def stand(self) -> None:
        """Take the Lease as soon as it is free, once: after the end of a Term, stand again."""
        with self._lock:
            self._stands = True
        self._wake.set()

    def release(self) -> None:
        """End the Term, and let the next one have the Lease at once. For when nothing of the Term is under way.

        Where the Lease can't be written, it runs out by itself.
        """
        with self._lock:
            term, self._term, self._stands = self._term, None, False
            if term is None:
                return
            term.end()
            try:
                # As it is now: the answer to a renewal may have been lost.
                lease = self._store.get(LEASES, self._namespace, leases.NAME)
                if lease and leases.read(lease).holder == self._identity:
                    self._store.replace(LEASES, self._namespace, leases.released(lease))
            except ReviewAppError as error:
                _log.warning("lease_not_released", error=str(error))

    def step(self) -> float:
        """Do what the Lease wants now; return the seconds until the next look."""
        with self._lock:
            self.last_step = time.monotonic()
            if self._term:
                return self._renew(self._term)
            return self._try() if self._stands else _RETRY_SECONDS

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            self._wake.wait(self.step())

    def _try(self) -> float:
        try:
            self._lease = self._store.get(LEASES, self._namespace, leases.NAME)
            if self._lease and not self._is_free(self._lease):
                return _RETRY_SECONDS
            until = self._write(is_new=self._lease is None)
        except ReviewAppError as error:
            if not _is_conflict(error):
                _log.warning("lease_not_taken", error=str(error))
            return _RETRY_SECONDS
        self._stands = False
        self._term = Term(self._clock, until)
        self._on_renewed(until)
        self._on_term(self._term)
        return _RENEW_SECONDS

    def _is_free(self, lease: Object) -> bool:
        record = leases.read(lease)
        if self._seen[0] != record.version:
            self._seen = (record.version, self._clock())
        if record.holder in {"", self._identity} or self._is_gone(record.holder):
            return True
        return self._clock() >= self._seen[1] + record.seconds

    def _renew(self, term: Term) -> float:
        if not term.holds:
            return self._lose(term, "it was not renewed in time")
        try:
            until = self._write(is_new=self._lease is None)
        except ReviewAppError as error:
            if _is_conflict(error) or _is_absent(error):
                return self._look_again(term)
            _log.warning("lease_not_renewed", error=str(error))
            return _RETRY_SECONDS
        term.renew(until)
        self._on_renewed(until)
        return _RENEW_SECONDS

    def _look_again(self, term: Term) -> float:
        """Find out why the Lease is another version: a renewal's answer was lost, or somebody else has it."""
        try:
            self._lease = self._store.get(LEASES, self._namespace, leases.NAME)
        except ReviewAppError as error:
            _log.warning("lease_not_renewed", error=str(error))
            return _RETRY_SECONDS
        if self._lease and leases.read(self._lease).holder != self._identity:
            return self._lose(term, f"{leases.read(self._lease).holder or 'nobody'} has it")
        return 0.0

    def _lose(self, term: Term, why: str) -> float:
        _log.error("leadership_lost", reason=why)
        term.end()
        self._term = None
        self._on_term(term)
        return _RETRY_SECONDS

    def _write(self, *, is_new: bool) -> float:
        """Write the Lease as ours; return when it runs out, counted from before it was sent."""
        until = self._clock() + DURATION_SECONDS
        body = leases.held(self._lease, self._identity, datetime.datetime.now(datetime.UTC))
        self._lease = (self._store.create if is_new else self._store.replace)(LEASES, self._namespace, body)
        return until


def _is_conflict(error: ReviewAppError) -> bool:
    return isinstance(error, ApiRefused) and error.status == HTTPStatus.CONFLICT


def _is_absent(error: ReviewAppError) -> bool:
    return isinstance(error, ApiRefused) and error.status == HTTPStatus.NOT_FOUND
