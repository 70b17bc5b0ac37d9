"""A sample app and its commits: a real git repository, its tarballs, and a web server in the cluster for them."""

from __future__ import annotations

import base64
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dev.console import Step, fail
from watcher.cluster import PODS, SERVICES, Cluster, Object, Resource, section
from watcher.conditions import condition

CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
_SOURCES = Path(__file__).parent / "sample_app"
_SERVER = "tarballs"
_DEADLINE_SECONDS = 60.0
_LABELS = {"app.kubernetes.io/name": _SERVER}


class Sample:
    """A repository `acme/shop` with as many commits as asked for, each as a tarball.

    Args:
        cluster: where the tarballs are served from.
        namespace: where the web server runs.
        base_image: busybox, from a registry that the cluster pulls from.
    """

    def __init__(self, cluster: Cluster, namespace: str, base_image: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._image = base_image
        self._tarballs: dict[str, bytes] = {}
        self._files = {
            path.relative_to(_SOURCES).as_posix(): path.read_text() for path in _SOURCES.rglob("*") if path.is_file()
        }
        self._files["Dockerfile"] = self._files["Dockerfile"].replace("base-image", base_image)

    def commit(self, text: str, files: dict[str, str] | None = None) -> str:
        """Commit a version whose page shows `text` and the commit's own hash; return that hash.

        Args:
            text: what the page says.
            files: files by name that this version has otherwise, or in addition.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            # The hash of a commit can't stand in that commit: git archive puts it there.
            page = {
                "www/index.html": f"{text}, commit $Format:%H$\n",
                ".gitattributes": "www/index.html export-subst\n",
            }
            for path, content in (self._files | page | (files or {})).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(content)
            _git(folder, "init", "--quiet")
            _git(folder, "add", "--all")
            _git(folder, "commit", "--quiet", "--message", text)
            commit = _git(folder, "rev-parse", "HEAD").decode().strip()
            self._tarballs[commit] = _git(folder, "archive", "--format=tar.gz", f"--prefix=shop-{commit}/", "HEAD")
        return commit

    def url(self, commit: str) -> str:
        """Return where Pods fetch the tarball of a commit."""
        return f"http://{_SERVER}.{self._namespace}.svc.cluster.local/{commit}.tar.gz"

    def spec(self, commit: str, namespace: str, pull_request: str = "42") -> dict[str, Any]:
        """Return the spec of a ReviewApp of a commit, as the bot would write it."""
        return {
            "repoOwner": "acme",
            "repo": "shop",
            "branch": "feature/new-basket",
            "pr": pull_request,
            "commitHash": commit,
            "tarballUrl": self.url(commit),
            "config": {
                "namespace": namespace,
                "applicationPort": 8080,
                "env": {"values": [{"name": "GREETING", "value": "hello"}]},
            },
        }

    def tarball(self, commit: str) -> bytes:
        """Return the tarball of a commit."""
        return self._tarballs[commit]

    def repack(self, commit: str, pack: Callable[[bytes], bytes]) -> None:
        """Have another tarball of a commit, made by `pack` of the one that there is."""
        self._tarballs[commit] = pack(self._tarballs[commit])

    def serve(self) -> None:
        """Start a web server in the cluster that has all tarballs made so far; in place of one that runs."""
        data = {f"{commit}.tar.gz": base64.b64encode(content).decode() for commit, content in self._tarballs.items()}
        with Step("start a web server in the cluster for the tarballs"):
            self._cluster.delete(PODS, self._namespace, _SERVER)
            self._cluster.delete(SERVICES, self._namespace, _SERVER)
            self._cluster.delete(CONFIG_MAPS, self._namespace, _SERVER)
            self._wait(lambda pod: pod is None)
            self._cluster.create(CONFIG_MAPS, self._namespace, {"metadata": {"name": _SERVER}, "binaryData": data})
            self._cluster.create(SERVICES, self._namespace, _service())
            self._cluster.create(PODS, self._namespace, _pod(self._image))
            self._wait(_is_ready)

    def _wait(self, done: Callable[[Object | None], bool]) -> None:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not done(pod := self._cluster.get(PODS, self._namespace, _SERVER)):
            if time.monotonic() > deadline:
                fail(f"Pod {_SERVER} is not ready: {section(pod or {}, 'status')}", "see `kubectl describe pod`")
            time.sleep(0.1)


def _is_ready(pod: Object | None) -> bool:
    return condition(pod or {}, "Ready") == "True"


def _service() -> Object:
    return {"metadata": {"name": _SERVER}, "spec": {"selector": _LABELS, "ports": [{"port": 80, "targetPort": 8080}]}}


def _pod(image: str) -> Object:
    return {
        "metadata": {"name": _SERVER, "labels": _LABELS},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsUser": 1000, "runAsNonRoot": True},
            "containers": [
                {
                    "name": "httpd",
                    "image": image,
                    "command": ["httpd", "-f", "-p", "8080", "-h", "/tarballs"],
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "tarballs", "mountPath": "/tarballs"}],
                }
            ],
            "volumes": [{"name": "tarballs", "configMap": {"name": _SERVER}}],
        },
    }


def _git(folder: Path, *arguments: str) -> bytes:
    identity = ["-c", "user.name=Sample", "-c", "user.email=sample@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, check=False, timeout=30)
    if done.returncode:
        fail(f"git {arguments[0]}: {done.stderr.decode().strip()}", "see whether git is installed")
    return done.stdout
