"""The build step of Kaniko, which builds and pushes in one container, as the older operator had it. Pure.

A step of the Dockerfile runs in that very container, as its root: it can read the credentials that the image is pushed
with. So it is for repositories whose every contributor may push to the registry, and for moving over.
"""

from __future__ import annotations

import posixpath
from typing import Final

from stacks import build_step, crane
from stacks.build_step import BUILD_CONTAINER, BuildStep
from stacks.inputs import Build
from stacks.manifest import Manifest

_DOCKER_CONFIGURATION: Final = "/kaniko/.docker"


def step(build: Build) -> BuildStep:
    """Return it."""
    options = build.options
    arguments = [
        f"--context=dir://{build_step.context(options)}",
        f"--dockerfile={posixpath.relpath(build_step.dockerfile(options), build_step.context(options))}",
        f"--destination={build.image}",
        "--image-name-with-digest-file=/dev/termination-log",
    ]
    if build.registry_insecure:
        host = build_step.registry(build)
        arguments += ["--insecure", f"--insecure-registry={host}"]
    if options.target:
        arguments.append(f"--target={options.target}")
    if options.platform:
        arguments.append(f"--custom-platform={options.platform}")
    arguments += [f"--build-arg={name}={value}" for name, value in options.arguments.items()]
    mounts: list[Manifest] = [{"name": "source", "mountPath": build_step.SOURCE, "readOnly": True}]
    if build.push_secret_name:
        mounts.append({"name": crane.CREDENTIALS, "mountPath": _DOCKER_CONFIGURATION, "readOnly": True})
    container: Manifest = {
        "name": BUILD_CONTAINER,
        "image": build.builder_image,
        "args": build_step.literal(arguments),
        "volumeMounts": mounts,
        "resources": build_step.resources(build),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            # What unpacking an image's layers takes.
            "capabilities": {
                "drop": ["ALL"],
                "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP", "SETGID", "SETUID"],
            },
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return BuildStep(container=container, volumes=[], pushes=True)
