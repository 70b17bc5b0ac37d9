"""How far a stack's Deployment has come with what was last asked for. Pure."""

from __future__ import annotations

from stacks import workload
from stacks.inputs import StackInputs
from watcher.cluster import Object, entries, section


def is_stopped(deployment: Object | None) -> bool:
    """Whether no Pod of it is to run, and none does."""
    return deployment is None or not (
        deployment["spec"].get("replicas", 1) or section(deployment, "status").get("replicas")
    )


def is_current(deployment: Object | None, inputs: StackInputs) -> bool:
    """Whether the Deployment has the commit, environment and image that were last asked for.

    An update can still be under way, and news of one that has ended can still be on its way to us.
    """
    wanted, found = (section(item or {}, "spec", "template") for item in (workload.deployment(inputs), deployment))
    annotations: dict[str, str] = section(wanted, "metadata", "annotations")
    return annotations.items() <= section(found, "metadata", "annotations").items() and (
        _images(wanted) == _images(found)
    )


def _images(template: Object) -> list[str]:
    return [container["image"] for container in entries(template, "spec", "containers")]


def is_rolled_out(deployment: Object | None) -> bool:
    """Whether only Pods of the newest template are left, and all are available.

    https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment
    """
    if deployment is None:
        return False
    running = section(deployment, "status")
    replicas = deployment["spec"].get("replicas", 1)
    return (
        running.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and running.get("replicas", 0) == running.get("updatedReplicas", 0) == replicas
        and running.get("availableReplicas", 0) == replicas
    )
