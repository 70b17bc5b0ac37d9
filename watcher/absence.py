"""The absence of watchers: hold their Lease, and the data folder, for as long as something is done without them."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import typer

from provisioner.backend import in_use
from provisioner.errors import ReviewAppError
from provisioner.settings import Settings
from watcher import lease
from watcher.cluster import LEASES, Cluster
from watcher.leadership import Elector, Term
from watcher.lease import Identity

_POLL_SECONDS = 0.5
_ELECTION_SECONDS = 2.0
# More than the Lease of a watcher that was killed lasts, as far as it is not seen to be gone before.
_TAKE_SECONDS = 20.0


@contextmanager
def no_watcher(settings: Settings) -> Generator[Callable[[], None]]:
    """Keep watchers from acting during the block; yield what is to be called before each step.

    It raises NotLeading where they can't be kept any longer. Where the cluster can't be asked, that is said, and only
    watchers that work with the same data folder are kept.

    Raises:
        DataFolderInUse: a watcher works with the data folder.
        ReviewAppError: a watcher acts, or the Lease can't be taken.
    """
    with in_use(settings.data_folder, alone=True):
        try:
            leads = _leads(Cluster.from_environment(), settings.namespace)
        except ReviewAppError as error:
            typer.echo(f"note: whether a watcher runs elsewhere could not be seen ({error})", err=True)
            yield lambda: None
            return
        if leads:
            command = f"kubectl -n {settings.namespace} scale deployment/reviewapp --replicas=0"
            raise ReviewAppError(f"a watcher runs in namespace {settings.namespace}: stop it first, with `{command}`")
        with _leading(settings.namespace) as term:
            yield term.require


@contextmanager
def _leading(namespace: str) -> Generator[Term]:
    """Hold the Lease, as a watcher does that leads."""
    terms: queue.SimpleQueue[Term] = queue.SimpleQueue()
    elector = Elector(
        Cluster.from_environment(_ELECTION_SECONDS), namespace, Identity.of_this_process(), terms.put, _nothing
    )
    elector.stand()
    elector.start()
    try:
        try:
            term = terms.get(timeout=_TAKE_SECONDS)
        except queue.Empty:
            raise ReviewAppError(
                f"the Lease {namespace}/{lease.NAME} can't be taken, so that a watcher could start meanwhile: see that "
                "the namespace is there, and that you may write Leases in it"
            ) from None
        yield term
    finally:
        elector.release()
        elector.stop()


def _nothing(_until: float) -> None:
    """Take no notice of a renewal: no engine is guarded by it."""


def _leads(cluster: Cluster, namespace: str) -> bool:
    """Whether a watcher holds the Lease: one that was killed is seen not to renew it."""
    first = cluster.get(LEASES, namespace, lease.NAME)
    if first is None or not lease.read(first).holder or lease.is_gone(lease.read(first).holder):
        return False
    deadline = time.monotonic() + lease.read(first).seconds
    while time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        now = cluster.get(LEASES, namespace, lease.NAME)
        if now is None or not lease.read(now).holder:
            return False
        if lease.read(now).version != lease.read(first).version:
            return True
    return False
