"""What `reviewapp state reencrypt` asks for before it touches a state. What it does then is an integration test's."""

from __future__ import annotations

import datetime
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from provisioner.errors import ReviewAppError
from tests.samples.memory import MemoryCluster
from watcher import lease
from watcher.cli import app
from watcher.cluster import LEASES, Cluster


def no_engine(*, timeout_seconds: float) -> float:
    return timeout_seconds


def no_stacks(*_: object) -> list[str]:
    return []


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryCluster:
    """The cluster that the command finds; its settings hold, and there is an old passphrase."""
    cluster = MemoryCluster()
    monkeypatch.setattr(Cluster, "from_environment", lambda _seconds=0.0: cluster)
    monkeypatch.setattr("watcher.state_commands.Engine", no_engine)
    values = {
        "APP_DOMAIN": "example.com",
        "REGISTRY": "registry",
        "DATA_FOLDER": str(tmp_path),
        "PASSPHRASE": "the passphrase that is to be",
        "OLD_PASSPHRASE": "the passphrase that was",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"REVIEWAPP_{name}", value)
    return cluster


def refused(*arguments: str) -> str:
    error = CliRunner().invoke(app, ["state", "reencrypt", *arguments]).exception
    assert isinstance(error, ReviewAppError)
    return str(error)


def held(cluster: MemoryCluster, seconds: int = 1) -> None:
    found = cluster.get(LEASES, "reviewapp-system", lease.NAME)
    body = lease.held(found, "another-host_1_1_abcd", datetime.datetime.now(datetime.UTC))
    body["spec"]["leaseDurationSeconds"] = seconds
    if found:
        cluster.replace(LEASES, "reviewapp-system", body)
    else:
        cluster.create(LEASES, "reviewapp-system", body)


def test_a_watcher_that_leads_is_to_be_stopped_first(cluster: MemoryCluster) -> None:
    held(cluster, seconds=20)
    renewal = threading.Timer(0.7, held, [cluster])
    renewal.start()
    assert "stop it first, with `kubectl -n reviewapp-system scale deployment/reviewapp --replicas=0`" in refused()
    renewal.join()


def test_one_that_was_killed_is_seen_not_to_renew(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watcher.state_commands.stack_names", no_stacks)
    held(cluster)
    done = CliRunner().invoke(app, ["state", "reencrypt"])
    assert done.exit_code == 0
    assert "0 stacks are encrypted by the new passphrase" in done.stdout


@pytest.mark.usefixtures("cluster")
def test_it_says_where_the_old_passphrase_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "can't be read or is empty" in refused("--old-passphrase-file", str(tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    assert "can't be read or is empty" in refused("--old-passphrase-file", str(tmp_path / "empty"))
    monkeypatch.delenv("REVIEWAPP_OLD_PASSPHRASE")
    assert "REVIEWAPP_OLD_PASSPHRASE is not set" in refused()
