"""Processes that are killed, told to end, or paused: watchers, engines, plugins, guards."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress

from tests.chaos.engines import Process, processes
from tests.chaos.faults import Fault, NotReached
from tests.chaos.points import POINTS, Act, Order
from tests.chaos.replica import Replica
from tests.chaos.stage import Stage
from tests.e2e.waiting import until

_REACH_SECONDS = 6.0
_TAKEOVER_SECONDS = 30.0


def _at_a_point(stage: Stage, chosen: random.Random) -> str:
    acts: list[Act] = ["kill", "kill", "kill with engines", "pause"]
    order = Order(chosen.choice(POINTS), chosen.choice(acts), chosen.random() * 1.5)
    name = stage.orders.give(order)
    try:
        with suppress(AssertionError):
            until(lambda: stage.orders.is_taken(name), "the order is taken", _REACH_SECONDS)
    finally:
        withdrawn = stage.orders.withdraw(name)
    if withdrawn:
        raise NotReached(order.point)
    if order.act == "pause":
        _resume_later(stage, chosen)
    return f"{order.act} {order.point}"


def _resume_later(stage: Stage, chosen: random.Random) -> None:
    """Let a watcher that has stopped itself go on: mostly when another has taken over."""
    with suppress(AssertionError):
        paused = until(lambda: next((one for one in stage.replicas if one.is_paused), None), "it is paused", 5)
        _outlast(stage, paused, chosen)


def _outlast(stage: Stage, paused: Replica, chosen: random.Random) -> None:
    try:
        if chosen.random() < 0.25:
            time.sleep(chosen.uniform(1, 6))
        else:
            with suppress(AssertionError):
                until(lambda: stage.other(paused).leads, "the other acts", _TAKEOVER_SECONDS)
                time.sleep(chosen.uniform(0, 2))
    finally:
        paused.send(signal.SIGCONT)


def _leader(number: signal.Signals) -> Fault:
    def inject(stage: Stage, chosen: random.Random) -> str:
        leader = stage.leader()
        pid = leader.pid
        leader.send(number)
        return f"{leader.host}, process {pid}"

    return Fault(f"leader {number.name}", "signals", inject, 2.0)


def _leader_with_engines(stage: Stage, chosen: random.Random) -> str:
    leader = stage.leader()
    engines = leader.engines()
    leader.send(signal.SIGKILL)
    found = [process for process in processes(stage.folder) if process.pid in engines or process.kind == "plugin"]
    for process in found:
        process.send(signal.SIGKILL)
    return f"{leader.host} with {len(found)} engines and plugins"


def _both(stage: Stage, chosen: random.Random) -> str:
    for replica in stage.replicas:
        replica.send(signal.SIGKILL)
    return "both watchers"


def _standby(stage: Stage, chosen: random.Random) -> str:
    other = stage.other(stage.leader())
    other.send(signal.SIGKILL)
    return other.host


def _pause_leader(stage: Stage, chosen: random.Random) -> str:
    leader = stage.leader()
    leader.send(signal.SIGSTOP)
    _outlast(stage, leader, chosen)
    return leader.host


def _one(stage: Stage, chosen: random.Random, *kinds: str) -> list[Process]:
    """Return one process of each kind, where there is one; wait a little for the first kind."""

    def look() -> list[Process]:
        return [process for process in processes(stage.folder) if process.kind in kinds]

    with suppress(AssertionError):
        until(lambda: any(process.kind == kinds[0] for process in look()), "one runs", _REACH_SECONDS)
    time.sleep(chosen.random() * 0.5)
    found = look()
    picked = [[process for process in found if process.kind == kind] for kind in kinds]
    if not picked[0]:
        raise NotReached(kinds[0])
    return [chosen.choice(some) for some in picked if some]


def _of(number: signal.Signals, *kinds: str) -> Fault:
    def inject(stage: Stage, chosen: random.Random) -> str:
        found = _one(stage, chosen, *kinds)
        for process in found:
            process.send(number)
        return ", ".join(f"{process.kind} {process.pid}" for process in found)

    return Fault(f"{' and '.join(kinds)} {number.name}", "signals", inject)


def _pause_engine(stage: Stage, chosen: random.Random) -> str:
    (engine,) = _one(stage, chosen, "engine")
    engine.send(signal.SIGSTOP)
    time.sleep(chosen.uniform(1, 15))
    engine.send(signal.SIGCONT)
    return f"engine {engine.pid}"


FAULTS = (
    Fault("point", "named points", _at_a_point, 16.0),
    _leader(signal.SIGKILL),
    _leader(signal.SIGTERM),
    Fault("leader and engines SIGKILL", "signals", _leader_with_engines, 2.0),
    Fault("both watchers SIGKILL", "signals", _both),
    Fault("standby SIGKILL", "signals", _standby, 0.5),
    Fault("leader SIGSTOP", "signals", _pause_leader, 2.0),
    _of(signal.SIGKILL, "engine"),
    _of(signal.SIGKILL, "plugin"),
    _of(signal.SIGKILL, "engine", "plugin"),
    _of(signal.SIGTERM, "engine"),
    _of(signal.SIGKILL, "guard"),
    Fault("engine SIGSTOP", "signals", _pause_engine),
)
