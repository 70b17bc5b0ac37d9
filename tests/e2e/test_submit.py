"""A CI job's submit, comment and close, with a token that may touch ReviewApps and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from dev.cluster.layout import KUBECONFIG, NODE_ADDRESS
from dev.paths import REPOSITORY
from dev.target import BASE_IMAGE
from tests.e2e.pull_request import BUILDS, SYSTEM, PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from tests.moto_server import moto_server
from tests.samples.repository import Repository
from tests.unit.bot.forges import GitHub
from watcher.cluster import REVIEW_APPS, SECRETS, Cluster

pytestmark = pytest.mark.cluster

_SECRET = "e2e-submitted-tarballs"
_BUCKET = "submitted"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
_SOURCES = REPOSITORY / "dev" / "sample_app"


def _kubectl(*arguments: str) -> str:
    return subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    """Address of an S3 that Pods reach."""
    if os.environ["KUBECONFIG"] != str(KUBECONFIG):
        pytest.skip("the S3 server of this test runs on the local cluster's node: unset KUBECONFIG")
    with moto_server(NODE_ADDRESS) as url:
        s3: Any = boto3.Session().client(  # pyright: ignore[reportUnknownMemberType]
            "s3",
            endpoint_url=url,
            aws_access_key_id=_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=_CREDENTIALS["AWS_DEFAULT_REGION"],
        )
        s3.create_bucket(Bucket=_BUCKET)
        yield url


@pytest.fixture
def bucket(cluster: Cluster, watcher: RunningWatcher, endpoint: str) -> Generator[tuple[str, ...]]:
    """The options that name a bucket which this watcher's builds read."""
    cluster.create(SECRETS, BUILDS, {"metadata": {"name": _SECRET}, "stringData": _CREDENTIALS})
    assert watcher.stop() == 0
    watcher.start(s3_endpoint_url=endpoint, tarball_secret_name=_SECRET)
    yield "--bucket", f"s3://{_BUCKET}/tarballs", "--s3-endpoint-url", endpoint
    cluster.delete(SECRETS, BUILDS, _SECRET)
    if watcher.runs:
        assert watcher.stop() == 0


@pytest.fixture(scope="module")
def kubeconfig(installation: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the token of the service account that `deploy/base/bot.yaml` makes."""
    _kubectl("apply", "--server-side", "--force-conflicts", "-f", str(REPOSITORY / "deploy/base/bot.yaml"))
    document: dict[str, Any] = yaml.safe_load(_kubectl("config", "view", "--raw", "--minify", "--flatten"))
    document["users"][0]["user"] = {"token": _kubectl("create", "token", "reviewapp-bot", f"-n={SYSTEM}").strip()}
    path = tmp_path_factory.mktemp("bot") / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


class Job:
    """A GitHub Actions job of a pull request, in a checkout of its branch."""

    def __init__(self, repository: Repository, pull_request: PullRequest, kubeconfig: Path, github: GitHub) -> None:
        self.repository = repository
        self._pull_request = pull_request
        self._event = repository.folder.parent / "event.json"
        self._environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_EVENT_PATH": str(self._event),
            "GITHUB_API_URL": github.url,
            "GITHUB_TOKEN": "actions",
            **_CREDENTIALS,
        }

    def push(self, text: str, files: dict[str, str] | None = None, **config: Any) -> str:
        """Commit a version whose page shows `text` and the commit's own hash, and start a job for it."""
        sources = {
            path.relative_to(_SOURCES).as_posix(): path.read_text() for path in _SOURCES.rglob("*") if path.is_file()
        }
        sources["Dockerfile"] = sources["Dockerfile"].replace("base-image", os.environ[BASE_IMAGE])
        page = {
            "www/index.html": f"{text}, commit $Format:%H$\n",
            ".gitattributes": "www/index.html export-subst\n",
            ".reviewapp.yaml": yaml.safe_dump(
                {"namespace": self._pull_request.namespace, "applicationPort": 8080} | config
            ),
        }
        commit = self.repository.commit(sources | page | (files or {}))
        head = {"ref": "feature/new-basket", "sha": commit}
        self._event.write_text(json.dumps({"pull_request": {"number": int(self._pull_request.number), "head": head}}))
        return commit

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "watcher", *command],
            cwd=self.repository.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, seconds: float = 120) -> tuple[int, str, str]:
        """Run `reviewapp`, and return its exit code, what is on stdout, and what on stderr."""
        process = self.start(*command)
        stdout, stderr = process.communicate(timeout=seconds)
        assert "Traceback" not in stderr
        return process.returncode, stdout, stderr


