"""What a builder says of an image that the setting `image_registries` keeps it from taking, in our words. Pure."""

from __future__ import annotations

import re
from typing import Final

from stacks.inputs import Build

# BuildKit's words, and Buildah's. A pull request can have its build print them: what is quoted is a name, or nothing.
_DENIED: Final = re.compile(
    r'source "docker-image://(?P<buildkit>[\w./:@-]{1,300})" denied by policy'
    r"|Running image docker://(?P<buildah>[\w./:@-]{1,300}) is rejected by policy"
    r"|COPY --from=(?P<copied>[\w./:@-]{1,300}): no stage or image found with that name"
)
_HUB: Final = "docker.io"


def denied(build: Build, text: str) -> str | None:
    """Return which image the rule denies and what to do, where the end of a build says that it was that."""
    found = _DENIED.search(text) if build.image_registries else None
    if found is None:
        return None
    if found["copied"] and _is_within(found["copied"], build.image_registries):
        # It is not there: Buildah says the same of either.
        return None
    image = found["buildkit"] or found["buildah"] or found["copied"]
    allowed = ", ".join(build.image_registries)
    return (
        f"Dockerfile: {image} does not come from where images may: the setting image_registries is {allowed}: "
        "name an image from there, or have the platform's owner add its registry"
    )


def _is_within(image: str, registries: tuple[str, ...]) -> bool:
    host, slash, rest = image.partition("/")
    if not slash or not re.search(r"[.:]|^localhost$", host):
        # https://docs.docker.com/reference/cli/docker/image/tag/
        host, rest = _HUB, image if slash else f"library/{image}"
    name = f"{host}/{rest}"
    return any(re.match(rf"{re.escape(one)}(?:/|{'[:@]|$' if '/' in one else '$'})", name) for one in registries)
