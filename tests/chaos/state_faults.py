"""State that is lost or spoiled, locks that nobody holds, a server that has ended: the backend and the work folders.

Nobody notices before an engine works with the stack, so that each is followed by a push.
"""

from __future__ import annotations

import random
import shutil

from dev import postgres
from provisioner.errors import StateUnreachable
from tests.chaos.faults import Fault, NotReached
from tests.chaos.stage import Stage
from tests.chaos.state import Damage, dead_pid

_DAMAGES: tuple[Damage, ...] = ("deleted", "cut off", "emptied", "garbled")


def _stack(stage: Stage, chosen: random.Random) -> str:
    open_ones = {one.pull_request.stack for one in stage.apps()}
    known = sorted(open_ones.intersection(_answered(stage)))
    if not known:
        raise NotReached("no stack is there")
    return chosen.choice(known)


def _answered(stage: Stage) -> list[str]:
    try:
        return stage.state.stacks()
    except StateUnreachable as error:
        raise NotReached(str(error)) from None


def _checkpoint(how: Damage) -> Fault:
    def inject(stage: Stage, chosen: random.Random) -> str:
        stack = _stack(stage, chosen)
        try:
            stage.state.damage(stack, how)
        except (LookupError, StateUnreachable) as error:
            raise NotReached(str(error)) from None
        stage.load.urge(stack)
        return stack

    return Fault(f"checkpoint {how}", "state", inject, 0.7)


def _lock(stage: Stage, chosen: random.Random) -> str:
    stack = _stack(stage, chosen)
    # Of a machine that has run no engine, nobody could say that its process is gone.
    host = stage.leader().host
    try:
        stage.state.plant_lock(stack, host, dead_pid())
    except StateUnreachable as error:
        raise NotReached(str(error)) from None
    stage.load.urge(stack)
    return f"{stack}, of {host}"


def _work_folder(stage: Stage, chosen: random.Random) -> str:
    stack = _stack(stage, chosen)
    shutil.rmtree(stage.state.work_folder(stack), ignore_errors=True)
    stage.load.urge(stack)
    return stack


def _server(stage: Stage, chosen: random.Random) -> str:
    seconds = chosen.uniform(0, 6)
    try:
        stage.servers.restart_postgres(seconds)
    except postgres.Failed as error:
        # It is away already.
        raise NotReached(str(error)) from None
    return f"away for {seconds:.1f} s"


FAULTS = (
    *(_checkpoint(how) for how in _DAMAGES),
    Fault("stale lock", "state", _lock, 1.5),
    Fault("work folder deleted", "state", _work_folder),
)
SERVER = Fault("PostgreSQL ended", "state", _server, 2.0)
"""Only where the state is in a server of ours."""
