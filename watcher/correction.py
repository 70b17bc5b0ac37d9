"""Put right what somebody has changed of a stack's objects: they are applied as the engine did, by the same manager.

No engine runs for it, since the state has not changed. What is no longer ours is not touched.
"""

from __future__ import annotations

from collections.abc import Iterable

from stacks.inputs import StackInputs
from watcher.cluster import DECLARED, Cluster
from watcher.drift import Drift
from watcher.preconditions import refuse_foreign_object, require_namespaces


def correct(cluster: Cluster, inputs: StackInputs, found: Iterable[Drift]) -> None:
    """Apply the manifests of what has drifted.

    Raises:
        ApplyRefused: a namespace is not there, or is going.
        ForeignObject: in the place of one of them is an object that this stack did not make.
        ApiRefused, ClusterUnreachable: one of them could not be applied.
    """
    require_namespaces(cluster, inputs)
    for one in found:
        refuse_foreign_object(cluster, inputs.stack, one.manifest)
        resource = DECLARED[one.manifest["apiVersion"], one.manifest["kind"]]
        cluster.apply(resource, one.manifest["metadata"]["namespace"], one.manifest, inputs.stack)
