"""Builds get their turn in a fair order, never more at once than allowed, whatever comes in between."""

from __future__ import annotations

import dataclasses
import random

import pytest

from stacks import naming
from tests.unit.watcher.views import inputs
from watcher.journal import Entry, Phase
from watcher.turns import Known, Turns, Waiting, order, repository_of


def waiting(name: str, repository: str, since: float) -> Waiting:
    return Waiting(name, repository, since)


def names(found: list[Waiting]) -> str:
    return " ".join(one.review_app for one in found)


def test_repositories_take_turns_however_many_builds_one_has() -> None:
    of_a = [waiting(f"a{number}", "o.a", number) for number in range(3)]
    assert names(order([*of_a, waiting("b", "o.b", 10), waiting("c", "o.c", 5)], [])) == "a0 c b a1 a2"


def test_one_that_has_builds_running_comes_later() -> None:
    assert names(order([waiting("a", "o.a", 0), waiting("b", "o.b", 9)], ["o.a"])) == "b a"
    assert names(order([waiting("a", "o.a", 0), waiting("b", "o.b", 9)], ["o.a", "o.b"])) == "a b"


def test_the_one_served_last_comes_last_among_equals() -> None:
    found = [waiting("a", "o.a", 0), waiting("b", "o.b", 9), waiting("c", "o.c", 10)]
    assert names(order(found, [], {"o.a": 5, "o.b": 3})) == "c b a"


def test_among_equals_the_longest_waiting_comes_first_and_the_order_is_one() -> None:
    found = [waiting("b", "o.b", 1), waiting("a", "o.a", 1), waiting("c", "o.c", 0)]
    for seed in range(20):
        random.Random(seed).shuffle(found)
        assert names(order(found, [])) == "c a b"


@dataclasses.dataclass
class Installation:
    """What the journal and the informers would say."""

    known: dict[str, Known] = dataclasses.field(default_factory=dict[str, Known])
    limit: int = 1

    def __post_init__(self) -> None:
        self.turns = self.restarted()

    def restarted(self) -> Turns:
        self.turns = Turns(self.limit, lambda: list(self.known.values()))
        return self.turns

    def stack(self, name: str) -> str:
        return f"o.{name[0]}.{name[1:] or '0'}"

    def write(self, name: str, *, waits: bool, phase: Phase = "applied", since: float | None = None) -> None:
        """Write what the controller does around an update."""
        declared = inputs()
        assert declared.build
        build = declared.build.model_copy(update={"job_name": f"job-{name}", "waits": waits})
        declared = declared.model_copy(update={"stack": self.stack(name), "build": build})
        known = self.known.get(name)
        self.known[name] = Known(
            Entry(name, phase, declared, (), "host"), known.jobs if known else (), since, is_going=False
        )

    def ask(self, name: str) -> str | None:
        return self.turns.take(name, self.stack(name), f"job-{name}")

    def settle(self, name: str, *, is_stuck: bool = False) -> None:
        known = self.known.get(name)
        self.turns.settle(name, known.entry if known else None, is_stuck=is_stuck)

    def reconcile(self, name: str, since: float = 0) -> str | None:
        place = self.ask(name)
        self.write(name, waits=place is not None, phase="applying", since=since)
        self.write(name, waits=place is not None, since=since)
        self.settle(name)
        return place

    def see(self, name: str, condition: str | None = None) -> None:
        status = {"conditions": [{"type": condition, "status": "True"}]} if condition else {}
        job = {"metadata": {"name": f"job-{name}"}, "status": status}
        self.known[name] = dataclasses.replace(self.known[name], jobs=[job])


def test_the_first_goes_and_the_second_waits_until_the_first_has_ended() -> None:
    installation = Installation()
    assert installation.reconcile("a1") is None
    assert installation.reconcile("b1", 1) == "1 of 1 in the queue, while 1 of at most 1 builds run"
    assert installation.reconcile("b2", 2) == "2 of 2 in the queue, while 1 of at most 1 builds run"
    installation.see("a1")
    assert installation.turns.news() == []
    installation.see("a1", "Complete")
    assert installation.turns.news() == ["b1"]
    assert installation.reconcile("b1") is None
    assert installation.turns.news() == ["b2"]  # Another place than it was told.
    assert installation.reconcile("b2", 2) == "1 of 1 in the queue, while 1 of at most 1 builds run"
    assert installation.turns.news() == []


