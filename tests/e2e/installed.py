"""The watchers of an installation, as Pods of the cluster: what an operator applies, sees of them, and takes away.

It is `deploy/overlays/demo`, with this cluster's registry, images and settings, as an overlay of one's own says them.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from dev.paths import REPOSITORY
from dev.target import OUTSIDE
from provisioner.errors import ReviewAppError
from provisioner.settings import Settings
from tests.e2e.conftest import SETTINGS
from tests.e2e.pull_request import SYSTEM, PullRequest
from tests.e2e.waiting import until
from watcher.cluster import PODS, Cluster, Object
from watcher.conditions import condition

_DEPLOY = REPOSITORY / "deploy"
_LABEL = "app.kubernetes.io/name=reviewapp"
# What tests with another watcher need too, and what it was before them.
_SHARED = ("crd.yaml", "namespaces.yaml", "rbac.yaml", "admission.yaml", "bot.yaml")
_BUILD_SECONDS = 900.0
_READY_SECONDS = 120.0
_POLICY_LABEL = "installed-test"
# Others' tests work with ReviewApps on this cluster meanwhile.
BOUND_TO: Object = {"objectSelector": {"matchLabels": {_POLICY_LABEL: "true"}}}
"""What the policy of an installation is bound to, so that it looks at nobody else's ReviewApps."""


class InstalledWatchers:
    """Two watchers and the PostgreSQL of their state.

    Args:
        cluster: where they run.
        folder: for the overlay; its files are kept.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._logs: dict[str, str] = {}

    def apply(self) -> None:
        """Apply the overlay, and wait until both are ready."""
        image = built_image()
        self._write_overlay(image)
        kubectl("apply", "--server-side", "--force-conflicts", "-k", str(self._folder))
        until(lambda: len(self.ready()) == 2, "two watchers are ready", _READY_SECONDS, self._explain)

    def remove(self) -> None:
        """Delete what the overlay has, but for what other tests of this cluster need."""
        kept = {_name(document) for file in _SHARED for document in _documents((_DEPLOY / "base" / file).read_text())}
        rendered = _documents(kubectl("kustomize", str(self._folder)))
        mine = [document for document in rendered if _name(document) not in kept]
        # The watchers first: what they write while they end takes the others.
        for kinds in ({"Deployment"}, {document["kind"] for document in mine} - {"Deployment"}):
            text = yaml.safe_dump_all([document for document in mine if document["kind"] in kinds])
            kubectl("delete", "--ignore-not-found", "--cascade=foreground", "--timeout=90s", "-f", "-", given=text)
        until(lambda: not self.pods(), "no watcher is left", _READY_SECONDS)

    def pods(self) -> list[Object]:
        return self._cluster.list(PODS, SYSTEM, label_selector=_LABEL)[0]

    def ready(self) -> list[str]:
        """Return the names of those that are ready."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods()
            if condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
        ]

    def answer(self, pod: str, path: str) -> str:
        """Return what a watcher answers on its port; nothing if it does not."""
        with suppress(ReviewAppError):
            return self._cluster.text(f"{PODS.path(SYSTEM, pod)}:8081/proxy/{path}")
        return ""

    def leaders(self) -> list[str]:
        """Return those that say that they act."""
        return [pod for pod in self.ready() if "reviewapp_is_leader 1.0" in self.answer(pod, "metrics")]

    def run(self, pod: str, *command: str) -> tuple[int, str]:
        """Run a command in a watcher's container; return its exit code, and all it said."""
        command = ("kubectl", "exec", f"--namespace={SYSTEM}", pod, "--", *command)
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout

    def delete(self, pod: str) -> None:
        """Delete a watcher's Pod, with its log read; return when it is gone."""
        self.log(pod)
        kubectl("delete", "pod", f"--namespace={SYSTEM}", pod, "--timeout=90s")

    def log(self, pod: str) -> str:
        """Return all that a watcher has said."""
        self._logs[pod] = kubectl("logs", f"--namespace={SYSTEM}", pod)
        return self._logs[pod]

    def logs(self) -> dict[str, str]:
        """Return what each watcher has said that there was."""
        return self._logs | {name: self.log(name) for name in (pod["metadata"]["name"] for pod in self.pods())}

    def recorded(self, stack: str) -> list[str]:
        """Return the keys under which the state has something of a stack."""
        query = f"select key from pulumi_state where position('{stack}' in key) > 0"
        command = f'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)" psql -h /tmp -U postgres -At -c "{query}"'
        return kubectl("exec", f"--namespace={SYSTEM}", "reviewapp-postgres-0", "--", "sh", "-c", command).splitlines()

    def _explain(self) -> str:
        described = kubectl("describe", "pods", f"--namespace={SYSTEM}")
        return f"{described}\n{self.logs()}"

    def _write_overlay(self, image: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "settings.yaml").write_text(yaml.safe_dump(settings_here()))
        binding = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "reviewapp-specs"},
            "spec": {"matchResources": BOUND_TO},
        }
        document = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(_DEPLOY / "overlays/demo", self._folder.resolve())],
            "images": [
                _replaced("ghcr.io/reviewapp/watcher", image),
                _replaced("docker.io/library/postgres", os.environ["REVIEWAPP_POSTGRES_IMAGE"]),
            ],
            "configMapGenerator": [
                {"name": "reviewapp-settings", "namespace": SYSTEM, "behavior": "replace", "files": ["settings.yaml"]}
            ],
            "patches": [{"patch": yaml.safe_dump(binding)}],
        }
        (self._folder / "kustomization.yaml").write_text(yaml.safe_dump(document))


class InstalledPullRequest(PullRequest):
    """A pull request whose watcher is one of an installation's.

    Args:
        watchers: the installation's.
        more: as of a `PullRequest`, but for the folder of a state.
    """

    def __init__(self, watchers: InstalledWatchers, *more: Any) -> None:
        super().__init__(*more, state=Path("/nonexistent"))
        self._watchers = watchers

    def manifest(self, commit: str, config: dict[str, Any] | None = None, **changes: Any) -> Object:
        manifest = super().manifest(commit, config, **changes)
        manifest["metadata"]["labels"] = {_POLICY_LABEL: "true"}
        return manifest

    def recorded(self) -> list[str]:
        return self._watchers.recorded(self.stack)


def kubectl(*arguments: str, given: str | None = None) -> str:
    done = subprocess.run(
        ["kubectl", *arguments], input=given, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def settings_here() -> dict[str, str]:
    """Return settings with this cluster's registry and images, as a file of them says it."""
    settings = SETTINGS | {"app_domain": "review.example.com"}
    for name in Settings.model_fields.keys() - {"passphrase", "backend_url", "data_folder"}:
        if (value := os.environ.get(f"REVIEWAPP_{name.upper()}")) is not None:
            settings[name] = value
    return settings


@functools.cache
def built_image() -> str:
    """Return the image of the Dockerfile as the cluster pulls it; it is built where package registries are reached."""
    command = [*shlex.split(os.environ.get(OUTSIDE, "")), sys.executable, "-m", "dev", "image", "--publish"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=_BUILD_SECONDS, check=True, cwd=REPOSITORY
    )
    return done.stdout.splitlines()[-1].strip()


def _replaced(image: str, reference: str) -> dict[str, str]:
    name, _, tag = reference.rpartition(":")
    return {"name": image, "newName": name, "newTag": tag}


def _documents(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document]


def _name(document: Object) -> tuple[str, str, str | None]:
    metadata = document["metadata"]
    return document["kind"], metadata["name"], metadata.get("namespace")
