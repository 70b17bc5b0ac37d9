"""The build step of Buildah, without a daemon. Pure.

As user 1000 it wants what rootless BuildKit wants, and the system call chroot. As root of a user namespace that the
Pod has for itself it wants no set-uid helper, so that nothing in its container can gain a privilege. In neither can its
steps be kept off the network, and it takes no layers from other builds.
"""

from __future__ import annotations

import json
from typing import Final

from stacks import build_secrets, build_step, crane
from stacks.build_step import BUILD_CONTAINER, STOPPABLE, BuildStep
from stacks.inputs import Build
from stacks.manifest import Manifest
from stacks.naming import GROUP

_VOLUME: Final = "buildah"
_STORAGE: Final = "/storage"
_CONFIGURATION: Final = "/etc/buildah"
_REGISTRIES: Final = f"{GROUP}/registries.conf"
_POLICY: Final = f"{GROUP}/policy.json"

# The folder that is built from comes last, after the Secrets: Buildah reads no option behind it.
_FOLDER_LAST: Final = """folder=$1; shift; {offer}set -- "$@" "$folder"; """

_AS_USER: Final[Manifest] = {
    "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
}
_AS_ROOT_OF_A_NAMESPACE: Final[Manifest] = {
    "runAsUser": 0,
    "runAsGroup": 0,
    "runAsNonRoot": False,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "FOWNER", "SETFCAP"]},
}


def step(build: Build) -> BuildStep:
    """Return it."""
    files = {"registries.conf": (_REGISTRIES, _registries(build))}
    if build.image_registries:
        files["policy.json"] = (_POLICY, _source_policy(build.image_registries))
    items = [
        {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
        for path, (annotation, _) in files.items()
    ]
    offer = build_secrets.OFFER_FILES if build.secrets else ""
    container: Manifest = {
        "name": BUILD_CONTAINER,
        "image": build.builder_image,
        "command": ["sh", "-c", f"{_FOLDER_LAST.format(offer=offer)}{STOPPABLE}", "buildah"],
        "args": build_step.literal(
            [
                build_step.context(build.options),
                f"--root={_STORAGE}/root",
                f"--runroot={_STORAGE}/run",
                "--storage-driver=overlay",
                f"--registries-conf={_CONFIGURATION}/registries.conf",
                "build",
                "--isolation=chroot",
                "--format=oci",
                f"--tag=oci:{crane.LAYOUT}",
                *([f"--signature-policy={_CONFIGURATION}/policy.json"] if build.image_registries else []),
                *_options(build),
            ]
        ),
        "volumeMounts": [
            *build_step.mounts(build, _VOLUME, _STORAGE),
            {"name": "buildah-config", "mountPath": _CONFIGURATION, "readOnly": True},
        ],
        "resources": build_step.resources(build),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            **(_AS_ROOT_OF_A_NAMESPACE if build.user_namespace else _AS_USER),
            "seccompProfile": build_step.seccomp(build.seccomp_profile),
            "appArmorProfile": {"type": "Unconfined"},
        },
    }
    return BuildStep(
        container=container,
        volumes=[
            *build_step.volumes(build, _VOLUME),
            {"name": "buildah-config", "downwardAPI": {"items": items}},
        ],
        annotations=dict(files.values()),
        host_users=not build.user_namespace,
    )


def _options(build: Build) -> list[str]:
    options = build.options
    arguments = [f"--file={build_step.dockerfile(options)}"]
    if options.target:
        arguments.append(f"--target={options.target}")
    if options.platform:
        arguments.append(f"--platform={options.platform}")
    arguments += [f"--build-arg={name}={value}" for name, value in options.arguments.items()]
    return arguments


def _source_policy(registries: tuple[str, ...]) -> str:
    """Return a policy.json that rejects all images of registries but of these.

    https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md
    """
    accept = [{"type": "insecureAcceptAnything"}]
    images = {"": [{"type": "reject"}], **dict.fromkeys(registries, accept)}
    # Stages that others build on are no image of a registry.
    return json.dumps({"default": accept, "transports": {"docker": images}})


def _registries(build: Build) -> str:
    """Return a registries.conf: names without a registry are Docker Hub's, as with other builders."""
    text = 'unqualified-search-registries = ["docker.io"]\n'
    if build.registry_insecure:
        # JSON's quoting of a string is TOML's too.
        text += f"[[registry]]\nlocation = {json.dumps(build_step.registry(build))}\ninsecure = true\n"
    return text
