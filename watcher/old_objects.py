"""What the older operator has made for one review app, as it is in the cluster. Reads alone.

Found by the labels and names that its manifests have: `<group>/app` and `<group>/build`, `<repo>-<pr>` and
`<repo>-<pr>--<suffix>`. Which suffix is on what is not taken for known: an object is told by its kind, and by what
refers to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from stacks import naming
from stacks.inputs import TLS
from watcher.certificate import certificate
from watcher.cluster import (
    DEPLOYMENTS,
    INGRESSES,
    JOBS,
    KUBEDB_POSTGRESES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    Cluster,
    Object,
    Resource,
    section,
)

_MAY_BE_LEFT = (INGRESSES, SERVICES, SECRETS)


@dataclasses.dataclass(frozen=True)
class OldObjects:
    """What there is of one review app.

    Attributes:
        deployment: the app's.
        replica_sets: those that the Deployment owns and that have Pods, or are to have some.
        service: the app's.
        ingress: the app's.
        secrets: those of the operator in the app's namespace, by name.
        postgreses: the KubeDB objects.
        auth: the Secrets with the users and passwords of these, by name.
        postgres_version: the API version that the KubeDB objects were read in.
        others: what else carries the labels, and no stack's.
        tls: the wildcard certificate of the settings.
    """

    deployment: Object | None
    replica_sets: Sequence[Object]
    service: Object | None
    ingress: Object | None
    secrets: dict[str, Object]
    postgreses: Sequence[Object]
    auth: dict[str, Object]
    postgres_version: str
    others: Sequence[tuple[Resource, Object]]
    tls: TLS | None


def look(cluster: Cluster, app: str, namespace: str, build_namespace: str, tls_secret: str | None) -> OldObjects:
    """Return what there is of an app.

    Args:
        cluster: where.
        app: `<repo>-<pr>`.
        namespace: the app's.
        build_namespace: where builds run.
        tls_secret: the wildcard certificate, as namespace/name; None for none.

    Raises:
        ApiRefused, ClusterUnreachable: it could not be read.
    """
    deployment = cluster.get(DEPLOYMENTS, namespace, app)
    selector = label_selector(deployment, app)
    secrets = {
        item["metadata"]["name"]: item
        for item in cluster.list(SECRETS, namespace)[0]
        if _is_of(item, app, selector) and "ownerReferences" not in item["metadata"]
    }
    version, postgreses = _postgreses(cluster, namespace, app, selector)
    auth = {
        name: found
        for name in (f"{item['metadata']['name']}-auth" for item in postgreses)
        if (found := cluster.get(SECRETS, namespace, name))
    }
    others = [
        (resource, item)
        for resource, place in (*((each, namespace) for each in _MAY_BE_LEFT), (JOBS, build_namespace))
        for item in cluster.list(resource, place, label_selector=_text(selector))[0]
        if naming.STACK_LABEL not in item["metadata"]["labels"] and "ownerReferences" not in item["metadata"]
    ]
    wildcard = cluster.get(SECRETS, *tls_secret.split("/", 1)) if tls_secret else None
    return OldObjects(
        deployment=deployment,
        replica_sets=[item for item in owned(cluster, deployment) if _has_pods(item)] if deployment else [],
        service=cluster.get(SERVICES, namespace, app),
        ingress=cluster.get(INGRESSES, namespace, app),
        secrets=secrets,
        postgreses=postgreses,
        auth=auth,
        postgres_version=version,
        others=others,
        tls=certificate(wildcard),
    )


def label_selector(deployment: Object | None, app: str) -> dict[str, str]:
    """Return the labels of all that is the app's: as its Deployment has them, or as they follow from its name."""
    labels = section(deployment or {}, "metadata", "labels")
    repository, _, pull_request = app.rpartition("-")
    return {
        naming.APP_LABEL: labels.get(naming.APP_LABEL, repository),
        naming.BUILD_LABEL: labels.get(naming.BUILD_LABEL, pull_request),
    }


def owned(cluster: Cluster, deployment: Object) -> list[Object]:
    """Return the ReplicaSets that a Deployment owns."""
    metadata = deployment["metadata"]
    return [
        item
        for item in cluster.list(REPLICA_SETS, metadata["namespace"])[0]
        if any(owner["uid"] == metadata["uid"] for owner in item["metadata"].get("ownerReferences", ()))
    ]


def pods_of(cluster: Cluster, replica_set: Object) -> list[Object]:
    """Return the Pods that a ReplicaSet owns."""
    metadata = replica_set["metadata"]
    labels: dict[str, str] = section(replica_set, "spec", "selector")["matchLabels"]
    return [
        item
        for item in cluster.list(PODS, metadata["namespace"], label_selector=_text(labels))[0]
        if any(owner["uid"] == metadata["uid"] for owner in item["metadata"].get("ownerReferences", ()))
    ]


def secret_names(pod: Object) -> Iterator[str]:
    """Yield the names of the Secrets that the containers of a Pod's `spec` get something from."""
    for container in (*pod.get("containers", ()), *pod.get("initContainers", ())):
        for source in container.get("envFrom", ()):
            yield from _named(source.get("secretRef"))
        for variable in container.get("env", ()):
            yield from _named(section(variable, "valueFrom").get("secretKeyRef"))
    for volume in pod.get("volumes", ()):
        yield from filter(None, [section(volume, "secret").get("secretName")])


def _named(reference: Object | None) -> Iterable[str]:
    return [reference["name"]] if reference else []


def _has_pods(replica_set: Object) -> bool:
    return bool(replica_set["spec"].get("replicas") or section(replica_set, "status").get("replicas"))


def _is_of(item: Object, app: str, selector: dict[str, str]) -> bool:
    metadata = item["metadata"]
    return metadata["name"].startswith(f"{app}--") or selector.items() <= section(item, "metadata", "labels").items()


def _postgreses(cluster: Cluster, namespace: str, app: str, selector: dict[str, str]) -> tuple[str, list[Object]]:
    for resource in KUBEDB_POSTGRESES:
        items, version = cluster.list(resource, namespace)
        if version:
            return resource.api_version, [item for item in items if _is_of(item, app, selector)]
    return "", []


def _text(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())
