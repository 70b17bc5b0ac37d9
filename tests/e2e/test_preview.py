"""`reviewapp preview` beside a running watcher, with the watcher's rights: what it says of a push is what comes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from stacks import naming
from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher

pytestmark = pytest.mark.cluster

Run = Callable[..., dict[str, Any]]


def command(watcher: RunningWatcher) -> Run:
    """Return what runs it with the watcher's settings and rights; that returns what it prints as JSON."""

    def run(*arguments: str, given: object = None) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "watcher", "preview", *arguments, "--format", "json"],
            env=watcher.environment,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run


def changes(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(change["operation"], f"{change['kind']}/{change['name']}") for change in found["changes"]]


@side_by_side
def test_a_push_does_what_its_preview_said(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher
) -> None:
    preview = command(watcher)
    first, second = commits["first"], commits["second"]
    new = preview("-f", "-", given=pull_request.manifest(first))
    assert (new["newStack"], new["counts"]["create"], new["obstacles"], new["unseen"]) == (True, 6, [], [])
    pull_request.open(first)
    pull_request.until_ready(first)
    updates = watcher.said("updated", pull_request.name)
    assert Counter(updates[0]["changes"])["create"] == new["counts"]["create"] + 1  # The stack itself is one.
    nothing = preview(pull_request.name)
    assert (nothing["changes"], nothing["assumptions"]) == ([], [])

    job = naming.build_job_name(pull_request.app, second)
    pushed = preview(pull_request.name, "--commit", second)
    assert changes(pushed) == [
        ("create", f"Job/{job}"),
        ("delete", f"Job/{naming.build_job_name(pull_request.app, first)}"),
    ]
    assert preview("-f", "-", given=pull_request.manifest(second))["changes"] == pushed["changes"]
    built = preview(pull_request.name, "--commit", second, "--built")
    assert changes(built) == [changes(pushed)[0], ("update", f"Deployment/{pull_request.app}"), changes(pushed)[1]]

    pull_request.push(second)
    pull_request.until_ready(second)
    until(lambda: len(watcher.said("updated", pull_request.name)) == len(updates) + 2, "both updates are logged")
    for said, update in zip((pushed, built), watcher.said("updated", pull_request.name)[-2:], strict=True):
        done: Counter[str] = Counter(update["changes"])
        if said is built:
            # The Job was the first update's.
            assert (done["update"], done["create"], done["delete"]) == (said["counts"]["update"], 0, 0)
        else:
            assert Counter(said["counts"]) + Counter(same=1) == done
    assert preview(pull_request.name)["changes"] == []