def test_a_restart_changes_nothing() -> None:
    installation = Installation()
    installation.reconcile("a1")
    installation.see("a1")
    installation.reconcile("b1", 1)
    installation.reconcile("c1", 2)
    installation.restarted()
    assert installation.ask("c1") == "2 of 2 in the queue, while 1 of at most 1 builds run"
    installation.see("a1", "Failed")
    installation.restarted()
    assert installation.ask("c1") == "2 of 2 in the queue, while 0 of at most 1 builds run"
    assert installation.ask("b1") is None


def test_a_build_that_was_let_go_counts_before_its_job_is_seen() -> None:
    installation = Installation()
    assert installation.ask("a1") is None
    assert installation.ask("b1") is not None
    installation.write("a1", waits=False)
    installation.settle("a1")
    assert installation.ask("b1") is not None
    # After a restart in the middle of its update as well.
    installation.write("a1", waits=False, phase="applying")
    installation.restarted()
    assert installation.ask("b1") is not None


def test_what_was_let_go_and_did_not_begin_gives_its_place_back() -> None:
    installation = Installation()
    assert installation.ask("a1") is None
    installation.settle("a1", is_stuck=True)
    assert installation.ask("b1") is None


def test_one_that_cannot_begin_holds_up_nobody() -> None:
    installation = Installation()
    installation.reconcile("a1")
    installation.see("a1")
    installation.reconcile("b1", 1)
    installation.reconcile("c1", 2)
    installation.settle("b1", is_stuck=True)
    installation.see("a1", "Complete")
    assert installation.turns.news() == ["c1"]
    assert installation.ask("c1") is None
    # It asks again where it stood, once it can.
    installation.settle("c1")
    assert installation.ask("b1") is None


def test_one_that_is_deleted_leaves_the_queue_and_its_place() -> None:
    installation = Installation()
    installation.reconcile("a1")
    installation.see("a1")
    installation.reconcile("b1", 1)
    installation.reconcile("c1", 2)
    for name in ("a1", "b1"):
        installation.known[name] = dataclasses.replace(installation.known[name], is_going=True)
    assert installation.turns.news() == ["c1"]


def test_a_push_does_not_stand_in_its_own_way() -> None:
    installation = Installation()
    installation.reconcile("a1")
    installation.see("a1")
    assert installation.ask("a1") is None


def test_without_a_limit_nobody_waits() -> None:
    turns = Turns(None, list)
    assert [turns.take(f"a{number}", f"o.a.{number}", "job") for number in range(50)] == [None] * 50
    assert turns.news() == []


@pytest.mark.parametrize("seed", range(20))
def test_never_more_than_allowed_and_everyone_in_the_end(seed: int) -> None:
    chance = random.Random(seed)
    limit = chance.randint(1, 3)
    installation = Installation(limit=limit)
    everyone = [f"{repository}{number}" for repository in "abc" for number in range(4)]
    chance.shuffle(everyone)
    running: set[str] = set()
    ended: list[str] = []
    for name in everyone:
        if installation.reconcile(name, len(ended)) is None:
            running.add(name)
    for _ in range(500):
        assert len(running) <= limit
        if chance.random() < 0.1:
            for name in running:
                # What was made is seen before anything is decided: informers are full then.
                installation.see(name)
            installation.restarted()
            for name in everyone:
                if name not in running and name not in ended and installation.reconcile(name) is None:
                    running.add(name)
            continue
        if running:
            name = chance.choice(sorted(running))
            installation.see(name, chance.choice(["Complete", "Failed"]))
            running.remove(name)
            ended.append(name)
        for name in installation.turns.news():
            if installation.reconcile(name) is None:
                running.add(name)
    assert sorted(ended) == sorted(everyone)


def test_the_repository_of_a_stack() -> None:
    assert repository_of(naming.stack_name("acme", "shop", "42")) == "acme.shop"
