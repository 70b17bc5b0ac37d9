"""Which tests this machine can run, and which stay in one process. With CI=true, what can't run is a failure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from dev.target import NO_CLUSTER

# How long an example takes says more of what else the machine does.
settings.register_profile("all", deadline=None)
settings.load_profile("all")


def _missing(marker: str) -> str | None:
    """Return why tests with this marker can't run; None if they can."""
    if marker == "engine" and shutil.which("pulumi") is None:
        return "there is no pulumi on PATH: run the tests with `make test`"
    if marker == "cluster" and not os.environ.get("KUBECONFIG"):
        return os.environ.get(NO_CLUSTER) or "KUBECONFIG is not set: run the tests with `make test`"
    if marker == "postgres" and not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return "there is no PostgreSQL server of Debian's: run the tests with `make test`"
    return None


class _Scheduling(LoadScopeScheduling):
    """Keep the tests of a folder that share a watcher or an engine in one process, where there are several."""

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.split("/")[1]
        # A process works with one installation at a time, and others wait for it to end.
        return {"builds": "builds", "chaos": "e2e", "e2e": "e2e", "integration": "integration"}.get(folder, nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _Scheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in ("engine", "cluster", "postgres"):
        reason = _missing(marker) if item.get_closest_marker(marker) else None
        if reason and os.environ.get("CI") == "true":
            pytest.fail(f"with CI=true every test has to run: {reason}", pytrace=False)
        if reason:
            pytest.skip(reason)
