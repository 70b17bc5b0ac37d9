"""The Secrets that a pull request gives its build: copies in the build namespace, for the build container alone. Pure.

Their keys are not known here: the build container offers each file that it finds to the steps that ask for its id,
`NAME/KEY`.
"""

from __future__ import annotations

from typing import Final

from stacks import naming
from stacks.inputs import Build, StackInputs
from stacks.manifest import Manifest, object_labels

FOLDER: Final = "/build-secrets"

OFFER_FILES: Final = (
    f"for file in {FOLDER}/*/* {FOLDER}/*/.[!.]*; do "
    f'if [ -f "$file" ]; then set -- "$@" "--secret=id=${{file#{FOLDER}/}},src=$file"; fi; done; '
)
"""Text of a shell that adds an argument of `buildctl build` for each key, `.npmrc` and the like included."""


def secret_name(build: Build, name: str) -> str:
    """Return the name of the copy of a Secret."""
    return naming.part_name(build.job_name, f"secret-{name}")


def secrets(inputs: StackInputs, build: Build) -> list[Manifest]:
    """Return the copies; there are none once the build has ended."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {
                "name": secret_name(build, secret.name),
                "namespace": build.namespace,
                "labels": object_labels(inputs, "build-secret"),
            },
            "data": dict(secret.data),
        }
        for secret in build.secrets
        if secret.data
    ]


def volumes(build: Build) -> list[Manifest]:
    """Return a volume for each Secret."""
    return [
        {"name": f"secret-{number}", "secret": {"secretName": secret_name(build, secret.name)}}
        for number, secret in enumerate(build.secrets)
    ]


def mounts(build: Build) -> list[Manifest]:
    """Return how the build container mounts them."""
    return [
        {"name": f"secret-{number}", "mountPath": f"{FOLDER}/{secret.name}", "readOnly": True}
        for number, secret in enumerate(build.secrets)
    ]
