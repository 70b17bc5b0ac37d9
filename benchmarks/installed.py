"""An installation of its own for a benchmark, on the cluster of KUBECONFIG, whose watcher runs."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.console import fail
from dev.installation import Installation
from dev.sample import Sample
from dev.target import BASE_IMAGE
from provisioner.errors import ReviewAppError
from watcher.cluster import Cluster

NAMESPACE = "reviewapp-benchmark"
"""Where the apps are."""


@dataclass(frozen=True)
class Installed:
    """What a benchmark works with."""

    cluster: Cluster
    installation: Installation
    sample: Sample
    watcher: subprocess.Popen[bytes]


@contextmanager
def installed(**settings: str) -> Generator[Installed]:
    """Install, and run a watcher with these settings during the block; end the program where that can't be done."""
    with tempfile.TemporaryDirectory(prefix="reviewapp-benchmark-") as folder:
        try:
            cluster = Cluster.from_environment()
            installation = Installation(cluster, Path(folder))
            installation.install()
            installation.namespace(NAMESPACE)
            sample = Sample(cluster, "default", os.environ[BASE_IMAGE])
            with installation.watcher(**settings) as watcher:
                yield Installed(cluster, installation, sample, watcher)
        except ReviewAppError as error:
            fail(str(error), "see whether the cluster is up: `make down`, then `python -m dev up`")
