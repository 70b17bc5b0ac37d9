"""A few faults of each kind, the same each time. `make chaos` has more."""

from __future__ import annotations

import pytest

from dev.installation import Installation
from dev.sample import Sample
from tests.chaos.rounds import ALL, Rounds
from tests.chaos.stage import stage
from tests.chaos.versions import Version
from watcher.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

_SEED = 1


def test_what_is_broken_heals(
    cluster: Cluster, installation: Installation, sample: Sample, versions: list[Version]
) -> None:
    # Other tests may use the same node meanwhile.
    faults = [fault for fault in ALL if not fault.is_shared and fault.name != "API silent watches"]
    with stage(cluster, installation, sample, versions, "file", _SEED, most_open=4, pause=0.7) as set_stage:
        rounds = Rounds(set_stage, _SEED, faults, 2.0)
        rounds.run(10)
        rounds.end()
    assert rounds.record.violations == []
    assert "Traceback" not in installation.log.read_text()
