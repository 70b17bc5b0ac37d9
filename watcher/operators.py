"""Look up what the cluster has of an operator that runs databases, and which versions it knows."""

from __future__ import annotations

from typing import Final

from provisioner.databases import Operators
from stacks.database_names import CNPG_VERSION, KUBEDB_VERSIONS
from watcher.cluster import ApiRefused, Cluster, Resource, section

_CATALOGUE: Final = Resource("catalog.kubedb.com/v1alpha1", "PostgresVersion", "postgresversions", namespaced=False)


def look_up_operators(cluster: Cluster, backend: str) -> Operators:
    """Return what the cluster has of the operator that is asked for."""
    if backend == "kubedb":
        served = [version for version in KUBEDB_VERSIONS if _serves(cluster, version, "postgreses")]
        return Operators(kubedb=served[0], kubedb_versions=_catalogue(cluster)) if served else Operators()
    if backend == "cloudnative-pg":
        return Operators(cnpg=_serves(cluster, CNPG_VERSION, "clusters"))
    return Operators()


def _serves(cluster: Cluster, api_version: str, plural: str) -> bool:
    """Whether the API server has a kind: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api."""
    resources = cluster.resources(api_version)
    return any(resource.get("name") == plural for resource in resources)


def _catalogue(cluster: Cluster) -> tuple[str, ...] | None:
    try:
        versions, _ = cluster.list(_CATALOGUE)
    except ApiRefused as refused:
        # An operator of another age has its catalogue elsewhere; it says itself what it can't run.
        if refused.status == 404:
            return None
        raise
    current = [item for item in versions if not section(item, "spec").get("deprecated")]
    return tuple(sorted({item["metadata"]["name"] for item in current}))
