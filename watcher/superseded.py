"""End builds that nobody waits for any more, before the engine gets to it: it makes the new Job first."""

from __future__ import annotations

from collections.abc import Sequence

from stacks.inputs import StackInputs
from watcher.cluster import JOBS, Cluster, Object
from watcher.conditions import job_state


def end_superseded(cluster: Cluster, jobs: Sequence[Object], inputs: StackInputs) -> None:
    """Delete the stack's Jobs that run and that `inputs` do not declare. The engine takes them for deleted then."""
    wanted = inputs.build.job_name if inputs.build and not inputs.build.existing else None
    for job in jobs:
        metadata = job["metadata"]
        if metadata["name"] != wanted and job_state(job) == "running" and "deletionTimestamp" not in metadata:
            cluster.delete(JOBS, metadata["namespace"], metadata["name"])
