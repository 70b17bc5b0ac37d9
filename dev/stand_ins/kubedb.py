"""A stand-in for KubeDB's operator: `kubedb.com/v1` Postgres, of one instance.

Takes `version` (by its PostgresVersion), `authSecret`, `storageType`, `storage`, `init.script.secret`,
`podTemplate.spec.containers[].env` and `deletionPolicy`; writes `status.phase` and `spec.init.initialized`.
"""

from __future__ import annotations

import base64
import secrets

from dev.stand_ins.server import Server, create, is_ready, owner_reference
from watcher.cluster import CLAIMS, KUBEDB_POSTGRESES, SECRETS, Cluster, Object, Resource, entries, section

VERSIONS = Resource("catalog.kubedb.com/v1alpha1", "PostgresVersion", "postgresversions", False, optional=True)
_POSTGRESES = KUBEDB_POSTGRESES[0]
_FINALIZER = "kubedb.com"


class KubeDB:
    """Brings every Postgres to what its spec says."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def look(self) -> None:
        """Do what is to be done now."""
        for item in self._cluster.list(_POSTGRESES)[0]:
            postgres = {"apiVersion": _POSTGRESES.api_version, "kind": "Postgres"} | item
            if "deletionTimestamp" in postgres["metadata"]:
                self._wipe_out(postgres)
            else:
                self._bring_up(postgres)

    def let_go(self) -> None:
        """Hold no Postgres any more, and delete the claims of those that are to be wiped out; for when nobody looks."""
        for item in self._cluster.list(_POSTGRESES)[0]:
            self._wipe_out(item)

    def _bring_up(self, postgres: Object) -> None:
        metadata, spec = postgres["metadata"], postgres["spec"]
        if _FINALIZER not in metadata.get("finalizers", []):
            self._patch(postgres, {"metadata": {"finalizers": [*metadata.get("finalizers", []), _FINALIZER]}})
        version = self._cluster.get(VERSIONS, None, spec["version"])
        if version is None:
            self._phase(postgres, "Unknown")
            return
        script = section(spec, "init", "script", "secret").get("secretName")
        durable = spec.get("storageType", "Durable") == "Durable"
        environment = [
            variable
            for container in entries(spec, "podTemplate", "spec", "containers")
            if container["name"] == "postgres"
            for variable in container.get("env", [])
        ]
        server = Server(
            owner=postgres,
            image=version["spec"]["db"]["image"],
            service=metadata["name"],
            labels=metadata.get("labels", {})
            | {"app.kubernetes.io/instance": metadata["name"], "app.kubernetes.io/name": "postgreses.kubedb.com"},
            auth=(self._auth(postgres), "username", "password"),
            user="postgres",
            database="postgres",
            storage=spec["storage"] if durable else None,
            scripts=script,
            environment=tuple(environment),
        )
        if is_ready(server.apply(self._cluster)):
            if script and not section(spec, "init").get("initialized"):
                self._patch(postgres, {"spec": {"init": {"initialized": True}}})
            self._phase(postgres, "Ready")
        elif section(postgres, "status").get("phase") != "Ready":
            self._phase(postgres, "DataRestoring" if script else "Provisioning")

    def _auth(self, postgres: Object) -> str:
        asked = section(postgres, "spec", "authSecret").get("name")
        if asked:
            return asked
        name = f"{postgres['metadata']['name']}-auth"
        values = {"username": "postgres", "password": secrets.token_urlsafe(12)}
        secret = {
            "metadata": {
                "name": name,
                "namespace": postgres["metadata"]["namespace"],
                "ownerReferences": [owner_reference(postgres)],
            },
            "type": "kubernetes.io/basic-auth",
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
        }
        if self._cluster.get(SECRETS, postgres["metadata"]["namespace"], name) is None:
            create(self._cluster, SECRETS, secret)
        return name

    def _wipe_out(self, postgres: Object) -> None:
        metadata = postgres["metadata"]
        if postgres["spec"].get("deletionPolicy") == "WipeOut":
            claims, _ = self._cluster.list(
                CLAIMS, metadata["namespace"], f"app.kubernetes.io/instance={metadata['name']}"
            )
            for claim in claims:
                self._cluster.delete(CLAIMS, metadata["namespace"], claim["metadata"]["name"])
        finalizers = [name for name in metadata.get("finalizers", []) if name != _FINALIZER]
        if finalizers != metadata.get("finalizers", []):
            self._patch(postgres, {"metadata": {"finalizers": finalizers}})

    def _phase(self, postgres: Object, phase: str) -> None:
        if section(postgres, "status").get("phase") != phase:
            metadata = postgres["metadata"]
            body = {"status": {"phase": phase}}
            self._cluster.patch(_POSTGRESES, metadata["namespace"], metadata["name"], body, subresource="status")

    def _patch(self, postgres: Object, body: Object) -> None:
        metadata = postgres["metadata"]
        self._cluster.patch(_POSTGRESES, metadata["namespace"], metadata["name"], body)
