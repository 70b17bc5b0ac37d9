"""The election on a real API server: one leads, hands over, and is followed."""

from __future__ import annotations

import queue
import time
from collections.abc import Generator

import pytest

from provisioner.engine_guard import boot_clock
from watcher import lease
from watcher.cluster import LEASES, Cluster
from watcher.leadership import Elector, Term
from watcher.lease import Identity
from watcher.replica import ELECTION_SECONDS

pytestmark = pytest.mark.cluster


class Candidate:
    """An elector that runs, and the terms that it told of."""

    def __init__(self, namespace: str, host: str) -> None:
        self.identity = Identity(host, 1, 1, "00")
        self.terms: queue.SimpleQueue[Term] = queue.SimpleQueue()
        self.renewed: list[float] = []
        store = Cluster.from_environment(ELECTION_SECONDS)
        self.elector = Elector(store, namespace, self.identity, self.terms.put, self.renewed.append)
        self.elector.start()
        self.elector.stand()


@pytest.fixture
def candidates(namespace: str) -> Generator[tuple[Candidate, Candidate]]:
    first = Candidate(namespace, "one")
    first.terms.get(timeout=5)
    pair = (first, Candidate(namespace, "two"))
    yield pair
    for candidate in pair:
        candidate.elector.stop()


def test_one_leads_and_hands_over(cluster: Cluster, namespace: str, candidates: tuple[Candidate, Candidate]) -> None:
    one, two = candidates
    while len(one.renewed) < 2:
        assert two.terms.empty()
        time.sleep(0.05)
    found = cluster.get(LEASES, namespace, lease.NAME)
    assert found
    assert lease.read(found).holder == str(one.identity)
    assert 8 < one.renewed[-1] - boot_clock() <= lease.DURATION_SECONDS
    began = time.monotonic()
    one.elector.release()
    assert two.terms.get(timeout=5).holds
    assert time.monotonic() - began < 3
    assert not one.elector.leads


def test_one_that_renews_no_more_is_followed(candidates: tuple[Candidate, Candidate]) -> None:
    one, two = candidates
    term_of_one = one.elector
    # As a process that was killed: nothing is renewed, and nothing let go.
    term_of_one.stop()
    began = time.monotonic()
    term = two.terms.get(timeout=20)
    assert lease.DURATION_SECONDS - 3 < time.monotonic() - began < 15
    assert term.holds
    assert not one.elector.leads


def test_a_lease_that_was_deleted_is_made_anew(
    cluster: Cluster, namespace: str, candidates: tuple[Candidate, Candidate]
) -> None:
    cluster.delete(LEASES, namespace, lease.NAME)
    deadline = time.monotonic() + 10
    while not (found := cluster.get(LEASES, namespace, lease.NAME)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    leaders = [one for one in candidates if str(one.identity) == lease.read(found).holder]
    assert len(leaders) == 1
