"""Push the images to a registry that clusters pull from."""

from __future__ import annotations

import subprocess

from dev.console import Step, fail
from dev.images.recipes import published_images
from dev.toolchain.build import build
from dev.toolchain.components import CRANE

_DEADLINE_SECONDS = 300


def publish(registry: str, inside: tuple[str, ...] = ()) -> dict[str, str]:
    """Push the images that the registry does not have; return each image's reference by its name.

    Args:
        registry: host and port, with a path if need be; plain HTTP will do. Credentials come from Docker's
            configuration, as for any client.
        inside: prefix of a command that reaches the registry (`ClusterAccess.inside`).

    Raises:
        SystemExit: an image was not made or not pushed.
    """
    program = str(build(CRANE) / "crane")
    references: dict[str, str] = {}
    for image in published_images():
        reference = references[image.name] = f"{registry}/reviewapp/{image.name}:{image.tag}"
        if _run(*inside, program, "digest", "--insecure", reference).returncode == 0:
            continue
        with Step(f"push {image.name} to {registry}"), image.archive(reference) as archive:
            pushed = _run(*inside, program, "push", "--insecure", str(archive), reference)
        if pushed.returncode:
            fail(
                f"{reference} was not pushed: {pushed.stderr.strip()}",
                "check that the registry runs and takes pushes from here",
            )
    return references


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_SECONDS, check=False)
