"""The migration: an app of the older operator, with a database, becomes a stack while it goes on answering.

The operators are stand-ins (dev/stand_ins, tests/old_operator.py); the app, its database and the cluster are real.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from dev.installation import Installation
from dev.stand_ins.volumes import CLASS
from provisioner.settings_sources import load
from stacks import naming
from stacks.review_app import manifests
from tests.e2e.conftest import CERTIFICATES, Repository
from tests.e2e.databases import CATALOGUE, AppImages, commit, operators
from tests.e2e.pull_request import BUILDS, SYSTEM, PullRequest
from tests.e2e.test_preview import command
from tests.e2e.test_tls import secret
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from tests.old_operator import OldOperator, Visitor, killed_at_each_write, pods
from watcher.adopt_command import adopt_one
from watcher.cluster import IN_APPS, JOBS, PODS, REPLICA_SETS, REVIEW_APPS, SECRETS, SERVICES, Cluster, Object
from watcher.journal import Journal

pytestmark = pytest.mark.cluster

CONFIG = {
    "database": {"backend": "kubedb", "version": CATALOGUE},
    "migrate": {"command": ["sh", "/migrate.sh"]},
}
_ROWS = "1000|500500|1000"


def names(cluster: Cluster, pull_request: PullRequest) -> set[str]:
    """Return all that has the older operator's labels, as `Kind namespace/name uid`."""
    labels = f"{naming.APP_LABEL}=shop,{naming.BUILD_LABEL}={pull_request.number}"
    return {
        f"{resource.kind} {item['metadata']['namespace']}/{item['metadata']['name']} {item['metadata']['uid']}"
        for resource in (*IN_APPS, JOBS, PODS, REPLICA_SETS)
        for item in cluster.list(resource, label_selector=labels)[0]
    }


def adopt(watcher: RunningWatcher, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "adopt", *arguments],
        env=watcher.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def adopt_killed_at_each_write(cluster: Cluster, watcher: RunningWatcher, review_app: Object) -> int:
    """Adopt by as many processes as are killed on the way; return how many those were."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in watcher.environment.items():
            patch.setenv(name, value)
        settings = load()

    def adopt(mortal: Cluster) -> None:
        journal = Journal(mortal, settings.namespace)
        journal.load()
        assert adopt_one(mortal, settings, journal, review_app)

    return killed_at_each_write(cluster, adopt)


def resources(state: Path, stack: str) -> set[str]:
    """Return what the state of a stack has, as `Kind/name`."""
    file = next(path for path in state.rglob(f"{stack}.json") if "stacks" in path.parts)
    found: list[dict[str, Any]] = json.loads(file.read_text())["checkpoint"]["latest"]["resources"]
    return {entry["urn"].rpartition("::")[2] for entry in found if entry["type"].startswith("kubernetes:")}


def test_an_old_app_becomes_a_stack_and_goes_on_answering(
    new_repository: Callable[[str], AbstractContextManager[Repository]],
    cluster: Cluster,
    installation: Installation,
    session_watcher: RunningWatcher,
    commits: dict[str, str],
    tmp_path: Path,
) -> None:
    watcher = session_watcher
    if watcher.runs:
        assert watcher.stop() == 0
    images = AppImages(tmp_path)
    with operators(cluster, installation), new_repository("adopt") as repository:
        pull_request = repository.pull_request()
        images.tag("one", pull_request.number)
        image = f"{watcher.environment['REVIEWAPP_REGISTRY']}/acme/shop:{pull_request.number}-{commit('one')[:12]}"
        older = OldOperator(
            cluster,
            repository.namespace,
            BUILDS,
            pull_request.number,
            image,
            "review.example.com",
            version=CATALOGUE,
            storage_class=CLASS,
        )
        pull_request.open(commit("one"), CONFIG)
        status = older.make(commit("one"), CONFIG)
        cluster.patch(REVIEW_APPS, None, pull_request.name, {"status": status}, subresource="status")
        until(lambda: (pull_request.page("commit") or "").strip() == commit("one"), "the old app answers")

        # A watcher that comes to it touches nothing, and says what to do.
        watcher.start()
        refused = pull_request.until_condition("Ready", "False", "ForeignObject")
        assert "reviewapp adopt" in refused["message"]
        before = names(cluster, pull_request)
        running = pods(cluster, repository.namespace)
        assert "has TLS and would lose it" in adopt(watcher, "--all", "--dry-run", code=1)
        cluster.create(SECRETS, CERTIFICATES, secret("the wildcard certificate"))
        adopt(watcher, "--all", "--dry-run")
        assert names(cluster, pull_request) == before

        service = cluster.get(SERVICES, pull_request.namespace, pull_request.app)
        assert service
        visitor = Visitor(f"http://{service['spec']['clusterIP']}/commit")
        review_app = pull_request.review_app()
        assert review_app
        with visitor.visiting():
            assert adopt_killed_at_each_write(cluster, watcher, review_app) > 5
            pull_request.until_ready(commit("one"))
            watcher.until_updated(pull_request.name)
            assert command(watcher)(pull_request.name)["changes"] == []
        assert (visitor.failures, visitor.answers > 0) == ([], True)
        assert pods(cluster, repository.namespace) == running
        assert "already" in adopt(watcher, pull_request.name)

        journal = Journal(cluster, SYSTEM)
        journal.load()
        entry = journal.get(pull_request.name)
        assert entry
        declared = {f"{item['kind']}/{item['metadata']['name']}" for item in manifests(entry.inputs)}
        assert resources(watcher.folder / "state", pull_request.stack) == declared
        assert {f"Deployment/{pull_request.app}", f"Postgres/{older.database}"} < declared

        # A restart of the watcher is no reason to start it anew.
        assert watcher.stop() == 0
        watcher.start()
        rows = until(lambda: pull_request.page("cgi-bin/rows"), "the app answers from its database")
        assert rows.startswith(_ROWS)
        assert pods(cluster, repository.namespace) == running

        config = pull_request.manifest("", {})["spec"]["config"] | {"database": CONFIG["database"], "migrate": None}
        pull_request.push(commits["first"], config=config)
        pull_request.until_ready(commits["first"])
        assert commits["first"] in (pull_request.page() or "")
        of_database = {name for name in running if name.startswith(older.database)}
        assert of_database < pods(cluster, repository.namespace)
        deployment = pull_request.deployment()
        assert deployment
        assert [each["name"] for each in deployment["spec"]["template"]["spec"]["containers"]] == ["app"]

        pull_request.close()
        pull_request.until_gone()
        until(lambda: not names(cluster, pull_request), "nothing of the older operator is left")
        assert cluster.list(JOBS, BUILDS, f"{naming.BUILD_LABEL}={pull_request.number}")[0] == []
        cluster.delete(SECRETS, CERTIFICATES, "wildcard")
