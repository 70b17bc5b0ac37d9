"""One watcher among several: its view is kept current all the time, and it acts while it leads.

Whatever it needs to act is made anew for each term, from what the cluster has then: the journal, the queue, the
engine's workers. Nothing of an earlier term, this process's own or another's, is taken over but the local view.
"""

from __future__ import annotations

import queue

import structlog

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.engine_guard import EngineGuard
from provisioner.errors import StateUnreachable
from provisioner.inventory import stack_names
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.state_copy import StateMoved
from provisioner.warm_up import warm_up
from watcher.cluster import Cluster
from watcher.controller import Controller
from watcher.informers import Informer
from watcher.leadership import Elector, Term
from watcher.lease import Identity
from watcher.leftovers import Leftovers
from watcher.metrics import IS_LEADER
from watcher.observation import Observation
from watcher.rounds import Rounds

_log = structlog.get_logger()
ELECTION_SECONDS = 2.0
"""Time limit of each request of the election: several must fit into the time that a Lease lasts."""


class Replica:
    """A watcher, from its start to SIGTERM.

    Args:
        cluster: where it works.
        elections: the same cluster by a connection of its own, whose requests end within `ELECTION_SECONDS`.
        settings: the installation's.
        engine: the programs with which stacks are updated.
    """

    def __init__(self, cluster: Cluster, elections: Cluster, settings: Settings, engine: Engine) -> None:
        self._cluster = cluster
        self._settings = settings
        self._engine = engine
        # Terms that begin or end; None to stop. To put is safe in a signal handler.
        self._news: queue.SimpleQueue[Term | None] = queue.SimpleQueue()
        self._controller: Controller | None = None
        self.is_ready = False
        """Whether it acts, or could at once."""
        self._observation = Observation(cluster, settings.tls_secret, settings, self._changed, self._part_changed)
        self._guard = EngineGuard(Backend.homes_of(settings))
        self.elector = Elector(
            elections, settings.namespace, Identity.of_this_process(), self._news.put, self._guard.allow
        )

    @property
    def informers(self) -> list[Informer]:
        """What keeps the local view."""
        return self._observation.informers

    @property
    def controller(self) -> Controller | None:
        """What acts; None while another watcher leads."""
        return self._controller

    def run(self) -> None:
        """Fill the local view, then act whenever this process leads, until `stop`.

        Raises:
            ReviewAppError: a list did not come in time, the journal could not be read, or the stacks were moved to
                another backend.
        """
        self._observation.start()
        warm_up(roles=self._settings.aws_bucket is not None)
        self.elector.start()
        try:
            self.elector.stand()
            self.is_ready = True
            _log.info("standing_by")
            while (term := self._news.get()) is not None:
                if term.holds:
                    self._lead(term)
                self.elector.stand()
        finally:
            self._observation.stop()
            self.elector.stop()
            self._guard.close()

    def stop(self) -> None:
        """Have `run` end: running engines in order, then the term. Returns at once; safe in a signal handler."""
        self._news.put(None)

    def _lead(self, term: Term) -> None:
        """Act until the term ends or `stop` is called; then let the Lease go, if it is still ours."""
        backend = Backend(self._settings, self._engine.within(lambda: term.holds))
        try:
            backend.require_here()
        except StateUnreachable as error:
            # It may be there soon: each update says so for itself until then.
            _log.warning("state_unreachable", error=str(error))
        except StateMoved:
            self.elector.release()
            raise
        stacks = Stacks(backend)
        controller = Controller(self._cluster.fenced(term.require), self._settings, stacks, self._observation, term)
        leftovers = Leftovers(
            self._cluster.fenced(term.require),
            self._observation,
            self._settings.namespace,
            controller.stacks,
            lambda: stack_names(self._settings, self._engine),
        )
        rounds = Rounds(
            {"leftovers": leftovers.look, "state": lambda: controller.look_at_states(backend.lacking_state)}
        )
        self._controller = controller
        IS_LEADER.set(1)
        try:
            controller.start()
            rounds.start()
            _log.info("watching", workers=self._settings.workers)
            if self._news.get() is None:
                _log.info("stopping")
                self._news.put(None)
        finally:
            rounds.stop()
            controller.stop()
            self._controller = None
            IS_LEADER.set(0)
            self.elector.release()

    def _changed(self, name: str) -> None:
        if controller := self._controller:
            controller.look_at(name)

    def _part_changed(self, stack: str) -> None:
        if controller := self._controller:
            controller.part_changed(stack)
