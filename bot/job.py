"""What a CI job says of the pull request that it runs for: GitHub Actions and GitLab CI.

Reads variables and the event's file; asks no server and no git.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from stacks.naming import slug

Forge = Literal["github", "gitlab"]


@dataclasses.dataclass(frozen=True)
class Job:
    """What a CI job says; None for each thing that it does not.

    Attributes:
        forge: where the pull request is.
        api_url: the forge's API.
        repository: the repository that the pull request is opened in, as the forge has it: `acme/shop`, `a/b/shop`.
        pull_request: the pull request's number.
        branch: the branch that it wants merged.
        commit: the newest commit of that branch, never the one that merges it for a trial.
        fork: whether that branch is in a fork of the repository.
    """

    forge: Forge | None = None
    api_url: str | None = None
    repository: str | None = None
    pull_request: str | None = None
    branch: str | None = None
    commit: str | None = None
    fork: bool | None = None


def read_job(environment: Mapping[str, str]) -> Job:
    """Return what the variables of this job say; of any other program, nothing."""
    if environment.get("GITHUB_ACTIONS"):
        return _github(environment)
    return _gitlab(environment) if environment.get("GITLAB_CI") else Job()


def _github(environment: Mapping[str, str]) -> Job:
    """Read GitHub's variables and the event, which has what the variables lack.

    https://docs.github.com/en/actions/reference/workflows-and-actions/variables,
    https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request
    """
    event = _event(environment.get("GITHUB_EVENT_PATH"))
    pull_request: dict[str, Any] = event.get("pull_request") or {}
    issue: dict[str, Any] = event.get("issue") or {}
    number = pull_request.get("number") or (issue.get("number") if issue.get("pull_request") else None)
    head: dict[str, Any] = pull_request.get("head") or {}
    return Job(
        forge="github",
        api_url=environment.get("GITHUB_API_URL") or None,
        repository=environment.get("GITHUB_REPOSITORY") or None,
        pull_request=str(number) if number else None,
        branch=head.get("ref") or environment.get("GITHUB_HEAD_REF") or None,
        commit=head.get("sha"),
        fork=_is_fork(pull_request),
    )


def _is_fork(pull_request: dict[str, Any]) -> bool | None:
    """Return whether a pull request's branch is in another repository than its own; one that was deleted is another."""
    head: dict[str, Any] = pull_request.get("head") or {}
    base: dict[str, Any] = pull_request.get("base") or {}
    if "repo" not in head or "repo" not in base:
        return None
    source: dict[str, Any] = head["repo"] or {}
    target: dict[str, Any] = base["repo"] or {}
    return source.get("full_name") != target.get("full_name")


def _event(path: str | None) -> dict[str, Any]:
    event: Any = None
    with suppress(OSError, ValueError):
        event = json.loads(Path(path or "").read_bytes())
    return event if isinstance(event, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _gitlab(environment: Mapping[str, str]) -> Job:
    """https://docs.gitlab.com/ci/variables/predefined_variables/."""

    def first(*names: str) -> str | None:
        return next((environment[name] for name in names if environment.get(name)), None)

    source, target = first("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"), first("CI_MERGE_REQUEST_PROJECT_PATH")
    return Job(
        forge="gitlab",
        api_url=first("CI_API_V4_URL"),
        # In a fork's pipeline, CI_PROJECT_PATH is the fork.
        repository=first("CI_MERGE_REQUEST_PROJECT_PATH", "CI_PROJECT_PATH"),
        pull_request=first("CI_MERGE_REQUEST_IID"),
        branch=first("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_REF_NAME"),
        # Only pipelines for merged results have the first; there, CI_COMMIT_SHA is the merge.
        commit=first("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_COMMIT_SHA"),
        # The source is not named once it has been deleted.
        fork=source != target if target else None,
    )


def owner_and_name(repository: str) -> tuple[str, str]:
    """Return a repository's owner and name as a ReviewApp has them, from `acme/shop`.

    GitLab's subgroups are owners too: `acme/web/shop` is of `acme--web`. GitLab allows no `--` in a group's path
    (https://docs.gitlab.com/user/reserved_names/), so that no other group has that owner.
    """
    owner, _, name = repository.strip("/").rpartition("/")
    return owner.replace("/", "--"), name


def review_app_name(repository: str, pull_request: str) -> str:
    """Return the name of a pull request's ReviewApp, `<owner>-<repo>-<pr>`, at most 63 characters."""
    owner, name = owner_and_name(repository)
    room = 63 - len(pull_request) - 1
    return f"{slug(f'{owner}-{name}', room)}-{pull_request}"
