"""The election, with a clock that the test turns: who leads when, and that no two ever do."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.watcher.leases import Clock, Leases
from watcher import lease
from watcher.leadership import MARGIN_SECONDS, Elector, NotLeading, Term
from watcher.lease import DURATION_SECONDS, Identity

HOLDS = DURATION_SECONDS - MARGIN_SECONDS


class Candidate:
    """An elector, stepped by hand, and what it told."""

    def __init__(
        self, store: Leases, name: str, clock: Clock | None = None, gone: frozenset[str] = frozenset()
    ) -> None:
        self.clock = clock or Clock()
        self.terms: list[Term] = []
        self.renewed: list[float] = []
        self.identity = Identity(name, 1, 1, "00")
        self.elector = Elector(
            store,
            "system",
            self.identity,
            self.terms.append,
            self.renewed.append,
            clock=self.clock,
            is_gone=lambda holder: holder in gone,
        )
        self.elector.stand()

    def step(self, seconds: float = 0.0) -> float:
        self.clock.now += seconds
        return self.elector.step()


@pytest.fixture
def store() -> Leases:
    return Leases()


def test_the_first_takes_it_and_keeps_it(store: Leases) -> None:
    one, two = Candidate(store, "one"), Candidate(store, "two")
    for _ in range(20):
        one.step(2)
        two.step(2)
        assert (one.elector.leads, two.elector.leads) == (True, False)
    assert len(one.terms) == 1
    assert len(one.renewed) == 20


def test_one_that_is_killed_is_followed_when_its_lease_has_run_out(store: Leases) -> None:
    one, two = Candidate(store, "one"), Candidate(store, "two")
    one.step()
    waited = 0.0
    while not two.elector.leads:
        seconds = two.step()
        two.clock.now += seconds
        waited += seconds
        assert waited < 15
    assert waited >= DURATION_SECONDS - 1
    assert store.lease
    assert lease.read(store.lease).terms == 2


def test_one_whose_end_is_proven_is_followed_at_once(store: Leases) -> None:
    one = Candidate(store, "one")
    one.step()
    two = Candidate(store, "two", gone=frozenset({str(one.identity)}))
    two.step()
    assert two.elector.leads


def test_what_is_let_go_is_taken_at_once(store: Leases) -> None:
    one, two = Candidate(store, "one"), Candidate(store, "two")
    one.step()
    two.step()
    one.elector.release()
    assert not one.terms[0].holds
    two.step(1)
    assert two.elector.leads
    # It does not stand again by itself.
    one.step(30)
    assert not one.elector.leads


def test_of_two_at_the_same_moment_one_gets_it(store: Leases) -> None:
    one, two = Candidate(store, "one"), Candidate(store, "two")

    def meanwhile() -> None:
        store.before_write = lambda: None
        two.step()

    store.before_write = meanwhile
    one.step()
    assert (one.elector.leads, two.elector.leads) == (False, True)


def test_a_leader_that_can_not_renew_ends_before_the_lease_does(store: Leases) -> None:
    one, two = Candidate(store, "one"), Candidate(store, "two")
    one.step()
    two.step()
    store.unreachable = True
    for _ in range(int(HOLDS)):
        one.step(1)
    assert one.terms == [one.terms[0], one.terms[0]]
    with pytest.raises(NotLeading):
        one.terms[0].require()
    store.unreachable = False
    two.step(HOLDS)
    assert not two.elector.leads


def test_it_holds_no_longer_from_before_the_answer_to_when_it_was_asked_for(store: Leases) -> None:
    one = Candidate(store, "one")

    def slow() -> None:
        one.clock.now += 5

    store.before_write = slow
    one.step()
    store.before_write = lambda: None
    assert one.terms[0].holds
    one.clock.now += HOLDS - 5
    assert not one.terms[0].holds


def test_a_paused_leader_finds_its_time_over_before_it_looks_at_the_lease(store: Leases) -> None:
    one, two = Candidate(store, "one"), Candidate(store, "two")
    one.step()
    two.step()
    two.step(DURATION_SECONDS)
    one.clock.now += 3_600
    assert not one.terms[0].holds
    assert two.elector.leads
    one.step()
    assert store.holder == str(two.identity)
    assert len(one.terms) == 2
    # Even if nobody had followed, that term would be over.
    one.elector.stand()
    one.step()
    assert not one.elector.leads


def test_a_lost_answer_ends_no_term(store: Leases) -> None:
    one = Candidate(store, "one")
    one.step()
    store.loses_answers = True
    one.step(2)
    store.loses_answers = False
    assert one.step(1) == 0.0
    one.step()
    assert (one.elector.leads, len(one.terms), len(one.renewed)) == (True, 1, 2)


def test_an_answer_that_was_lost_when_it_was_taken_leads_at_the_next_look(store: Leases) -> None:
    one = Candidate(store, "one")
    store.loses_answers = True
    one.step()
    assert not one.elector.leads
    store.loses_answers = False
    one.step(1)
    assert one.elector.leads


def test_a_lease_that_somebody_deleted_is_made_anew(store: Leases) -> None:
    one = Candidate(store, "one")
    one.step()
    store.lease = None
    one.step(2)
    one.step()
    assert one.elector.leads
    assert store.holder == str(one.identity)


def test_a_lease_that_another_took_ends_the_term_at_once(store: Leases) -> None:
    one = Candidate(store, "one")
    one.step()
    assert store.lease
    store.lease = lease.held(store.lease, "somebody", lease.datetime.datetime.now(lease.datetime.UTC))
    store.lease["metadata"]["resourceVersion"] = "77"
    one.step(2)
    assert not one.elector.leads
    assert not one.terms[0].holds


def test_after_a_lost_term_it_stands_again_only_when_told(store: Leases) -> None:
    one = Candidate(store, "one")
    one.step()
    one.clock.now += 60
    one.step()
    one.step(60)
    assert not one.elector.leads
    one.elector.stand()
    one.step()
    assert one.elector.leads
    assert one.terms[0] is not one.terms[-1]
    assert not one.terms[0].holds


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["step", "pause", "cut", "mend", "release"]), st.sampled_from("abc"), st.floats(0, 5)
        ),
        max_size=120,
    )
)
def test_no_two_lead_whatever_happens(history: list[tuple[str, str, float]]) -> None:
    store, clock = Leases(), Clock()
    # Each reads the same time: a clock that is ahead of another is never compared with it.
    candidates = {name: Candidate(store, name, clock) for name in "abc"}
    for what, name, seconds in history:
        candidate = candidates[name]
        if what == "step":
            candidate.elector.stand()
            candidate.step()
        elif what == "pause":
            clock.now += seconds
        elif what == "release":
            candidate.elector.release()
        else:
            store.unreachable = what == "cut"
        assert sum(one.elector.leads for one in candidates.values()) <= 1
        assert sum(term.holds for one in candidates.values() for term in {*one.terms}) <= 1


class TestIdentity:
    def test_it_reads_what_it_writes(self) -> None:
        identity = Identity.of_this_process()
        assert lease.parse(str(identity)) == identity
        assert lease.parse("a_b_1_2_x") == Identity("a_b", 1, 2, "x")

    @pytest.mark.parametrize("holder", ["", "somebody", "host_x_1_a", "host_1"])
    def test_what_others_write_is_nobody_who_can_be_judged(self, holder: str) -> None:
        assert lease.parse(holder) is None
        assert not lease.is_gone(holder)

    def test_this_process_is_there_and_another_of_its_number_is_gone(self) -> None:
        identity = Identity.of_this_process()
        assert not lease.is_gone(str(identity))
        assert lease.is_gone(str(dataclasses.replace(identity, started=identity.started - 1)))
        assert lease.is_gone(str(dataclasses.replace(identity, pid=4_194_304)))

    def test_of_other_machines_it_says_nothing(self) -> None:
        identity = dataclasses.replace(Identity.of_this_process(), host="other", pid=4_194_304)
        assert not lease.is_gone(str(identity))


@pytest.mark.parametrize(("seconds", "read"), [(None, 10), (0, 10), (-4, 1), (15, 15), (86_400, 60)])
def test_how_long_a_lease_lasts_is_bounded(seconds: int | None, read: float) -> None:
    found = lease.read({"metadata": {"resourceVersion": "1"}, "spec": {"leaseDurationSeconds": seconds}})
    assert found.seconds == read
