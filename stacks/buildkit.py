"""The build step of rootless BuildKit, whose daemon lives as long as the build. Pure.

It wants its set-uid helpers, hence no `allowPrivilegeEscalation: false`, and the system calls that make namespaces and
mounts, hence a seccomp profile of its own or none.
"""

from __future__ import annotations

import json
import posixpath
from typing import Final

from stacks import build_secrets, build_step, crane
from stacks.build_step import BUILD_CONTAINER, STOPPABLE, BuildStep
from stacks.inputs import Build
from stacks.manifest import Manifest
from stacks.naming import GROUP

_VOLUME: Final = "buildkit"
_SOURCES: Final = f"{GROUP}/sources.json"
# Of a Dockerfile without steps no layers are written; what is pushed as such is then the image, which nothing matches.
_WITHOUT_STEPS: Final = (
    f" && {{ [ -e {crane.NEW_CACHE}/index.json ] || {{ rm -rf {crane.NEW_CACHE}; ln -s oci {crane.NEW_CACHE}; }}; }}"
)


def step(build: Build) -> BuildStep:
    """Return it."""
    flags = ["--oci-worker-no-process-sandbox"]
    mounts = build_step.mounts(build, _VOLUME, "/home/user/.local/share/buildkit")
    volumes = build_step.volumes(build, _VOLUME)
    annotations: dict[str, str] = {}
    if build.registry_insecure:
        # A file without another object and without a shell: the Pod's own annotation, mounted.
        key = f"{GROUP}/buildkitd.toml"
        # JSON's quoting of a string is TOML's too.
        annotations[key] = f"[registry.{json.dumps(build_step.registry(build))}]\n  http = true\n"
        item = {"path": "buildkitd.toml", "fieldRef": {"fieldPath": f"metadata.annotations['{key}']"}}
        volumes.append({"name": "buildkitd-config", "downwardAPI": {"items": [item]}})
        mounts.append({"name": "buildkitd-config", "mountPath": "/etc/buildkitd", "readOnly": True})
        flags.append("--config=/etc/buildkitd/buildkitd.toml")
    sources: list[str] = []
    if build.image_registries:
        annotations[_SOURCES] = _source_policy(build.image_registries)
        item = {"path": "sources.json", "fieldRef": {"fieldPath": f"metadata.annotations['{_SOURCES}']"}}
        volumes.append({"name": "sources", "downwardAPI": {"items": [item]}})
        mounts.append({"name": "sources", "mountPath": "/etc/sources", "readOnly": True})
        sources.append("--source-policy-file=/etc/sources/sources.json")
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
            *sources,
            *_options(build),
            f"--output=type=oci,tar=false,dest={crane.LAYOUT}",
            *_cache(build),
        ],
        "env": build_step.environment({"BUILDKITD_FLAGS": " ".join(flags)}),
        "volumeMounts": mounts,
        "resources": build_step.resources(build),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
            "seccompProfile": build_step.seccomp(build.seccomp_profile),
            "appArmorProfile": {"type": "Unconfined"},
        },
    }
    return BuildStep(container=container, volumes=volumes, annotations=annotations)


def _options(build: Build) -> list[str]:
    """Return the arguments of `buildctl build` that say what is built of the source tree, and how."""
    options = build.options
    file = build_step.dockerfile(options)
    arguments = [f"--local=context={build_step.context(options)}", f"--local=dockerfile={posixpath.dirname(file)}"]
    if options.dockerfile:
        arguments.append(f"--opt=filename={posixpath.basename(file)}")
    if options.target:
        arguments.append(f"--opt=target={options.target}")
    if options.platform:
        arguments.append(f"--opt=platform={options.platform}")
    if build.network == "none":
        # Of the steps alone: base images are still pulled.
        arguments.append("--opt=force-network-mode=none")
    arguments += [f"--opt=build-arg:{name}={value}" for name, value in options.arguments.items()]
    return build_step.literal(arguments)


def _source_policy(registries: tuple[str, ...]) -> str:
    """Return a policy that denies all images but those of these registries, whoever names them: the last rule wins.

    https://github.com/moby/buildkit/blob/master/docs/build-repro.md#reproducing-the-pinned-dependencies
    """
    # A tag's and a digest's sign too, where it can't be a port's.
    below = [f"{one}{sign}*" for one in registries for sign in ("/:@" if "/" in one else "/")]
    rules = [("DENY", "*"), *(("ALLOW", pattern) for pattern in below)]
    return json.dumps(
        {
            "rules": [
                {"action": action, "selector": {"identifier": f"docker-image://{pattern}"}} for action, pattern in rules
            ]
        }
    )


def _script(build: Build) -> str:
    """Return what the shell runs that starts the builder."""
    secrets = build_secrets.OFFER_FILES if build.secrets else ""
    return f"{secrets}{STOPPABLE}{_WITHOUT_STEPS if build.cache_to else ''}"


def _cache(build: Build) -> list[str]:
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
