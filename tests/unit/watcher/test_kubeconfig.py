"""Where no cluster can be found the error says why, and what to do: no file, or one that is no kubeconfig."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.errors import ClusterUnreachable
from watcher.kubeconfig import configuration

_SERVER = "https://cluster.example.com:6443"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    # The client reads the variable once, when it is imported.
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    return path


def said() -> str:
    with pytest.raises(ClusterUnreachable) as caught:
        configuration()
    return str(caught.value)


def test_a_kubeconfig(file: Path) -> None:
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    document = {
        "current-context": "a",
        "contexts": [context],
        "clusters": [{"name": "a", "cluster": {"server": _SERVER}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
    }
    file.write_text(json.dumps(document))
    assert configuration().host == _SERVER


@pytest.mark.usefixtures("file")
def test_a_file_that_is_not_there() -> None:
    assert "KUBECONFIG names no file that is there: " in said()
    assert said().endswith("set KUBECONFIG to a kubeconfig, or put one at ~/.kube/config")


def test_none_at_all(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(file.parent))
    assert "(no cluster is configured): set KUBECONFIG to a kubeconfig" in said()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"clusters: [", "it is not YAML"),
        (b"\x7fELF\xd0", "it is not YAML"),
        (b"root:x:0:0", "it is no kubeconfig"),
        (b"- a", "it is no kubeconfig"),
        (b"clusters: 4", "it is no kubeconfig"),
        (b"contexts: {a: b}\ncurrent-context: a", "contexts"),
        (b"kind: Config\nclusters: []", "Expected key current-context"),
    ],
)
def test_what_is_no_kubeconfig(file: Path, content: bytes, why: str) -> None:
    file.write_bytes(content)
    assert f"{file}: " in said()
    assert why in said()
    assert "correct it, or set KUBECONFIG to another" in said()


def test_a_folder(file: Path) -> None:
    file.mkdir()
    assert "Is a directory" in said()
