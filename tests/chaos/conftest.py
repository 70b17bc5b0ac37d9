"""An installation of its own for the watchers that faults are injected into."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator

import pytest
import structlog

from dev.installation import Installation
from dev.paths import STATE
from dev.sample import Sample
from dev.target import BASE_IMAGE
from tests.chaos.versions import Version, commit_all
from watcher.cluster import NAMESPACES, Cluster

_TARBALLS = "chaos-tarballs"


@pytest.fixture(scope="module")
def cluster() -> Generator[Cluster]:
    # What an informer of ours says of a server that is away is not of interest.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield Cluster.from_environment()
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def installation(cluster: Cluster) -> Generator[Installation]:
    installation = Installation(cluster, STATE / "chaos")
    installation.install()
    installation.log.unlink(missing_ok=True)
    installation.namespace(_TARBALLS)
    yield installation
    cluster.delete(NAMESPACES, None, _TARBALLS)


@pytest.fixture(scope="module")
def sample(cluster: Cluster, installation: Installation) -> Sample:
    return Sample(cluster, _TARBALLS, os.environ[BASE_IMAGE])


@pytest.fixture(scope="module")
def versions(sample: Sample) -> list[Version]:
    return commit_all(sample)
