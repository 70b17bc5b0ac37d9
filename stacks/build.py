"""The build Job of one commit: fetch and unpack, build, push, each in a container of its own.

    unpack (init)       tarball  -> /source   may see the AWS credentials, runs nothing of the pull request's
    pull-cache (init)   registry -> /cache    only where there is an earlier build; as `push`
    build (init)        /source  -> /image    runs the pull request's Dockerfile, sees no credential of ours
    push, push-cache    /image   -> registry  may see the registry credentials, run nothing of the pull request's

Pure: the manifest is a function of its inputs. Text that comes from outside reaches the containers as
arguments and environment values, never as text of a shell.
"""

from __future__ import annotations

from typing import Final

from stacks import build_step, buildah, buildkit, crane, kaniko
from stacks.build_step import SOURCE, TREE, BuildStep
from stacks.inputs import Build, SourceLimits
from stacks.manifest import Manifest
from stacks.naming import COMMIT_ANNOTATION, COMPONENT_LABEL

UNPACK_CONTAINER: Final = "unpack"
BUILD_CONTAINER: Final = build_step.BUILD_CONTAINER
PUSH_CONTAINER: Final = crane.PUSH_CONTAINER

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
"""Says in which queue of Kueue's a Job waits. https://kueue.sigs.k8s.io/docs/tasks/run/jobs/"""

USER: Final = 1000
"""Uid and gid of every container: whom the rootless BuildKit image is made for, and so who may read its output."""

FETCH_SECONDS: Final = 300

UNPACK_FINAL_EXIT_CODES: Final = (2, 5, 6, 7)
"""Exit codes of `unpack` that another try can't change: bad parameter, no archive, unsafe entry, too large.

What the server refuses (3) is tried again: the tarball or the credentials may still arrive.
"""

# A superseded build makes room at once.
_GRACE_SECONDS: Final = 1

_IMAGE_SIZE: Final = "8Gi"

_UNPACK_RESOURCES: Final[Manifest] = {
    "requests": {"cpu": "50m", "memory": "64Mi"},
    "limits": {"cpu": "1", "memory": "512Mi"},
}
_STEPS: Final = {"buildkit": buildkit.step, "buildah": buildah.step, "kaniko": kaniko.step}


def job(build: Build, labels: dict[str, str]) -> Manifest:
    """Return the manifest of the build Job, its Pods labelled like itself, with the component `build`.

    The container `push` leaves the image's `<repository>@sha256:…` as its termination message; the
    containers before it, on failure, the reason.
    """
    step = _STEPS[build.builder](build)
    own = {QUEUE_LABEL: build.queue} if build.queue else {}
    labels = {**labels, COMPONENT_LABEL: "build"}
    annotations = {COMMIT_ANNOTATION: build.commit}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": build.job_name,
            "namespace": build.namespace,
            "labels": {**labels, **own},
            "annotations": annotations,
        },
        "spec": {
            # Kueue lets it go in its turn.
            **({"suspend": True} if build.queue else {}),
            "backoffLimit": build.retries,
            "activeDeadlineSeconds": build.timeout_seconds,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": UNPACK_CONTAINER,
                            "operator": "In",
                            "values": list(UNPACK_FINAL_EXIT_CODES),
                        },
                    }
                ]
            },
            "template": {
                "metadata": {"labels": labels, "annotations": {**annotations, **step.annotations}},
                "spec": _pod(build, step),
            },
        },
    }


def _pod(build: Build, step: BuildStep) -> Manifest:
    volumes: list[Manifest] = [
        {"name": "source", "emptyDir": {"sizeLimit": _source_size(build.limits)}},
        *([] if step.pushes else [{"name": "image", "emptyDir": {"sizeLimit": _IMAGE_SIZE}}]),
        *step.volumes,
        *crane.volumes(build),
    ]
    before = [_unpack(build), *crane.pulls(build)]
    pod: Manifest = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER},
        "initContainers": before if step.pushes else [*before, step.container],
        "containers": [step.container] if step.pushes else crane.pushes(build),
        "volumes": volumes,
    }
    if build.priority_class:
        pod["priorityClassName"] = build.priority_class
    if not step.host_users:
        pod["hostUsers"] = False
    return pod


def _source_size(limits: SourceLimits) -> str:
    """Return the size of the volume in which the tarball and what is unpacked from it are at once."""
    return f"{-(-(limits.compressed_bytes + limits.unpacked_bytes) // (1 << 30))}Gi"


def _unpack(build: Build) -> Manifest:
    environment = {
        "UNPACK_URL": build.tarball_url,
        "UNPACK_TARGET": TREE,
        "UNPACK_MAXIMUM_COMPRESSED_BYTES": str(build.limits.compressed_bytes),
        "UNPACK_MAXIMUM_UNPACKED_BYTES": str(build.limits.unpacked_bytes),
        "UNPACK_MAXIMUM_ENTRIES": str(build.limits.entries),
        "UNPACK_TIMEOUT_SECONDS": str(FETCH_SECONDS),
    }
    if build.tarball_sha256:
        environment["UNPACK_SHA256"] = build.tarball_sha256
    if build.s3_endpoint_url:
        environment["S3_ENDPOINT_URL"] = build.s3_endpoint_url
    container: Manifest = {
        "name": UNPACK_CONTAINER,
        "image": build.unpack_image,
        "command": ["python", "-m", "builder.unpack"],
        "env": build_step.environment(environment),
        "volumeMounts": [{"name": "source", "mountPath": SOURCE}],
        "resources": _UNPACK_RESOURCES,
        "securityContext": crane.CONFINED,
    }
    if build.tarball_secret_name:
        container["envFrom"] = [{"secretRef": {"name": build.tarball_secret_name}}]
    return container
