"""As many faults as told: `make chaos N=100`.

`SEED=` gives the same faults again; `FAULT=` takes those whose names begin so; `STATE=postgres` has the state in a
server that ends too, `STATE=s3` in a bucket.
"""

from __future__ import annotations

import os
import random
import sys
import time

import pytest

from dev.installation import Installation
from dev.sample import Sample
from tests.chaos import state_faults
from tests.chaos.rounds import ALL, Rounds
from tests.chaos.stage import stage
from tests.chaos.versions import Version
from tests.state_servers import KINDS
from watcher.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(0)]

_IN_A_ROUND = 12


def test_faults(cluster: Cluster, installation: Installation, sample: Sample, versions: list[Version]) -> None:
    number = int(os.environ.get("N") or 100)
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    chosen = os.environ.get("FAULT") or ""
    state = os.environ.get("STATE") or "file"
    assert state in KINDS, f"STATE is one of {', '.join(KINDS)}"
    every = (*ALL, state_faults.SERVER) if state == "postgres" else ALL
    faults = [fault for fault in every if fault.name.startswith(chosen)]
    assert faults, f"no fault is called {chosen}: {', '.join(fault.name for fault in every)}"
    sys.stdout.write(f"\nseed {seed}: {number} faults of {len(faults)} kinds\n")
    began = time.monotonic()
    with stage(cluster, installation, sample, versions, state, seed, most_open=6, pause=0.7) as set_stage:
        rounds = Rounds(set_stage, seed, faults)
        record = rounds.record
        while (left := number - record.count) > 0:
            rounds.run(min(left, _IN_A_ROUND))
        rounds.end()
        starts = sum(replica.starts for replica in set_stage.replicas)
        apps = len(set_stage.load.closed)
    if "Traceback" in installation.log.read_text():
        record.violations.append(f"a traceback is in {installation.log}")
    sys.stdout.write(
        f"\n{record.table()}\n\nseed {seed}: {record.count} faults in {(time.monotonic() - began) / 60:.0f} minutes, "
        f"{apps} review apps, {starts} starts of a watcher; violations: {len(record.violations)}\n"
    )
    assert record.violations == []
