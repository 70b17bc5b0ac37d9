"""What a CI job's variables say, in the shapes that GitHub's and GitLab's runners give them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.job import Job, owner_and_name, read_job, review_app_name

HEAD = "8a1f0e3c5b7d9e2f4a6c8b0d1e3f5a7c9b1d3e5f"
MERGE = "f" * 40
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_API_URL": "https://api.github.com",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_SHA": MERGE,
    "GITHUB_REF": "refs/pull/42/merge",
    "GITHUB_HEAD_REF": "feature/new-basket",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_API_V4_URL": "https://gitlab.example.com/api/v4",
    "CI_PROJECT_PATH": "acme/web/shop",
    "CI_MERGE_REQUEST_IID": "42",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature/new-basket",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "",
    "CI_COMMIT_REF_NAME": "feature/new-basket",
    "CI_COMMIT_SHA": HEAD,
}


@pytest.fixture
def event(tmp_path: Path) -> Any:
    def write(content: object) -> dict[str, str]:
        path = tmp_path / "event.json"
        path.write_text(json.dumps(content))
        return {"GITHUB_EVENT_PATH": str(path)}

    return write


def pull_request(**changes: Any) -> dict[str, Any]:
    head = {"sha": HEAD, "ref": "feature/new-basket", "repo": {"full_name": "somebody/shop"}}
    return {"action": "opened", "number": 42, "pull_request": {"number": 42, "head": head} | changes}


def test_outside_of_ci_nothing_is_known() -> None:
    assert read_job({"GITHUB_REPOSITORY": "acme/shop", "CI_PROJECT_PATH": "acme/shop"}) == Job()


def test_github_pull_request(event: Any) -> None:
    # The checked-out commit of such a job merges the pull request for a trial; nobody pushed it.
    assert read_job(GITHUB | event(pull_request())) == Job(
        "github", "https://api.github.com", "acme/shop", "42", "feature/new-basket", HEAD
    )


def test_github_comment_on_a_pull_request(event: Any) -> None:
    said = event({"issue": {"number": 42, "pull_request": {"url": "…"}}})
    job = read_job(GITHUB | said | {"GITHUB_REF": "refs/heads/main", "GITHUB_HEAD_REF": ""})
    assert (job.pull_request, job.branch, job.commit) == ("42", None, None)


@pytest.mark.parametrize(
    "said", [{"issue": {"number": 42}}, {"ref": "refs/heads/main"}, [], None, {"pull_request": None}]
)
def test_github_events_of_no_pull_request(event: Any, said: object) -> None:
    assert read_job(GITHUB | event(said)).pull_request is None


def test_github_without_an_event(tmp_path: Path) -> None:
    assert read_job(GITHUB).repository == "acme/shop"
    assert read_job(GITHUB | {"GITHUB_EVENT_PATH": str(tmp_path)}).pull_request is None
    broken = tmp_path / "broken.json"
    broken.write_bytes(b"\xff{")
    assert read_job(GITHUB | {"GITHUB_EVENT_PATH": str(broken)}).pull_request is None


def test_gitlab_merge_request() -> None:
    assert read_job(GITLAB) == Job(
        "gitlab", "https://gitlab.example.com/api/v4", "acme/web/shop", "42", "feature/new-basket", HEAD
    )


def test_gitlab_merged_results() -> None:
    merged = {"CI_COMMIT_SHA": MERGE, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD}
    assert read_job(GITLAB | merged).commit == HEAD


def test_gitlab_fork() -> None:
    fork = {"CI_PROJECT_PATH": "somebody/shop", "CI_MERGE_REQUEST_PROJECT_PATH": "acme/web/shop"}
    assert read_job(GITLAB | fork).repository == "acme/web/shop"


def test_gitlab_says_whether_it_is_a_fork() -> None:
    target = {"CI_MERGE_REQUEST_PROJECT_PATH": "acme/web/shop"}
    assert read_job(GITLAB).fork is None
    assert read_job(GITLAB | target | {"CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "acme/web/shop"}).fork is False
    assert read_job(GITLAB | target | {"CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "somebody/shop"}).fork is True
    assert read_job(GITLAB | target).fork is True


def test_github_says_whether_it_is_a_fork(event: Any) -> None:
    base = {"base": {"repo": {"full_name": "acme/shop"}}}
    assert read_job(GITHUB | event(pull_request(**base))).fork is True
    own = {"sha": HEAD, "repo": {"full_name": "acme/shop"}}
    assert read_job(GITHUB | event(pull_request(head=own, **base))).fork is False
    assert read_job(GITHUB | event(pull_request(head=own | {"repo": None}, **base))).fork is True
    assert read_job(GITHUB | event(pull_request())).fork is None


def test_gitlab_branch() -> None:
    branch = {name: value for name, value in GITLAB.items() if "MERGE_REQUEST" not in name}
    job = read_job(branch)
    assert (job.pull_request, job.branch, job.commit) == (None, "feature/new-basket", HEAD)


def test_owners() -> None:
    assert owner_and_name("acme/shop") == ("acme", "shop")
    assert owner_and_name("acme/web/shop") == ("acme--web", "shop")


def test_names() -> None:
    assert review_app_name("acme/shop", "42") == "acme-shop-42"
    assert review_app_name("Acme/Shop", "42") == "acme-shop-42"
    assert review_app_name("acme/web/shop", "42") == "acme--web-shop-42"
    assert review_app_name("acme/my.shop", "42") != review_app_name("acme/my-shop", "42")


@given(
    st.from_regex(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}", fullmatch=True),
    st.integers(1, 9_999_999_999).map(str),
)
def test_every_name_is_one_that_kubernetes_takes(repository: str, number: str) -> None:
    name = review_app_name(repository, number)
    assert len(name) <= 63
    assert re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert name.endswith(f"-{number}")
