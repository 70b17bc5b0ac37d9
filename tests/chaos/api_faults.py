"""An API server that is slow, cut off, silent, refuses, or forgets; and a Lease that somebody else writes."""

from __future__ import annotations

import random
import time

from tests.chaos.faults import Fault, NotReached
from tests.chaos.proxy import MOODS, Mood
from tests.chaos.stage import Stage
from tests.e2e.pull_request import SYSTEM
from watcher import lease
from watcher.cluster import LEASES

# A watch that was made silent is silent for ever: the watcher takes up to a hundred seconds to see it.
_WEIGHTS = {"silent watches": 0.15, "silent": 0.35}


def _mood(name: str) -> Fault:
    def inject(stage: Stage, chosen: random.Random) -> str:
        share, seconds = chosen.choice([0.2, 0.5, 1.0]), chosen.uniform(2, 8)
        before = stage.proxy.troubled
        with stage.proxy.mood(Mood(name, share, chosen.randrange(10**6))):
            time.sleep(seconds)
        if stage.proxy.troubled == before:
            raise NotReached("nobody asked for anything")
        return f"{stage.proxy.troubled - before} requests in {seconds:.1f} s, {share:.0%} of all"

    return Fault(f"API {name}", "API proxy", inject, _WEIGHTS.get(name, 1.0))


def _lease_deleted(stage: Stage, chosen: random.Random) -> str:
    stage.cluster.delete(LEASES, SYSTEM, lease.NAME)
    return "the Lease"


def _lease_taken(stage: Stage, chosen: random.Random) -> str:
    spec = {"holderIdentity": "somebody-else_1_1_00000000", "leaseDurationSeconds": 5}
    stage.cluster.patch(LEASES, SYSTEM, lease.NAME, {"spec": spec})
    return "the Lease"


FAULTS = (
    *(_mood(name) for name in MOODS),
    Fault("Lease deleted", "objects", _lease_deleted, 0.5),
    Fault("Lease taken", "objects", _lease_taken, 0.5),
)
