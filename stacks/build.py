"""The build Job of one commit: fetch and unpack, build, push, each in a container of its own.

    unpack (init)       tarball  -> /source   may see the AWS credentials, runs nothing of the pull request's
    pull-cache (init)   registry -> /cache    only where there is an earlier build; as `push`
    build (init)        /source  -> /image    runs the pull request's Dockerfile, sees no credential of ours
    push, push-cache    /image   -> registry  may see the registry credentials, run nothing of the pull request's

Pure: the manifest is a function of its inputs. Text that comes from outside reaches the containers as
arguments and environment values, never as text of a shell.
"""

from __future__ import annotations

import dataclasses
import json
import posixpath
from typing import Final

from stacks import build_secrets, crane
from stacks.inputs import Build, BuildOptions, SourceLimits
from stacks.manifest import Manifest
from stacks.naming import COMMIT_ANNOTATION, COMPONENT_LABEL, GROUP

UNPACK_CONTAINER: Final = "unpack"
BUILD_CONTAINER: Final = "build"
PUSH_CONTAINER: Final = crane.PUSH_CONTAINER

USER: Final = 1000
"""Uid and gid of every container: whom the rootless BuildKit image is made for, and so who may read its output."""

FETCH_SECONDS: Final = 300

UNPACK_FINAL_EXIT_CODES: Final = (2, 5, 6, 7)
"""Exit codes of `unpack` that another try can't change: bad parameter, no archive, unsafe entry, too large.

What the server refuses (3) is tried again: the tarball or the credentials may still arrive.
"""

# A superseded build makes room at once. The kubelet itself never waits less than two seconds for a
# process that does not end when told to, and a shell that is process 1 does not.
_GRACE_SECONDS: Final = 1
_STOPPABLE: Final = """trap 'exit 143' TERM; "$0" "$@" & wait $!"""
# Of a Dockerfile without steps no layers are written; what is pushed as such is then the image, which nothing matches.
_WITHOUT_STEPS: Final = (
    f" && {{ [ -e {crane.NEW_CACHE}/index.json ] || {{ rm -rf {crane.NEW_CACHE}; ln -s oci {crane.NEW_CACHE}; }}; }}"
)

_SOURCE: Final = "/source"
_TREE: Final = f"{_SOURCE}/tree"

_IMAGE_SIZE: Final = "8Gi"
_BUILDKIT_SIZE: Final = "16Gi"

_UNPACK_RESOURCES: Final[Manifest] = {
    "requests": {"cpu": "50m", "memory": "64Mi"},
    "limits": {"cpu": "1", "memory": "512Mi"},
}
_BUILD_RESOURCES: Final[Manifest] = {
    "requests": {"cpu": "250m", "memory": "256Mi"},
    "limits": {"cpu": "4", "memory": "4Gi"},
}


@dataclasses.dataclass(frozen=True)
class BuildStep:
    """What one kind of builder adds to the Pod: it makes an OCI layout of a source tree, without credentials.

    Attributes:
        container: the init container named `build`; mounts the volumes `source` (read-only) and `image`.
        volumes: further volumes of its own.
        annotations: further annotations of the Pod.
    """

    container: Manifest
    volumes: list[Manifest]
    annotations: dict[str, str]


def job(build: Build, labels: dict[str, str]) -> Manifest:
    """Return the manifest of the build Job, its Pods labelled like itself, with the component `build`.

    The container `push` leaves the image's `<repository>@sha256:…` as its termination message; the
    containers before it, on failure, the reason.
    """
    step = buildkit(build)
    labels = {**labels, COMPONENT_LABEL: "build"}
    annotations = {COMMIT_ANNOTATION: build.commit}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": build.job_name,
            "namespace": build.namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
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
        {"name": "image", "emptyDir": {"sizeLimit": _IMAGE_SIZE}},
        *step.volumes,
        *crane.volumes(build),
    ]
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER},
        "initContainers": [_unpack(build), *crane.pulls(build), step.container],
        "containers": crane.pushes(build),
        "volumes": volumes,
    }


def _source_size(limits: SourceLimits) -> str:
    """Return the size of the volume in which the tarball and what is unpacked from it are at once."""
    return f"{-(-(limits.compressed_bytes + limits.unpacked_bytes) // (1 << 30))}Gi"


def _unpack(build: Build) -> Manifest:
    environment = {
        "UNPACK_URL": build.tarball_url,
        "UNPACK_TARGET": _TREE,
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
        "env": _environment(environment),
        "volumeMounts": [{"name": "source", "mountPath": _SOURCE}],
        "resources": _UNPACK_RESOURCES,
        "securityContext": crane.CONFINED,
    }
    if build.tarball_secret_name:
        container["envFrom"] = [{"secretRef": {"name": build.tarball_secret_name}}]
    return container


