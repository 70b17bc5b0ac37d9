"""All that a round of faults needs: two watchers behind a proxy, pull requests that come and go, and their state."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kubernetes import config
from kubernetes.client import Configuration

from dev.installation import Installation
from dev.sample import Sample
from provisioner.state_store import open_store
from tests.chaos.invariants import Deployed, Invariants, settled
from tests.chaos.load import Load, Open
from tests.chaos.points import ORDERS_VARIABLE, Orders
from tests.chaos.proxy import Proxy, proxy
from tests.chaos.replica import Replica
from tests.chaos.state import State
from tests.chaos.versions import Version
from tests.e2e.pull_request import BUILDS
from tests.e2e.waiting import until
from tests.state_servers import S3_CREDENTIALS, StateServers, state_servers
from watcher.cluster import NAMESPACES, REVIEW_APPS, Cluster

NAMESPACES_OF_APPS = ("chaos-a", "chaos-b", "chaos-c")
_SETTINGS = {
    "build_cache": "false",
    "build_cpu_request": "20m",
    "build_retries": "1",
    "build_timeout_seconds": "120",
    "engine_timeout_seconds": "45",
    "maximum_builds": "2",
}


@dataclasses.dataclass
class Stage:
    """What faults are injected into."""

    cluster: Cluster
    installation: Installation
    replicas: list[Replica]
    proxy: Proxy
    load: Load
    state: State
    orders: Orders
    deployed: Deployed
    invariants: Invariants
    servers: StateServers

    @property
    def folder(self) -> Path:
        return self.installation.folder

    def leader(self) -> Replica:
        """Return the watcher that acts; wait for one."""
        return until(lambda: next((one for one in self.replicas if one.leads), None), "a watcher acts", 60)

    def other(self, replica: Replica) -> Replica:
        return next(one for one in self.replicas if one is not replica)

    def apps(self) -> list[Open]:
        """Return the pull requests that are open, in a fixed order."""
        return sorted(self.load.open.values(), key=lambda one: one.pull_request.stack)


@contextmanager
def stage(
    cluster: Cluster,
    installation: Installation,
    sample: Sample,
    versions: list[Version],
    state_kind: str,
    seed: int,
    *,
    most_open: int,
    pause: float,
) -> Generator[Stage]:
    """Set the stage; in the end, see that nothing is left of anything."""
    for namespace in NAMESPACES_OF_APPS:
        installation.namespace(namespace)
    orders_folder = installation.folder / "orders"
    orders_folder.mkdir(exist_ok=True)
    temporary = installation.folder / "temporary"
    temporary.mkdir(exist_ok=True)
    orders = Orders(orders_folder)
    orders.clear()
    # A run that was broken off may have left them. What it left in the cluster, the watchers clear away.
    for name in ("state", "work"):
        shutil.rmtree(installation.folder / name, ignore_errors=True)
    with state_servers() as servers, proxy(_configuration()) as between, pytest.MonkeyPatch.context() as patch:
        patch.setenv(ORDERS_VARIABLE, str(orders_folder))
        patch.setenv("TMPDIR", str(temporary))
        for name, value in S3_CREDENTIALS.items():
            patch.setenv(name, value)
        url = servers.new(state_kind) or f"file://{installation.folder / 'state'}"
        store = open_store(url)
        assert store
        settings = _SETTINGS | {"backend_url": url}
        replicas = [
            Replica(host, installation.watcher_command(between.url, host, "tests.chaos.watch", **settings))
            for host in ("watcher-a", "watcher-b")
        ]
        folder = installation.folder
        state = State(store, folder)
        load = Load(cluster, sample, versions, NAMESPACES_OF_APPS, folder / "state", most_open, pause, seed)
        deployed = Deployed(cluster, load)
        invariants = Invariants(cluster, load, state, replicas, folder, (*NAMESPACES_OF_APPS, BUILDS))
        set_stage = Stage(cluster, installation, replicas, between, load, state, orders, deployed, invariants, servers)
        try:
            until(lambda: all(one.is_ready for one in replicas), "both watchers are ready", 60)
            for item in cluster.list(REVIEW_APPS)[0]:
                if item["spec"]["config"]["namespace"] in NAMESPACES_OF_APPS:
                    cluster.delete(REVIEW_APPS, None, item["metadata"]["name"])
            until(lambda: not settled(invariants), "what an earlier run left is gone", 120, invariants.wrong)
            yield set_stage
        finally:
            load.stop()
            deployed.stop()
            codes = [one.stop() for one in replicas]
            for namespace in NAMESPACES_OF_APPS:
                cluster.delete(NAMESPACES, None, namespace)
    assert codes == [0, 0]


def _configuration() -> Configuration:
    configuration = Configuration()
    config.load_kube_config(os.environ["KUBECONFIG"], client_configuration=configuration)  # pyright: ignore[reportUnknownMemberType]
    return configuration
