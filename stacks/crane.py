"""The build Pod's containers that speak to the registry: crane, with the credentials, on what others have made. Pure.

They run nothing of the pull request's, and share no more than files with the container that does.
"""

from __future__ import annotations

from typing import Final

from stacks.inputs import Build
from stacks.manifest import Manifest

PULL_CACHE_CONTAINER: Final = "pull-cache"
PUSH_CONTAINER: Final = "push"
PUSH_CACHE_CONTAINER: Final = "push-cache"

CREDENTIALS: Final = "docker-config"
"""Name of the volume with the credentials, where there are any."""

IMAGE: Final = "/image"
"""Where the volume is mounted that the builder writes to."""
LAYOUT: Final = f"{IMAGE}/oci"
"""The OCI layout of the image."""
NEW_CACHE: Final = f"{IMAGE}/cache"
"""The OCI layout of the layers of all steps, those of other stages included."""
OLD_CACHE: Final = "/cache/oci"
"""The OCI layout of the layers of an earlier build."""

CONFINED: Final[Manifest] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Security context of a container that runs nothing of the pull request's."""

_CACHE_SIZE: Final = "8Gi"
_RESOURCES: Final[Manifest] = {
    "requests": {"cpu": "50m", "memory": "32Mi"},
    "limits": {"cpu": "1", "memory": "256Mi"},
}
_IMAGE_MOUNT: Final[Manifest] = {"name": "image", "mountPath": IMAGE, "readOnly": True}
# crane itself writes the digest to where the kubelet looks for it.
_SAY_DIGEST: Final = "--image-refs=/dev/termination-log"
# An image without the layers for the next build is worth as much as one with them.
_AT_BEST: Final = '"$0" "$@" || echo "the layers are not kept: the next build starts without them" >&2'


def volumes(build: Build) -> list[Manifest]:
    """Return the volumes that these containers need, besides the one with what is built."""
    found: list[Manifest] = []
    if build.cache_from:
        found.append({"name": "cache", "emptyDir": {"sizeLimit": _CACHE_SIZE}})
    if build.push_secret_name:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        found.append({"name": CREDENTIALS, "secret": {"secretName": build.push_secret_name, "items": items}})
    return found


def cache_mount(build: Build) -> list[Manifest]:
    """Return how the builder mounts the layers of an earlier build, if there are any."""
    return [{"name": "cache", "mountPath": "/cache", "readOnly": True}] if build.cache_from else []


def pulls(build: Build) -> list[Manifest]:
    """Return what has to run before the builder."""
    if not build.cache_from:
        return []
    mount = {"name": "cache", "mountPath": "/cache"}
    return [_crane(build, PULL_CACHE_CONTAINER, ["pull", "--format=oci", build.cache_from, OLD_CACHE], mount)]


def pushes(build: Build) -> list[Manifest]:
    """Return what runs after the builder, side by side."""
    found = [_crane(build, PUSH_CONTAINER, ["push", LAYOUT, build.image, _SAY_DIGEST], _IMAGE_MOUNT)]
    if build.cache_to:
        arguments = ["push", NEW_CACHE, build.cache_to, _SAY_DIGEST]
        pushes_cache = _crane(build, PUSH_CACHE_CONTAINER, arguments, _IMAGE_MOUNT)
        found.append(pushes_cache | {"command": ["/busybox/sh", "-c", _AT_BEST, "/ko-app/crane"]})
    return found


def _crane(build: Build, name: str, arguments: list[str], mount: Manifest) -> Manifest:
    mounts = [mount]
    container: Manifest = {
        "name": name,
        "image": build.push_image,
        "args": [*arguments, "--insecure"] if build.registry_insecure else arguments,
        "volumeMounts": mounts,
        "resources": _RESOURCES,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": CONFINED,
    }
    if build.push_secret_name:
        mounts.append({"name": CREDENTIALS, "mountPath": "/docker-config", "readOnly": True})
        container["env"] = [{"name": "DOCKER_CONFIG", "value": "/docker-config"}]
    return container
