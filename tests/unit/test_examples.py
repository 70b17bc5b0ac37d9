"""The examples for CI systems, held against what their makers publish; and that they give away no more than they say.

GitHub's by actionlint, which knows expressions, contexts and shells; GitLab's by the schema that GitLab publishes for
editors, as check-jsonschema carries it: it knows keys and types, not whether variables and jobs fit together.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from dev.toolchain.build import build, is_built, programs_folder
from dev.toolchain.components import ACTIONLINT
from watcher.cli import app

EXAMPLES = Path(__file__).parents[2] / "examples"
WORKFLOW = EXAMPLES / "github-actions" / "reviewapp.yaml"
PIPELINE = EXAMPLES / "gitlab-ci" / ".gitlab-ci.yml"


def workflow() -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as a boolean.
    return yaml.load(WORKFLOW.read_text(), yaml.BaseLoader)


def actionlint() -> str:
    """Return the program, built first if need be."""
    if found := shutil.which("actionlint"):
        return found
    if not is_built(ACTIONLINT) and shutil.which("go") is None and os.environ.get("CI") != "true":
        pytest.skip("there is neither actionlint nor Go to build it with: install Go 1.26 or newer")
    build(ACTIONLINT)
    return str(programs_folder(ACTIONLINT) / "actionlint")


def test_the_workflow_passes_actionlint() -> None:
    done = subprocess.run([actionlint(), "-no-color", str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_actionlint_would_tell(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(WORKFLOW.read_text().replace("github.event.action != 'closed'", "github.evnt.action != 'closed'"))
    done = subprocess.run([actionlint(), "-no-color", str(broken)], capture_output=True, text=True, check=False)
    assert 'property "evnt" is not defined' in done.stdout


# An address may be a variable, which GitLab fills in before it looks.
_GITLAB = ["--data-transform", "gitlab-ci", "--disable-formats", "uri"]


@pytest.mark.parametrize(
    ("schema", "options", "file"), [("gitlab-ci", _GITLAB, PIPELINE), ("github-workflows", [], WORKFLOW)]
)
def test_the_published_schema_takes_it(schema: str, options: list[str], file: Path, tmp_path: Path) -> None:
    def check(path: Path) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            f"vendor.{schema}",
            *options,
            str(path),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = check(file)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / file.name
    broken.write_text(file.read_text().replace("environment:", "enviroment:").replace("runs-on:", "run-on:"))
    assert check(broken).returncode == 1


def commands(text: str) -> list[list[str]]:
    """Return the options of each call of `reviewapp` in a text, its name first."""
    found = re.findall(
        r"reviewapp (submit|comment|close)([^\n)]*)", "\n".join(re.findall(r"^[^#]*", text, re.MULTILINE))
    )
    return [[name, *re.findall(r"--[a-z-]+", rest)] for name, rest in found]


@pytest.mark.parametrize("file", [WORKFLOW, PIPELINE])
def test_every_option_is_one_that_there_is(file: Path) -> None:
    known: Any = get_command(app)
    calls = commands(file.read_text())
    assert {name for name, *_ in calls} == {"submit", "comment", "close"}
    for name, *options in calls:
        there = {option for parameter in known.commands[name].params for option in parameter.opts}
        assert set(options) <= there, name


def test_each_pull_request_has_one_job_for_each_event() -> None:
    """The conditions, as GitHub evaluates them, over all events: own branches and forks, labelled or not."""

    def runs(condition: str, event: str, action: str, fork: bool, label: str) -> bool:
        values = {
            "github.event.pull_request.head.repo.full_name": "them/shop" if fork else "us/shop",
            "github.event.label.name": label,
            "github.event.action": action,
            "github.event_name": event,
            "github.repository": "us/shop",
        }
        for name, value in values.items():
            condition = condition.replace(name, repr(value))
        return eval(condition.replace("&&", " and "))  # The example's own text, in Python's words.

    jobs = workflow()["jobs"]

    def running(event: str, action: str, *, fork: bool, label: str = "") -> list[str]:
        return [name for name, job in jobs.items() if runs(" ".join(job["if"].split()), event, action, fork, label)]

    for action in ("opened", "synchronize", "reopened"):
        assert running("pull_request", action, fork=False) == ["submit"]
        # A fork's own run has no secrets, and a push to a fork is nobody's who was asked.
        assert running("pull_request", action, fork=True) == []
        assert running("pull_request_target", action, fork=True) == []
    assert running("pull_request_target", "labeled", fork=True, label="review-app") == ["submit-fork"]
    assert running("pull_request_target", "labeled", fork=True, label="bug") == []
    assert running("pull_request_target", "labeled", fork=False, label="review-app") == []
    assert running("pull_request", "closed", fork=False) == ["close"]
    assert running("pull_request_target", "closed", fork=False) == []
    assert running("pull_request", "closed", fork=True) == []
    assert running("pull_request_target", "closed", fork=True) == ["close"]


def test_nothing_of_a_fork_is_run_or_trusted() -> None:
    steps = workflow()["jobs"]["submit-fork"]["steps"]
    checkouts = [step["with"] for step in steps if "uses" in step]
    assert [checkout["path"] for checkout in checkouts] == ["base", "fork"]
    # The one commit that was looked at, whatever is pushed meanwhile.
    assert checkouts[1]["ref"] == "${{ github.event.pull_request.head.sha }}"
    calls = [line for step in steps for line in step.get("run", "").splitlines() if "fork" in line]
    (call,) = calls
    assert call.startswith("reviewapp submit --checkout fork --config base/.reviewapp.forks.yaml ")


def test_no_job_may_more_than_it_needs() -> None:
    document = workflow()
    assert document["permissions"] == {}
    for name, job in document["jobs"].items():
        assert job["permissions"].items() <= {"contents": "read", "pull-requests": "write"}.items(), name
        for step in job["steps"]:
            # What a pull request names, such as its branch, is never put into a script's text.
            assert "${{" not in step.get("run", "")
            if "uses" in step:
                assert step["with"]["persist-credentials"] == "false"
