"""Helm installs deploy/chart: an app comes up and goes, and what it leaves is what docs/operations.md says.

The tests run in their order, on one installation.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest
import yaml

from dev.installation import Installation
from dev.paths import REPOSITORY
from dev.sample import Sample
from provisioner.settings import Settings
from tests.e2e.installed import BOUND_TO, InstalledPullRequest, InstalledWatchers, built_image, kubectl, settings_here
from tests.e2e.pull_request import SYSTEM
from tests.e2e.watching import RunningWatcher
from watcher.cluster import NAMESPACES, REVIEW_APPS, SECRETS, Cluster, Object, Resource

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

_CHART = REPOSITORY / "deploy/chart"
_VOLUMES = Resource("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
_VOLUME = "reviewapp-chart-test"
_PASSPHRASE = "reviewapp-passphrase"
_NUMBER = 951


class Release:
    """The chart's release.

    Args:
        folder: for its values, and for the volume of its state where the cluster has no StorageClass.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.volume = folder / "state"
        self.volume.mkdir()
        self.volume.chmod(0o777)

    def upgrade(self, **settings: object) -> None:
        """Install it, or give it other settings; wait until its watcher is ready."""
        repository, _, tag = built_image().rpartition(":")
        typed = {name: value if _is_text(name) else yaml.safe_load(value) for name, value in settings_here().items()}
        unnamed = {"push_secret_name": None, "tarball_secret_name": None}
        values = {"image": {"repository": repository, "tag": tag}, "settings": typed | unnamed | settings}
        # Tests beside this one look at the namespace of builds.
        values |= {"storage": {"size": "1Gi"}, "buildNamespace": {"create": False}}
        (self._folder / "values.yaml").write_text(yaml.safe_dump(values))
        policy = [d for d in yaml.safe_load_all((REPOSITORY / "deploy/base/policy.yaml").read_text()) if d]
        for document in policy:
            if document["kind"].endswith("Binding"):
                document["spec"]["matchResources"] = BOUND_TO
        (self._folder / "policy.yaml").write_text(yaml.safe_dump_all(policy))
        # What other tests have applied is there before it.
        helm(
            *("upgrade", "--install", "reviewapp", str(_CHART), f"--namespace={SYSTEM}", "--create-namespace"),
            *("--take-ownership", "--force-conflicts", f"--values={self._folder}/values.yaml"),
            *(f"--set-file=policy={self._folder}/policy.yaml", "--wait", "--timeout=3m"),
        )

    def uninstall(self) -> None:
        helm("uninstall", "reviewapp", f"--namespace={SYSTEM}", "--wait", "--timeout=3m", "--ignore-not-found")


@pytest.fixture(scope="module")
def release(
    cluster: Cluster,
    installation: Installation,
    session_watcher: RunningWatcher,
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Release]:
    release = Release(tmp_path_factory.mktemp("release"))
    if session_watcher.runs:
        assert session_watcher.stop() == 0
    volume: Object = {
        "metadata": {"name": _VOLUME},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": str(release.volume)},
            # Databases of other tests claim a volume of no class as well.
            "claimRef": {"namespace": SYSTEM, "name": "reviewapp-data"},
        },
    }
    passphrase = {"metadata": {"name": _PASSPHRASE}, "stringData": {"passphrase": "of the chart's test"}}
    # A run that was broken off may have left them.
    cluster.delete(_VOLUMES, None, _VOLUME)
    cluster.delete(SECRETS, SYSTEM, _PASSPHRASE)
    cluster.create(_VOLUMES, None, volume)
    cluster.create(SECRETS, SYSTEM, passphrase)
    try:
        release.upgrade()
        yield release
    finally:
        release.uninstall()
        cluster.delete(SECRETS, SYSTEM, _PASSPHRASE)
        cluster.delete(_VOLUMES, None, _VOLUME)
        installation.install()
        session_watcher.start()


@pytest.fixture(scope="module")
def watchers(cluster: Cluster, release: Release, tmp_path_factory: pytest.TempPathFactory) -> InstalledWatchers:
    return InstalledWatchers(cluster, tmp_path_factory.mktemp("none"))


def test_an_app_comes_up_and_an_upgrade_leaves_it_there(
    release: Release,
    watchers: InstalledWatchers,
    cluster: Cluster,
    installation: Installation,
    sample: Sample,
    commits: dict[str, str],
) -> None:
    namespace = f"e2e-chart-{uuid.uuid4().hex[:4]}"
    installation.namespace(namespace)
    pull_request = InstalledPullRequest(watchers, cluster, sample, namespace, _NUMBER)
    pull_request.open(commits["first"])
    try:
        pull_request.until_ready(commits["first"])
        before, app = watchers.ready(), pull_request.pods()
        release.upgrade(workers=2)
        assert set(watchers.ready()).isdisjoint(before)
        code, said = watchers.run(watchers.ready()[0], "reviewapp", "doctor")
        assert (code, "1 of 1 ReviewApps are ready" in said) == (0, True), said
        # Its user has no name, which the CLI wants for some of what it does.
        assert watchers.run(watchers.ready()[0], "reviewapp", "unlock", "pulumi", "whoami") == (0, "reviewapp\n")
        assert [pod["metadata"]["uid"] for pod in pull_request.pods()] == [pod["metadata"]["uid"] for pod in app]
    finally:
        pull_request.close()
        pull_request.until_gone()
        cluster.delete(NAMESPACES, None, namespace)
    assert pull_request.objects() == []


def test_uninstalled_it_leaves_the_definition_and_what_it_did_not_make(release: Release, cluster: Cluster) -> None:
    release.uninstall()
    assert cluster.list(REVIEW_APPS)[0] == []
    left = "clusterrole,clusterrolebinding,priorityclass,validatingadmissionpolicy,validatingadmissionpolicybinding"
    assert kubectl("get", left, "--selector=app.kubernetes.io/managed-by=Helm", "-o", "name") == ""
    assert kubectl("get", "secret", f"--namespace={SYSTEM}", "-o", "name") == f"secret/{_PASSPHRASE}\n"


def helm(*arguments: str) -> str:
    done = subprocess.run(["helm", *arguments], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def _is_text(setting: str) -> bool:
    return "str" in str(Settings.model_fields[setting].annotation)
