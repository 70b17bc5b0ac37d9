"""The work queue's promises, with a clock that the test turns."""

from __future__ import annotations

import itertools
import threading

from hypothesis import given
from hypothesis import strategies as st

from watcher.queue import WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def take(queue: WorkQueue) -> str:
    key = queue.get()
    assert key is not None
    return key


def test_a_key_is_there_once_however_often_it_is_added() -> None:
    queue = WorkQueue()
    for _ in range(5):
        queue.add("a")
    queue.add("b")
    assert len(queue) == 2
    assert [take(queue), take(queue)] == ["a", "b"]


def test_a_key_added_while_held_comes_back_once_it_is_done() -> None:
    queue = WorkQueue()
    queue.add("a")
    assert take(queue) == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert len(queue) == 1
    assert take(queue) == "a"
    queue.done("a")
    assert len(queue) == 0


def test_a_delayed_key_comes_when_it_is_due() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add_after("late", 10)
    queue.add_after("early", 5)
    queue.add_after("late", 20)  # Later than what is due already: no change.
    clock.now = 5
    assert take(queue) == "early"
    clock.now = 10
    assert take(queue) == "late"


def test_adding_a_key_now_takes_its_delay_away() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add_after("a", 10)
    queue.add("a")
    assert take(queue) == "a"
    queue.done("a")
    clock.now = 11
    queue.add("b")
    assert take(queue) == "b"
    assert len(queue) == 0


def test_retries_come_later_and_later_until_forgotten() -> None:
    queue = WorkQueue(Clock())
    delays = [queue.retry("a") for _ in range(14)]
    assert 0.4 <= delays[0] <= 0.6
    assert all(later > 1.2 * sooner for sooner, later in itertools.pairwise(delays[:8]))
    assert 240 <= delays[-1] <= 360
    queue.forget("a")
    assert queue.retry("a") <= 0.6


def test_close_lets_waiting_workers_go() -> None:
    queue = WorkQueue()
    got: list[str | None] = []
    worker = threading.Thread(target=lambda: got.append(queue.get()))
    worker.start()
    queue.close()
    worker.join(5)
    assert got == [None]


@given(st.lists(st.tuples(st.sampled_from(["add", "later", "get", "done"]), st.sampled_from("abc")), max_size=60))
def test_no_key_is_held_twice_and_none_is_lost(steps: list[tuple[str, str]]) -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    held: list[str] = []
    owed: set[str] = set()
    for step, key in steps:
        if step == "add":
            queue.add(key)
            owed.add(key)
        elif step == "later":
            queue.add_after(key, 1)
            owed.add(key)
        elif step == "get" and len(queue):
            got = take(queue)
            assert got not in held
            held.append(got)
            owed.discard(got)
        elif held:
            queue.done(held.pop())
    for key in held:
        queue.done(key)
    clock.now = 2
    seen: set[str] = set()
    queue.add("end")
    while (got := take(queue)) != "end" or owed - seen:
        seen.add(got)
        if got == "end":
            break
    while len(queue):
        seen.add(take(queue))
    assert owed <= seen
