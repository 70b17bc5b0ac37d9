"""submit, close and comment as a CI job runs them, up to where a cluster would be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests import samples
from tests.samples.repository import Repository
from watcher.cli import app

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in a GitHub Actions job of acme/shop#42, without a cluster."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 42, "head": {"ref": "feature/new-basket"}}}))
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_EVENT_PATH": str(event),
        "KUBECONFIG": str(tmp_path / "absent"),
    }.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "500"})

    return run


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = Repository(tmp_path / "checkout")
    monkeypatch.chdir(repository.folder)
    return repository


def plain(done: Result) -> str:
    # In GitHub Actions, usage is said in colours.
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)


def config(**changes: object) -> str:
    return yaml.safe_dump(samples.review_app()["spec"]["config"] | changes)


def test_a_refused_config(run: Run, repository: Repository) -> None:
    repository.commit({".reviewapp.yaml": config(applicationPort="80", colour="red")})
    done = run("submit", "--bucket", "b")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        ".reviewapp.yaml: applicationPort: '80' must be a whole number",
        ".reviewapp.yaml: colour: is not a known field: remove it, or correct its name",
    ]


def test_a_commit_without_a_config(run: Run, repository: Repository) -> None:
    commit = repository.commit({"a": "1"})
    (repository.folder / ".reviewapp.yaml").write_text(config())
    done = run("submit", "--bucket", "b")
    assert done.exit_code == 2
    assert done.stderr == f".reviewapp.yaml: is not in commit {commit[:12]}: add it at the top of the repository\n"
    done = run("submit", "--bucket", "b", "--config", "absent.yaml")
    assert (done.exit_code, done.stderr) == (
        2,
        "absent.yaml: can't be read (No such file or directory): correct the path\n",
    )


def test_what_the_bot_itself_says_is_validated_too(run: Run, repository: Repository) -> None:
    repository.commit({".reviewapp.yaml": config()})
    done = run("submit", "--bucket", "b", "--branch", "a\nb")
    assert (done.exit_code, done.stderr) == (
        2,
        "spec.branch: 'a\\nb' must not hold control characters: remove them\n",
    )


def test_a_branch_that_is_left_out(run: Run, repository: Repository) -> None:
    repository.commit({".reviewapp.yaml": config()})
    done = run("submit", "--bucket", "b", "--branch", "dependabot/npm")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "no review app: branch dependabot/npm is one that ignoreBranches leaves out" in done.stderr


def without_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    # The kubernetes client reads the variable once, when it is imported.
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "/nowhere/kubeconfig")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("submit", "say where the tarball goes: --bucket, or --tarball-url with --upload-url"),
        ("submit --upload-url http://h/k", "say where the tarball goes"),
        ("submit --bucket b --tarball-url http://h/k", "give --bucket, or --tarball-url with --upload-url"),
        ("submit --bucket b --upload-url http://h/k", "give --bucket, or --tarball-url with --upload-url"),
        ("submit --bucket b --repository shop", "'shop' must be owner/name"),
        ("submit --bucket b --pr 4x", "'4x' must be the pull request's number"),
        ("close --repository ../..", "must be owner/name"),
        ("close --repository acme/..", "must be owner/name"),
        ("comment --forge bitbucket", "'bitbucket'"),
        ("comment --preview /nowhere", "no cluster is configured"),
    ],
)
def test_wrong_arguments(
    run: Run, repository: Repository, monkeypatch: pytest.MonkeyPatch, arguments: str, said: str
) -> None:
    without_cluster(monkeypatch)
    done = run(*arguments.split())
    assert done.exit_code == (1 if "cluster" in said else 2)
    assert said in (plain(done) or str(done.exception))


def test_without_a_ci_the_options_say_it_all(run: Run, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "give --repository" in plain(run("submit", "--bucket", "b"))
    assert "give --pr" in plain(run("close", "--repository", "acme/shop"))
    assert "give --forge" in plain(run("comment", "--repository", "acme/shop", "--pr", "42"))


def test_nothing_is_uploaded_without_a_cluster(
    run: Run, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_cluster(monkeypatch)
    repository.commit({".reviewapp.yaml": config()})
    done = run("submit", "--upload-url", "http://127.0.0.1:1/k", "--tarball-url", "http://h/k")
    assert done.exit_code == 1
    assert "no cluster is configured" in str(done.exception)
