"""What `reviewapp state reencrypt` asks for before it touches a state. What it does then is an integration test's."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from provisioner.errors import ReviewAppError
from tests.samples.memory import MemoryCluster
from watcher.cli import app
from watcher.cluster import DEPLOYMENTS, Cluster


def no_engine(*, timeout_seconds: float) -> float:
    return timeout_seconds


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryCluster:
    """The cluster that the command finds; its settings hold, and there is an old passphrase."""
    cluster = MemoryCluster()
    monkeypatch.setattr(Cluster, "from_environment", lambda: cluster)
    monkeypatch.setattr("watcher.stack_commands.Engine", no_engine)
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


def test_a_watcher_that_runs_is_to_be_stopped_first(cluster: MemoryCluster) -> None:
    cluster.create(DEPLOYMENTS, "reviewapp-system", {"metadata": {"name": "reviewapp"}, "status": {"replicas": 1}})
    assert "stop it first, with `kubectl -n reviewapp-system scale deployment/reviewapp --replicas=0`" in refused()


@pytest.mark.usefixtures("cluster")
def test_it_says_where_the_old_passphrase_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "can't be read or is empty" in refused("--old-passphrase-file", str(tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    assert "can't be read or is empty" in refused("--old-passphrase-file", str(tmp_path / "empty"))
    monkeypatch.delenv("REVIEWAPP_OLD_PASSPHRASE")
    assert "REVIEWAPP_OLD_PASSPHRASE is not set" in refused()
