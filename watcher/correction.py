"""Put right what somebody has changed of a stack's objects: they are applied as the engine did, by the same manager.

No engine runs for it, since the state has not changed. What is no longer ours is not touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from stacks.inputs import StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests
from watcher.cluster import DECLARED, Cluster
from watcher.drift import Drift
from watcher.preconditions import is_there, name_of, require_namespaces


def correct(cluster: Cluster, inputs: StackInputs, found: Iterable[Drift]) -> None:
    """Apply the manifests of what has drifted.

    Raises:
        ApplyRefused: a namespace is not there, or is going.
        ForeignObject: in the place of one of them is an object that this stack did not make.
        ApiRefused, ClusterUnreachable: one of them could not be applied.
    """
    require_namespaces(cluster, inputs)
    for one in found:
        is_there(cluster, inputs.stack, one.manifest)
        _apply(cluster, inputs.stack, one.manifest)


def restore(cluster: Cluster, inputs: StackInputs, absent: Collection[str]) -> None:
    """Make anew what is gone of a stack, before the engine: that can't update what its state has and is not there.

    Args:
        cluster: where.
        inputs: what the stack was last asked to declare.
        absent: what is gone, as `Kind namespace/name`; what the stack did not declare is left to the engine.

    Raises:
        ApiRefused, ClusterUnreachable: one of them could not be applied.
    """
    for manifest in manifests(inputs):
        # A Job is not updated but replaced, and some are gone for good.
        if manifest["kind"] != "Job" and name_of(manifest) in absent:
            _apply(cluster, inputs.stack, manifest)


def _apply(cluster: Cluster, stack: str, manifest: Manifest) -> None:
    resource = DECLARED[manifest["apiVersion"], manifest["kind"]]
    cluster.apply(resource, manifest["metadata"]["namespace"], manifest, stack)
