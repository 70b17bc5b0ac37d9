"""Take over what the older operator has made for a review app, step by step. Each can be cut off and made again.

The Deployment is the hard one: its selector can't be changed, and names labels that a stack's database has as well. It
is deleted without its Pods, and made anew with the stack's selector: a Deployment takes over a ReplicaSet that nobody
owns, that has the labels it selects by, and whose template equals its own. So no Pod is started or ended.
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#label-selector-updates
"""

from __future__ import annotations

import datetime
import socket
import time

from provisioner.errors import ReviewAppError
from provisioner.ownership import Ownership, ownership
from stacks import naming
from stacks.inputs import StackInputs
from stacks.manifest import Manifest, object_labels
from stacks.review_app import manifests
from stacks.workload import COMPONENT
from watcher.cluster import DECLARED, DEPLOYMENTS, PODS, REPLICA_SETS, REVIEW_APPS, Cluster, Object, section
from watcher.field_ownership import taken_over
from watcher.journal import Entry, Journal
from watcher.old_objects import OldObjects, owned, pods_of

_GOING_SECONDS = 60.0
_POLL_SECONDS = 0.1
# What the operator of databases makes and keeps is written to beside it, and nothing is taken from it.
_SHARED = {"Postgres"}


class NotTakenOver(ReviewAppError):
    """The cluster did not do in time what the takeover waits for; it can be begun again."""

    reason = "NotTakenOver"


class Takeover:
    """Makes what there is of one review app that of its stack.

    Args:
        cluster: where, with the rights of whoever asks for it.
        inputs: what the stack is to declare, by `watcher.adoption`.
    """

    def __init__(self, cluster: Cluster, inputs: StackInputs) -> None:
        self._cluster = cluster
        self._inputs = inputs

    def note(self, review_app: str, journal: Journal, build_namespace: str) -> None:
        """Write the inputs into the journal: they hold what is needed to go on, whatever happens from here.

        The watcher touches nothing of it before every object that is declared is the stack's, and then finishes what
        the journal calls unfinished.

        Raises:
            StackHeld, HostHeld: another ReviewApp has the stack, or the host.
        """
        namespaces = tuple(sorted({self._inputs.namespace, build_namespace}))
        journal.write(Entry(review_app, "applying", self._inputs, namespaces, socket.gethostname()))

    def take(self) -> None:
        """Make every object that is declared the stack's.

        Raises:
            NotTakenOver, ApiRefused, ClusterUnreachable: call it again.
        """
        for manifest in manifests(self._inputs):
            if manifest["kind"] == "Deployment":
                self._take_deployment(manifest)
            else:
                self._take(manifest)

    def label_others(self, old: OldObjects) -> None:
        """Put the stack's label on what else is the app's: with the app it goes."""
        labels = {"metadata": {"labels": {naming.STACK_LABEL: self._inputs.stack}}}
        declared = {(item["kind"], item["metadata"]["name"]) for item in manifests(self._inputs)}
        for resource, item in old.others:
            metadata = item["metadata"]
            if (resource.kind, metadata["name"]) not in declared:
                self._cluster.patch(resource, metadata["namespace"], metadata["name"], labels)

    def tell(self, review_app: str) -> None:
        """Say on the ReviewApp that it is done: a watcher that runs looks at it anew."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        body = {"metadata": {"annotations": {naming.ADOPTED_ANNOTATION: now}}}
        self._cluster.patch(REVIEW_APPS, None, review_app, body)

    def _take(self, manifest: Manifest) -> None:
        resource = DECLARED[manifest["apiVersion"], manifest["kind"]]
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        live = self._cluster.get(resource, namespace, name)
        shared = manifest["kind"] in _SHARED or (live and "ownerReferences" in live["metadata"])
        if live and not shared and ownership(live, self._inputs.stack) is not Ownership.OURS:
            fields = taken_over(live, self._inputs.stack)
            version = live["metadata"]["resourceVersion"]
            body = {"metadata": {"managedFields": fields, "resourceVersion": version}}
            self._cluster.patch(resource, namespace, name, body)
        self._cluster.apply(resource, namespace, manifest, self._inputs.stack)

    def _take_deployment(self, manifest: Manifest) -> None:
        namespace, name = self._inputs.namespace, self._inputs.name
        live = self._cluster.get(DEPLOYMENTS, namespace, name)
        if ownership(live, self._inputs.stack) is Ownership.OURS:
            return
        if live:
            if self._inputs.workload.adopted:
                for replica_set in owned(self._cluster, live):
                    if not replica_set["spec"].get("replicas"):
                        # Of an earlier version: without its Deployment nobody would delete it.
                        self._cluster.delete_seen(REPLICA_SETS, replica_set)
                self._cluster.delete_alone(DEPLOYMENTS, live)
            else:
                self._cluster.delete_seen(DEPLOYMENTS, live)
            self._until_gone(live)
        for replica_set in self._left_alone():
            self._label(replica_set)
        self._cluster.apply(DEPLOYMENTS, namespace, manifest, self._inputs.stack)

    def _left_alone(self) -> list[Object]:
        """Return the ReplicaSet of what runs, which has no Deployment."""
        if self._inputs.workload.adopted is None:
            return []
        labels: dict[str, str] = section(self._inputs.workload.adopted.template, "metadata", "labels")
        return [
            item
            for item in self._cluster.list(REPLICA_SETS, self._inputs.namespace)[0]
            if item["metadata"]["name"].startswith(f"{self._inputs.name}-")
            and item["spec"].get("replicas")
            and "ownerReferences" not in item["metadata"]
            and _without_hash(item["spec"]["selector"]["matchLabels"]).items() <= labels.items()
        ]

    def _label(self, replica_set: Object) -> None:
        """Give a ReplicaSet and its Pods what their Deployment's template says of labels and annotations."""
        adopted = self._inputs.workload.adopted
        template: Object = section(adopted.template if adopted else {}, "metadata")
        ours = {"metadata": {key: template[key] for key in ("labels", "annotations")}}
        labels = object_labels(self._inputs, COMPONENT)
        metadata = replica_set["metadata"]
        for pod in pods_of(self._cluster, replica_set):
            self._cluster.patch(PODS, metadata["namespace"], pod["metadata"]["name"], ours)
        body = {"metadata": {"labels": labels}, "spec": {"template": ours}}
        self._cluster.patch(REPLICA_SETS, metadata["namespace"], metadata["name"], body)

    def _until_gone(self, deployment: Object) -> None:
        metadata = deployment["metadata"]
        deadline = time.monotonic() + _GOING_SECONDS
        while (live := self._cluster.get(DEPLOYMENTS, metadata["namespace"], metadata["name"])) and (
            live["metadata"]["uid"] == metadata["uid"]
        ):
            if time.monotonic() > deadline:
                raise NotTakenOver(
                    f"Deployment {metadata['namespace']}/{metadata['name']} is still being deleted: see whether the "
                    "controller manager runs and what finalizers it has, and call this again"
                )
            time.sleep(_POLL_SECONDS)
        if live:
            raise NotTakenOver(
                f"Deployment {metadata['namespace']}/{metadata['name']} was made anew by somebody else: stop the older "
                "operator, and call this again"
            )


def _without_hash(labels: dict[str, str]) -> dict[str, str]:
    """Return a ReplicaSet's labels without the one that its Deployment has added."""
    return {name: value for name, value in labels.items() if name != "pod-template-hash"}
