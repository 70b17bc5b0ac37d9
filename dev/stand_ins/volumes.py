"""A stand-in for a provisioner of volumes: folders of this machine, which is the cluster's one node."""

from __future__ import annotations

import shutil
from pathlib import Path

from watcher.cluster import CLAIMS, Cluster, Object, Resource, section

STORAGE_CLASSES = Resource("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False)
VOLUMES = Resource("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
CLASS = "reviewapp-stand-in"
_LABEL = "reviewapp.dev/stand-in"


class Provisioner:
    """Binds claims of its class to a folder each, and deletes the folder once the claim is gone."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._clear()
        if cluster.get(STORAGE_CLASSES, None, CLASS) is None:
            cluster.create(
                STORAGE_CLASSES, None, {"metadata": {"name": CLASS}, "provisioner": _LABEL, "reclaimPolicy": "Delete"}
            )

    def _clear(self) -> None:
        """Delete the folders of volumes that went while nobody looked."""
        known = {volume["spec"]["hostPath"]["path"] for volume in self._cluster.list(VOLUMES, label_selector=_LABEL)[0]}
        for folder in self._folder.glob("*"):
            if str(folder) not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def look(self) -> None:
        """Do what is to be done now."""
        volumes, _ = self._cluster.list(VOLUMES, label_selector=_LABEL)
        for volume in volumes:
            if section(volume, "status").get("phase") == "Released":
                shutil.rmtree(volume["spec"]["hostPath"]["path"], ignore_errors=True)
                self._cluster.delete(VOLUMES, None, volume["metadata"]["name"])
        known = {volume["metadata"]["name"] for volume in volumes}
        for claim in self._cluster.list(CLAIMS)[0]:
            if claim["spec"].get("storageClassName") != CLASS or claim["spec"].get("volumeName"):
                continue
            volume = self._volume(claim)
            if volume["metadata"]["name"] not in known:
                path = Path(volume["spec"]["hostPath"]["path"])
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(0o777)
                self._cluster.create(VOLUMES, None, volume)

    def _volume(self, claim: Object) -> Object:
        metadata = claim["metadata"]
        return {
            "metadata": {"name": f"stand-in-{metadata['uid']}", "labels": {_LABEL: "true"}},
            "spec": {
                "capacity": claim["spec"]["resources"]["requests"],
                "accessModes": claim["spec"]["accessModes"],
                "storageClassName": CLASS,
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {name: metadata[name] for name in ("namespace", "name", "uid")},
                "hostPath": {"path": str(self._folder / metadata["uid"])},
            },
        }
