"""The version of the next release: what images and the chart are called by, until there is a tag of it."""

from __future__ import annotations

import tomllib

from dev.paths import REPOSITORY


def next_release() -> str:
    """Return it as in 1.2.3, from pyproject.toml, whose own version is that of git's tags."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["version"]
    return settings["fallback-version"].removesuffix(".dev0")