def buildkit(build: Build) -> BuildStep:
    """Return the build step of rootless BuildKit, whose daemon lives as long as the build.

    It wants its set-uid helpers, hence no `allowPrivilegeEscalation: false`, and the system calls that
    make namespaces and mounts, hence a seccomp profile of its own or none.
    """
    flags = ["--oci-worker-no-process-sandbox"]
    mounts: list[Manifest] = [
        {"name": "source", "mountPath": _SOURCE, "readOnly": True},
        {"name": "image", "mountPath": crane.IMAGE},
        {"name": "buildkit", "mountPath": "/home/user/.local/share/buildkit"},
        *crane.cache_mount(build),
        *build_secrets.mounts(build),
    ]
    volumes: list[Manifest] = [
        {"name": "buildkit", "emptyDir": {"sizeLimit": _BUILDKIT_SIZE}},
        *build_secrets.volumes(build),
    ]
    annotations: dict[str, str] = {}
    if build.registry_insecure:
        # A file without another object and without a shell: the Pod's own annotation, mounted.
        key = f"{GROUP}/buildkitd.toml"
        # JSON's quoting of a string is TOML's too.
        annotations[key] = f"[registry.{json.dumps(_registry(build.image))}]\n  http = true\n"
        item = {"path": "buildkitd.toml", "fieldRef": {"fieldPath": f"metadata.annotations['{key}']"}}
        volumes.append({"name": "buildkitd-config", "downwardAPI": {"items": [item]}})
        mounts.append({"name": "buildkitd-config", "mountPath": "/etc/buildkitd", "readOnly": True})
        flags.append("--config=/etc/buildkitd/buildkitd.toml")
    profile = build.seccomp_profile
    container: Manifest = {
        "name": BUILD_CONTAINER,
        "image": build.builder_image,
        "command": [
            "sh",
            "-c",
            _script(build),
            "buildctl-daemonless.sh",
        ],
        "args": [
            "build",
            "--progress=plain",
            "--frontend=dockerfile.v0",
            *_buildkit_options(build.options),
            f"--output=type=oci,tar=false,dest={crane.LAYOUT}",
            *_buildkit_cache(build),
        ],
        "env": _environment({"BUILDKITD_FLAGS": " ".join(flags)}),
        "volumeMounts": mounts,
        "resources": _BUILD_RESOURCES,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
            "seccompProfile": (
                {"type": "Localhost", "localhostProfile": profile} if profile else {"type": "Unconfined"}
            ),
            "appArmorProfile": {"type": "Unconfined"},
        },
    }
    return BuildStep(container=container, volumes=volumes, annotations=annotations)


def _buildkit_options(options: BuildOptions) -> list[str]:
    """Return the arguments of `buildctl build` that say what is built of the source tree, and how."""
    dockerfile = posixpath.join(_TREE, options.dockerfile or posixpath.join(options.context, "Dockerfile"))
    arguments = [
        f"--local=context={posixpath.join(_TREE, options.context).rstrip('/')}",
        f"--local=dockerfile={posixpath.dirname(dockerfile)}",
    ]
    if options.dockerfile:
        arguments.append(f"--opt=filename={posixpath.basename(dockerfile)}")
    if options.target:
        arguments.append(f"--opt=target={options.target}")
    if options.platform:
        arguments.append(f"--opt=platform={options.platform}")
    arguments += [f"--opt=build-arg:{name}={value}" for name, value in options.arguments.items()]
    # As in `_environment`: Kubernetes would expand `$(NAME)`.
    return [argument.replace("$", "$$") for argument in arguments]


def _script(build: Build) -> str:
    """Return what the shell runs that starts the builder."""
    secrets = build_secrets.OFFER_FILES if build.secrets else ""
    return f"{secrets}{_STOPPABLE}{_WITHOUT_STEPS if build.cache_to else ''}"


def _buildkit_cache(build: Build) -> list[str]:
    """Return the arguments of `buildctl build` for layers of earlier builds, and for later ones.

    By files, since the registry would want a credential here. With the layers of all stages, as an image that every
    registry takes.

    https://github.com/moby/buildkit#local-directory-1
    """
    arguments: list[str] = []
    if build.cache_from:
        digest = build.cache_from.partition("@")[2]
        arguments.append(f"--import-cache=type=local,src={crane.OLD_CACHE},digest={digest}")
    if build.cache_to:
        how = "mode=max,image-manifest=true,oci-mediatypes=true"
        arguments.append(f"--export-cache=type=local,dest={crane.NEW_CACHE},{how}")
    return arguments


def _environment(values: dict[str, str]) -> list[Manifest]:
    """Return a container's `env`. A `$` is doubled: Kubernetes expands `$(NAME)` in values."""
    return [{"name": name, "value": value.replace("$", "$$")} for name, value in values.items()]


def _registry(image: str) -> str:
    return image.partition("/")[0]
