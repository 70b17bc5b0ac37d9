"""The API server as plain dicts: read, list, watch, write.

Built on the official client's connection (its kubeconfig, in-cluster credentials and TLS), without its
models: objects stay as the API sends them. Every call has a timeout. Decides nothing.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Generator, Sequence
from typing import Literal
from urllib.parse import quote

from kubernetes.client import Configuration

from provisioner.errors import ClusterUnreachable
from stacks.database_names import CNPG_VERSION, KUBEDB_VERSIONS
from stacks.naming import GROUP
from stacks.route import GATEWAY_VERSION
from watcher.connection import (
    CONNECT_SECONDS,
    ApiRefused,
    Connection,
    Fence,
    Object,
    lines,
    refused,
)
from watcher.kubeconfig import configuration

# The API server sends a bookmark about once a minute: a stream silent for longer is dead.
_WATCH_READ_SECONDS = 100.0
_WATCH_SECONDS = 300
_CONNECTIONS = 16


def section(item: Object, *path: str) -> Object:
    """Return a nested mapping of an object; an empty one where it is absent or null."""
    for key in path:
        item = item.get(key) or {}
    return item


def entries(item: Object, *path: str) -> list[Object]:
    """Return a nested list of an object; an empty one where it is absent or null."""
    return section(item, *path[:-1]).get(path[-1]) or []


@dataclasses.dataclass(frozen=True)
class Resource:
    """One kind of object and where the API has it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    optional: bool = False
    """Whether a cluster may be without the kind."""
    may_be_forbidden: bool = False
    """Whether an installation may be without rights over the kind: it has made none then."""
    metadata_only: bool = False
    """Whether lists and watches bring nothing of the objects but their metadata."""

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, of one object, or of its subresource."""
        prefix = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        parts = [prefix]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [part for part in (self.plural, name and quote(name, safe=""), subresource) if part]
        return "/".join(parts)


REVIEW_APPS = Resource(f"{GROUP}/v1", "ReviewApp", "reviewapps", namespaced=False)
NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)
NODES = Resource("v1", "Node", "nodes", namespaced=False)
SECRETS = Resource("v1", "Secret", "secrets")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
SERVICES = Resource("v1", "Service", "services")
# deploy/components/app-roles gives the rights.
SERVICE_ACCOUNTS = Resource("v1", "ServiceAccount", "serviceaccounts", may_be_forbidden=True)
PODS = Resource("v1", "Pod", "pods")
EVENTS = Resource("v1", "Event", "events")
QUOTAS = Resource("v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGES = Resource("v1", "LimitRange", "limitranges")
CLAIMS = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
STATEFUL_SETS = Resource("apps/v1", "StatefulSet", "statefulsets")
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
REPLICA_SETS = Resource("apps/v1", "ReplicaSet", "replicasets")
JOBS = Resource("batch/v1", "Job", "jobs")
INGRESSES = Resource("networking.k8s.io/v1", "Ingress", "ingresses")
NETWORK_POLICIES = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")

HTTP_ROUTES = Resource(GATEWAY_VERSION, "HTTPRoute", "httproutes", optional=True)
KUBEDB_POSTGRESES = tuple(Resource(version, "Postgres", "postgreses", optional=True) for version in KUBEDB_VERSIONS)
CNPG_CLUSTERS = Resource(CNPG_VERSION, "Cluster", "clusters", optional=True)

IN_APPS = (
    *(SECRETS, SERVICES, CLAIMS, DEPLOYMENTS, STATEFUL_SETS, JOBS, INGRESSES, NETWORK_POLICIES),
    *(SERVICE_ACCOUNTS, HTTP_ROUTES, *KUBEDB_POSTGRESES, CNPG_CLUSTERS),
)
"""What a stack declares in the namespace of its app, and so what the watcher may touch there."""
IN_BUILDS = (JOBS, SECRETS)
"""What it declares in the namespace of builds."""
DECLARED = {(r.api_version, r.kind): r for r in dict.fromkeys((*IN_APPS, *IN_BUILDS))}
"""The resources of which a stack declares objects, by (apiVersion, kind)."""


class Cluster:
    """A connection to one API server; safe to use from several threads.

    Every method raises `ApiRefused` where the server refuses, and `ClusterUnreachable` where it does not answer.
    """

    def __init__(self, connection: Connection | Configuration) -> None:
        """Speak through a connection, or one of our own that is made as configured."""
        is_open = isinstance(connection, Connection)
        self._connection = connection if is_open else Connection.to(connection, _CONNECTIONS)

    @classmethod
    def from_environment(cls, seconds: float | None = None) -> Cluster:
        """Connect as `kubectl` would: as KUBECONFIG or `~/.kube/config` says, else as the Pod's service account.

        Args:
            seconds: time limit of each request, which is tried once; by default it may take its time.

        Raises:
            ClusterUnreachable: there is neither, or the kubeconfig can't be used.
        """
        return cls(Connection.to(configuration(), _CONNECTIONS, seconds))

    def fenced(self, fence: Fence) -> Cluster:
        """Return the same API server, where each write is asked for at `fence` first, which may raise."""
        return Cluster(self._connection.fenced(fence))

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """Return one object, or None where there is none."""
        try:
            return self._connection.json("GET", resource.path(namespace, name))
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
    ) -> tuple[list[Object], str]:
        """Return all objects of a kind, or those of a namespace, labels or name; and the list's resource version.

        Of an optional kind that the cluster does not have, and of one that may be forbidden and is, there are none, at
        no version.
        """
        query = {"labelSelector": label_selector, "fieldSelector": name and f"metadata.name={name}"}
        try:
            answer = self._connection.json(
                "GET", resource.path(namespace), query=query, accept=_accept(resource, "List")
            )
        except ApiRefused as error:
            absent = resource.optional and error.status == 404
            if absent or (resource.may_be_forbidden and error.status == 403):
                return [], ""
            raise
        return answer.get("items") or [], answer["metadata"]["resourceVersion"]

    def resources(self, api_version: str) -> list[Object]:
        """Return what the server has of a group's version, as discovery tells it; nothing where it has none."""
        try:
            return entries(self._connection.json("GET", f"/apis/{api_version}"), "resources")
        except ApiRefused as error:
            if error.status == 404:
                return []
            raise

    def text(self, path: str) -> str:
        """Return what the API server answers for a path that is no object, such as a log or a Service's page."""
        with self._connection.request("GET", path) as response:
            return response.data.decode(errors="replace")

    def lines(self, path: str, query: dict[str, str | None], seconds: float) -> Generator[str]:
        """Yield each line of an answer as it comes, such as a log that is followed, for `seconds` at most."""
        deadline = time.monotonic() + seconds
        try:
            with self._connection.request("GET", path, query=query, read_seconds=seconds) as response:
                try:
                    for line in lines(response, also_unfinished=True):
                        yield line.decode(errors="replace")
                        if time.monotonic() >= deadline:
                            return
                finally:
                    # One that is left before its end can't serve another request.
                    response.close()
        except ClusterUnreachable:
            # Silent until the deadline, as a log may be.
            if time.monotonic() < deadline:
                raise

    def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """Create an object."""
        return self._connection.json("POST", resource.path(namespace), body=body)

    def replace(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """Replace an object; a `resourceVersion` in it must be the current one."""
        return self._connection.json("PUT", resource.path(namespace, body["metadata"]["name"]), body=body)

    def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Object,
        subresource: Literal["status"] | None = None,
    ) -> Object:
        """Change an object by a JSON merge patch (https://www.rfc-editor.org/rfc/rfc7396)."""
        path = resource.path(namespace, name, subresource)
        return self._connection.json("PATCH", path, body=body, content_type="application/merge-patch+json")

    def apply(self, resource: Resource, namespace: str | None, body: Object, manager: str) -> Object:
        """Make an object what `body` says, and the object if there is none; what others have set besides stays.

        https://kubernetes.io/docs/reference/using-api/server-side-apply/
        """
        path = resource.path(namespace, body["metadata"]["name"])
        query: dict[str, str | None] = {"fieldManager": manager, "force": "true"}
        # JSON is YAML.
        return self._connection.json("PATCH", path, query=query, body=body, content_type="application/apply-patch+yaml")

    def try_apply(self, resource: Resource, namespace: str | None, body: Object, manager: str) -> None:
        """Ask whether the server would take `body` as `apply` sends it, without taking fields from others."""
        path = resource.path(namespace, body["metadata"]["name"])
        query: dict[str, str | None] = {"fieldManager": manager, "dryRun": "All"}
        self._connection.json("PATCH", path, query=query, body=body, content_type="application/apply-patch+yaml")

    def change(self, resource: Resource, namespace: str | None, name: str, operations: Sequence[Object]) -> Object:
        """Change an object by a JSON patch (https://www.rfc-editor.org/rfc/rfc6902): all of it, or nothing."""
        path = resource.path(namespace, name)
        return self._connection.json("PATCH", path, body=operations, content_type="application/json-patch+json")

    def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete an object and, in the background, what it owns. An object that is gone is no error."""
        self._delete(resource, namespace, name)

    def delete_seen(self, resource: Resource, item: Object) -> None:
        """Delete this very object as `delete` does, and no other that has come in its place."""
        self._delete(resource, item["metadata"].get("namespace"), item["metadata"]["name"], item["metadata"]["uid"])

    def delete_alone(self, resource: Resource, item: Object) -> None:
        """Delete this very object, and leave what it owns."""
        metadata = item["metadata"]
        self._delete(resource, metadata.get("namespace"), metadata["name"], metadata["uid"], "Orphan")

    def _delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str = "", policy: str = "Background"
    ) -> None:
        options = {"propagationPolicy": policy, "preconditions": {"uid": uid} if uid else {}}
        try:
            self._connection.json("DELETE", resource.path(namespace, name), body=options)
        except ApiRefused as error:
            if error.status != 404 and not (uid and error.status == 409):
                raise

    def watch(
        self,
        resource: Resource,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        name: str | None = None,
        seconds: float = _WATCH_SECONDS,
    ) -> Generator[tuple[str, Object]]:
        """Yield (type, object) for each change since a resource version, bookmarks too, for `seconds` at most.

        Raises:
            ResourceVersionGone: the server has no history back to then.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(math.ceil(seconds)),
            "labelSelector": label_selector,
            "fieldSelector": name and f"metadata.name={name}",
        }
        silence = min(_WATCH_READ_SECONDS, seconds + CONNECT_SECONDS)
        with self._connection.request(
            "GET", resource.path(namespace), query=query, read_seconds=silence, accept=_accept(resource)
        ) as response:
            try:
                for line in filter(None, lines(response)):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise refused(event["object"].get("code", 500), event["object"])
                    yield event["type"], event["object"]
            finally:
                # Whoever has seen enough leaves an answer that is not read to its end.
                response.close()


def _accept(resource: Resource, suffix: str = "") -> str:
    """Return in which form answers about a kind are wanted.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
    """
    partial = f"application/json;as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1"
    return partial if resource.metadata_only else "application/json"
