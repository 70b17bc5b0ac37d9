"""What stands in the way of an update that the API server refused: whether it still does, asked without an engine.

A dry run of the object that was refused goes through validation, admission, quota and rights, and changes nothing.
https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
"""

from __future__ import annotations

from http import HTTPStatus

from provisioner.errors import ApplyRefused, ReviewAppError
from stacks.inputs import StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests
from watcher.cluster import DECLARED, ApiRefused, Cluster


def stands(cluster: Cluster, inputs: StackInputs, error: ReviewAppError) -> bool:
    """Whether an update to these inputs would be refused now as it was; False where that can't be told.

    Raises:
        ClusterUnreachable: the API server does not answer.
    """
    manifest = _refused(inputs, error)
    if manifest is None:
        return False
    resource, metadata = DECLARED[manifest["apiVersion"], manifest["kind"]], manifest["metadata"]
    try:
        cluster.try_apply(resource, metadata["namespace"], manifest, inputs.stack)
    except ApiRefused as refused:
        # An object that is there may be one that can't be changed so, and that the engine would make anew.
        is_change = refused.status == HTTPStatus.UNPROCESSABLE_ENTITY
        return not is_change or cluster.get(resource, metadata["namespace"], metadata["name"]) is None
    return False


def refuse_standing(cluster: Cluster, inputs: StackInputs, error: ReviewAppError) -> None:
    """Raise an update's error again if what it tells of still stands."""
    if stands(cluster, inputs, error):
        raise error


def _refused(inputs: StackInputs, error: ReviewAppError) -> Manifest | None:
    """Return what the stack declares of the object that an error is about, if it is about one."""
    if not isinstance(error, ApplyRefused):
        return None
    found = (m for m in manifests(inputs) if f"{m['kind']}/{m['metadata']['name']}" == error.target)
    return next(found, None)