@pytest.fixture
def github(pull_request: PullRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[GitHub]:
    forge = GitHub(pull_request.number)
    yield forge
    forge.close()


@pytest.fixture
def job(pull_request: PullRequest, kubeconfig: Path, github: GitHub, tmp_path: Path) -> Job:
    return Job(Repository(tmp_path / "checkout"), pull_request, kubeconfig, github)


def test_opened_pushed_to_and_closed(
    job: Job, pull_request: PullRequest, bucket: tuple[str, ...], github: GitHub
) -> None:
    first = job.push("first", env={"values": [{"name": "GREETING", "value": "hello"}]})
    code, stdout, stderr = job.run("submit", *bucket, "--wait")
    assert (code, stdout) == (0, f"http://{pull_request.app}.review.example.com\n"), stderr
    assert f"first, commit {first}" in (pull_request.page() or "")
    spec = (pull_request.review_app() or {})["spec"]
    assert spec["tarballUrl"] == f"s3://{_BUCKET}/tarballs/acme-shop-{first[:8]}.tar.gz"
    lines = [line.split()[2:5] for line in stderr.splitlines() if " s  " in line]
    assert lines[0][0] == "packed"
    assert ["Built", "True", "Built:"] in lines
    assert lines[-1] == ["Ready", "True", "Ready:"]

    assert job.run("comment")[0] == 0
    second = job.push("second")
    assert job.run("submit", *bucket)[0] == 0
    assert job.run("comment")[0] == 0
    (comment,) = github.comments
    assert "Review app: on its way" in comment["body"]
    code, stdout, stderr = job.run("submit", *bucket, "--wait")
    assert code == 0, stderr
    assert "as it was" in stderr
    assert f"second, commit {second}" in (pull_request.page() or "")
    # What the second commit's config no longer has is gone.
    assert "env" not in (pull_request.review_app() or {})["spec"]["config"]
    assert job.run("comment")[0] == 0
    (comment,) = github.comments
    assert "Review app: ready" in comment["body"]
    assert f"**http://{pull_request.app}.review.example.com** runs commit `{second[:12]}`." in comment["body"]

    assert job.run("close", "--wait")[0] == 0
    assert pull_request.review_app() is None
    assert pull_request.left() == []
    assert job.run("comment")[0] == 0
    (comment,) = github.comments
    assert "Review app: deleted" in comment["body"]
    code, _, stderr = job.run("close", "--wait")
    assert (code, stderr) == (0, f"there is no ReviewApp {pull_request.name}\n")


def test_a_build_that_fails(job: Job, pull_request: PullRequest, bucket: tuple[str, ...], github: GitHub) -> None:
    dockerfile = f"FROM {os.environ[BASE_IMAGE]}\nRUN echo '@all look at ##[error]this' >&2 && exit 7\n"
    job.push("broken", {"Dockerfile": dockerfile})
    code, stdout, stderr = job.run("submit", *bucket, "--wait")
    assert (code, stdout) == (1, ""), stderr
    assert "failed: BuildFailed" in stderr
    assert "@all look at" in stderr
    assert "##[" not in stderr
    assert job.run("comment")[0] == 0
    (comment,) = github.comments
    assert "### Review app: failed" in comment["body"]
    assert "exit code: 7" in comment["body"].partition("```text\n")[2].partition("\n```")[0]

    # A job that is run again is a try: it does not tell the old failure once more.
    first = pull_request.status()["buildJobName"]
    code, _, stderr = job.run("submit", *bucket, "--wait")
    assert code == 1
    assert f"ReviewApp {pull_request.name} built once more" in stderr
    assert pull_request.status()["buildJobName"] != first


def test_reopened_before_it_is_gone(job: Job, pull_request: PullRequest, bucket: tuple[str, ...]) -> None:
    job.push("first")
    assert job.run("submit", *bucket, "--wait")[0] == 0
    uid = (pull_request.review_app() or {})["metadata"]["uid"]
    assert job.run("close")[0] == 0
    code, _, stderr = job.run("submit", *bucket, "--wait")
    assert code == 0, stderr
    assert f"ReviewApp {pull_request.name} created" in stderr
    assert (pull_request.review_app() or {})["metadata"]["uid"] != uid


def test_a_refused_spec_a_closed_pull_request_and_no_watcher(
    job: Job, pull_request: PullRequest, watcher: RunningWatcher, cluster: Cluster
) -> None:
    url = ("--tarball-url", "http://127.0.0.1/none.tar.gz")
    job.push("first", namespace="kube-system")
    code, _, stderr = job.run("submit", *url, "--wait")
    assert code == 1
    assert "failed: InvalidSpec: spec.config.namespace: 'kube-system'" in stderr

    job.push("second", env={"values": [{"name": "A", "value": "1"}]})
    waiting = job.start("submit", *url, "--wait")
    until(lambda: pull_request.condition("Accepted").get("status") == "True", "it is accepted")
    # Another bot's write of one field, as an old one makes it; the next submit leaves what it has no word on.
    cluster.patch(REVIEW_APPS, None, pull_request.name, {"metadata": {"labels": {"team": "basket"}}})
    cluster.patch(REVIEW_APPS, None, pull_request.name, {"spec": {"branch": "renamed"}})
    pull_request.close()
    _, stderr = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert "was deleted meanwhile" in stderr
    pull_request.until_gone()

    assert watcher.stop() == 0
    code, stdout, stderr = job.run("submit", *url, "--wait", "--timeout", "2")
    assert (code, stdout) == (3, "")
    assert "is not ready after 2 s, it waits for: no watcher has seen it yet" in stderr
    cluster.patch(REVIEW_APPS, None, pull_request.name, {"metadata": {"labels": {"team": "basket"}}})
    cluster.patch(REVIEW_APPS, None, pull_request.name, {"spec": {"branch": "renamed"}})
    assert job.run("submit", *url)[0] == 0
    review_app = pull_request.review_app() or {}
    assert review_app["metadata"]["labels"] == {"team": "basket"}
    assert review_app["spec"]["branch"] == "feature/new-basket"


def test_the_token_may_do_no_more(kubeconfig: Path) -> None:
    def may(*question: str) -> bool:
        command = ["kubectl", f"--kubeconfig={kubeconfig}", "auth", "can-i", *question]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0

    reviewapps = "reviewapps.reviewtron.k8s.revelry.co"
    assert all(may(verb, reviewapps) for verb in ("get", "create", "patch", "delete", "watch"))
    assert not any(may(verb, reviewapps) for verb in ("list", "update", "deletecollection"))
    assert not may("patch", reviewapps, "--subresource=status")
    assert not any(may("get", kind, "-A") for kind in ("secrets", "pods", "pods/log", "configmaps", "namespaces"))
