"""Parts of the node that are killed and come again a few seconds later."""

from __future__ import annotations

import random
import time

from dev import cluster
from tests.chaos.faults import Fault
from tests.chaos.stage import Stage


def _killed(part: str, weight: float) -> Fault:
    def inject(stage: Stage, chosen: random.Random) -> str:
        seconds = chosen.uniform(0, 4)
        with cluster.without(part):
            time.sleep(seconds)
        return f"away for {seconds:.1f} s and its start"

    return Fault(f"{part} SIGKILL", "node", inject, weight, is_shared=True)


FAULTS = (_killed("kubelet", 1.0), _killed("kube-apiserver", 1.5), _killed("etcd", 1.0))
