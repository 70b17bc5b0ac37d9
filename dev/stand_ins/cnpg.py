"""A stand-in for CloudNativePG's operator: `postgresql.cnpg.io/v1` Cluster, of one instance.

Takes `imageName`, `storage`, `bootstrap.initdb` (database, owner, secret, postInitApplicationSQL) and
`inheritedMetadata.labels`; writes `status.phase` and `status.readyInstances`. The real one makes Pods itself, and not a
StatefulSet; the names of its Service `<name>-rw` and of its Pod `<name>-…` are the real one's.
"""

from __future__ import annotations

from dev.stand_ins.server import Server, is_ready
from watcher.cluster import CLAIMS, CNPG_CLUSTERS, Cluster, Object, section

_READY = "Cluster in healthy state"


class CloudNativePG:
    """Brings every Cluster to what its spec says."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def look(self) -> None:
        """Do what is to be done now."""
        for item in self._cluster.list(CNPG_CLUSTERS)[0]:
            cluster = {"apiVersion": CNPG_CLUSTERS.api_version, "kind": "Cluster"} | item
            if "deletionTimestamp" not in cluster["metadata"]:
                self._bring_up(cluster)

    def _bring_up(self, item: Object) -> None:
        metadata, spec = item["metadata"], item["spec"]
        initdb = section(spec, "bootstrap", "initdb")
        storage = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": spec["storage"]["size"]}},
            "storageClassName": spec["storage"].get("storageClass"),
        }
        server = Server(
            owner=item,
            image=spec["imageName"],
            service=f"{metadata['name']}-rw",
            labels=section(spec, "inheritedMetadata", "labels") | {"app.kubernetes.io/instance": metadata["name"]},
            auth=(initdb["secret"]["name"], "username", "password"),
            user=initdb["owner"],
            database=initdb["database"],
            storage=storage,
            sql=";".join(initdb.get("postInitApplicationSQL", [])),
        )
        stateful_set = server.apply(self._cluster)
        self._own_claims(item)
        ready = is_ready(stateful_set)
        wanted = {"phase": _READY if ready else "Setting up primary", "readyInstances": int(ready)}
        found = section(item, "status")
        if {key: found.get(key) for key in wanted} != wanted:
            self._cluster.patch(
                CNPG_CLUSTERS, metadata["namespace"], metadata["name"], {"status": wanted}, subresource="status"
            )

    def _own_claims(self, item: Object) -> None:
        """Have the claims go with the Cluster, as the real one's do, which it makes itself."""
        metadata = item["metadata"]
        claims, _ = self._cluster.list(CLAIMS, metadata["namespace"], f"app.kubernetes.io/instance={metadata['name']}")
        owner = {key: item[key] for key in ("apiVersion", "kind")} | {key: metadata[key] for key in ("name", "uid")}
        for claim in claims:
            if not claim["metadata"].get("ownerReferences"):
                body = {"metadata": {"ownerReferences": [owner]}}
                self._cluster.patch(CLAIMS, metadata["namespace"], claim["metadata"]["name"], body)
