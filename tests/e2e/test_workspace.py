"""The plain pulumi CLI on a stack of a running watcher, by `reviewapp workspace` and `reviewapp unlock`.

`preview` starts the program by a stand-in for the official language host: see tests/integration/language_host.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.watching import RunningWatcher
from tests.integration import language_host

pytestmark = pytest.mark.cluster

Run = Callable[..., subprocess.CompletedProcess[str]]


def command_line(tmp_path: Path, watcher: RunningWatcher) -> Run:
    """Return what runs the command line with the watcher's settings, in a folder."""
    programs = tmp_path / "programs"
    programs.mkdir()
    language_host.install(programs)
    environment = watcher.environment | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_HOME": str(tmp_path / "home"),
    }

    def run(*arguments: str, folder: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "watcher", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert "Traceback" not in done.stderr
        return done

    return run


@side_by_side
def test_a_preview_right_after_the_watchers_update_shows_no_change(
    pull_request: PullRequest, commits: dict[str, str], watcher: RunningWatcher, tmp_path: Path
) -> None:
    reviewapp = command_line(tmp_path, watcher)
    pull_request.open(commits["endless"])
    watcher.until_updated(pull_request.name)
    for name in (f"acme/shop#{pull_request.number}", pull_request.stack, pull_request.name):
        done = reviewapp("workspace", name, str(tmp_path / "folder"))
        assert (done.returncode, done.stderr) == (0, "")
        assert (
            done.stdout == f"{tmp_path}/folder: stack {pull_request.stack}, for `reviewapp unlock` and then `pulumi`\n"
        )
    preview = reviewapp("unlock", "pulumi", "preview", "--json", folder=tmp_path / "folder")
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert set(json.loads(preview.stdout)["changeSummary"]) == {"same"}
    outputs = json.loads(reviewapp("unlock", "pulumi", "stack", "output", "--json", folder=tmp_path / "folder").stdout)
    assert outputs["url"] == pull_request.status()["url"]
    tags = json.loads(reviewapp("unlock", "pulumi", "stack", "tag", "ls", "--json", folder=tmp_path / "folder").stdout)
    assert tags == {
        "owner": "acme",
        "repo": "shop",
        "pull-request": pull_request.number,
        "branch": "feature/new-basket",
        "commit": commits["endless"],
        "url": pull_request.status()["url"],
    }


def test_a_review_app_that_is_not_there_is_said_to_be(watcher: RunningWatcher, tmp_path: Path) -> None:
    done = command_line(tmp_path, watcher)("workspace", "acme/shop#999999", str(tmp_path / "folder"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: no review app 'acme/shop#999999' has a stack: name it as owner/repo#pr")
    assert not (tmp_path / "folder").exists()
