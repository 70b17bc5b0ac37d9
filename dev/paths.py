"""Where `dev/` keeps what it builds and runs: one cache shared by all clones, one state folder for the cluster."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reviewapp"
"""Everything that is costly to make and the same for each clone."""

TOOLCHAIN = CACHE / "toolchain"
"""One folder for each built component, named by version and recipe."""

STATE = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "reviewapp"
"""Work folders and logs of what runs from a checkout: the demo's and the tests' watchers."""
