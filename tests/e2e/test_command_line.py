"""Every command that looks at a review app, or asks something of it, as a person runs it: against one that is live."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import yaml

from stacks import naming
from tests.e2e.conftest import Repository
from tests.e2e.pull_request import BUILDS, PullRequest
from tests.e2e.side_by_side import side_by_side
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from tests.integration.conftest import ENGINE_NAMESPACES
from watcher.cluster import SERVICES, Cluster, Object, entries

pytestmark = pytest.mark.cluster

PROGRAMS = Path(sys.executable).parent
# A log for each Pod, and a container before the app's own.
CONFIG = {"migrate": {"command": ["sh", "-c", "echo migrating for $APP_NAME"]}}
_SECONDS = 120


def environment(**more: str) -> dict[str, str]:
    """What a developer has: a KUBECONFIG, and no settings of the watcher."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("REVIEWAPP_")}
    path = os.pathsep.join([str(PROGRAMS), bare["PATH"]])
    return bare | {"PATH": path, "NO_COLOR": "1"} | more


def run(*arguments: str, program: str = "reviewapp", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(folder: Path, *arguments: str) -> Generator[Path]:
    """A command that goes on, ended with the block; yields the file that it writes to."""
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(["reviewapp", *arguments], env=environment(), stdout=file, stderr=subprocess.DEVNULL)
    try:
        yield output
    finally:
        process.kill()
        process.wait()


def until_said(output: Path, text: str, times: int = 1) -> None:
    until(lambda: output.read_text().count(text) >= times, f"{text!r} is printed", explain=output.read_text)


@dataclasses.dataclass(frozen=True)
class Live:
    """A review app that is ready, and its commit."""

    pull_request: PullRequest
    commit: str

    @property
    def name(self) -> str:
        return self.pull_request.name

    def row(self, *arguments: str) -> dict[str, str]:
        """Return its cells by their columns, of a table without empty cells."""
        header, *rows = succeeded(run(*arguments)).splitlines()
        (mine,) = (row for row in rows if row.startswith(f"{self.name} "))
        return dict(zip(header.split(), mine.split(), strict=False))


@pytest.fixture(scope="module")
def live(
    new_repository: Callable[[str], AbstractContextManager[Repository]],
    session_watcher: RunningWatcher,
    commits: dict[str, str],
) -> Generator[Live]:
    if not session_watcher.runs:
        session_watcher.start()
    with new_repository("command line") as repository:
        pull_request = repository.pull_request()
        pull_request.open(commits["first"], CONFIG)
        pull_request.until_ready(commits["first"])
        yield Live(pull_request, commits["first"])


def test_ls_has_a_line_for_each(live: Live) -> None:
    row = live.row("ls")
    age = row.pop("AGE")
    assert age[0].isdigit()
    assert row == {
        "NAME": live.name,
        "REPO": "acme/shop",
        "PR": live.pull_request.number,
        "BRANCH": "feature/new-basket",
        "COMMIT": live.commit[:12],
        "STATUS": "deployed",
        "READY": "Ready",
        "URL": f"http://{live.pull_request.app}.review.example.com",
    }
    wide = live.row("ls", "-o", "wide")
    assert (wide["NAMESPACE"], wide["STACK"]) == (live.pull_request.namespace, live.pull_request.stack)


def test_ls_gives_programs_the_objects_themselves(live: Live) -> None:
    for listed in (
        json.loads(succeeded(run("ls", "-o", "json"))),
        yaml.safe_load(succeeded(run("ls", "-o", "yaml"))),
    ):
        (mine,) = (item for item in listed["items"] if item["metadata"]["name"] == live.name)
        assert mine["status"]["appStatus"] == "deployed"


def test_kubectl_shows_what_matters_too(live: Live) -> None:
    header, line = succeeded(run("get", "reviewapp", live.name, "-o", "wide", program="kubectl")).splitlines()
    row = dict(zip(header.split(), line.split(), strict=True))
    assert (row["STATUS"], row["READY"], row["REASON"], row["BUILD"]) == ("deployed", "True", "Ready", "success")
    assert (row["COMMIT"], row["NAMESPACE"]) == (live.commit, live.pull_request.namespace)


def test_it_is_a_plugin_of_kubectl(live: Live) -> None:
    assert live.name in succeeded(run("reviewapp", "ls", program="kubectl"))


def test_the_shell_completes_names(live: Live) -> None:
    words = f"reviewapp show {live.name[:-2]}"
    completed = run(_REVIEWAPP_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD="2")
    assert live.name in succeeded(completed).split()


@pytest.mark.parametrize("way", ["name", "pull request", "stack"])
def test_show_says_all_of_one_whatever_it_is_called(live: Live, way: str) -> None:
    pull_request = live.pull_request
    names = {"name": live.name, "pull request": f"acme/shop#{pull_request.number}", "stack": pull_request.stack}
    shown = succeeded(run("show", names[way])).splitlines()
    facts = {line[:12].strip(): line[12:] for line in shown[: shown.index("")]}
    assert facts["status"].startswith("deployed, ready for ")
    assert facts["commit"] == live.commit[:12]
    assert facts["stack"] == pull_request.stack
    text = "\n".join(shown)
    for condition in ("Accepted", "Built", "Available", "Ready"):
        assert f"\n{condition} " in text
    job: str = pull_request.status()["buildJobName"]
    states = {" ".join(line.split()[:2]): " ".join(line.split()[2:]) for line in shown}
    app, namespace = pull_request.app, pull_request.namespace
    assert states[f"Deployment {namespace}/{app}"] == "1/1 ready"
    assert states[f"Job {BUILDS}/{job}"] == "Complete"
    for thing in (f"Service {namespace}/{app}", f"Ingress {namespace}/{app}", f"Secret {namespace}/{app}--env"):
        assert states[thing] == "there"
    assert "missing" not in text
    assert f"{namespace}/{app}-" in text


def test_logs_of_the_app_and_of_its_build(live: Live) -> None:
    app = run("logs", live.name)
    assert succeeded(app) == f"migrating for {live.pull_request.app}\n"
    assert [line.split()[-1] for line in app.stderr.splitlines()] == ["migrate", "app"]
    build = run("logs", live.name, "--build")
    assert "exporting to oci image format" in succeeded(build)
    assert [line.split()[-1] for line in build.stderr.splitlines()] == ["unpack", "build", "push"]
    one = run("logs", live.name, "--build", "-c", "push")
    assert len(one.stderr.splitlines()) == 1
    assert succeeded(one)
    wrong = run("logs", live.name, "-c", "nothing")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "it has migrate, app" in wrong.stderr


def test_events_of_all_that_it_has(live: Live) -> None:
    lines = succeeded(run("events", live.name)).splitlines()
    assert lines[0].split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    seen = {tuple(line.split()[2:4]) for line in lines[1:]}
    job = live.pull_request.status()["buildJobName"]
    assert {("Ready", f"ReviewApp/{live.name}"), ("Completed", f"Job/{job}")} <= seen
    assert any(reason == "Started" and about.startswith(f"Pod/{live.pull_request.app}-") for reason, about in seen)
    others = {about for _, about in seen} - {f"ReviewApp/{live.name}"}
    assert all(live.pull_request.app in about for about in others)


def test_open_prints_the_address_where_there_is_no_browser(live: Live) -> None:
    assert succeeded(run("open", live.name)) == f"http://{live.pull_request.app}.review.example.com\n"


def test_pause_and_resume(live: Live, session_watcher: RunningWatcher, tmp_path: Path) -> None:
    with running(tmp_path, "ls", "--watch") as watching:
        until_said(watching, live.name)
        assert "is paused" in run("pause", live.name).stderr
        live.pull_request.until_condition("Ready", "False", "Paused")
        assert live.pull_request.status()["appStatus"] == "paused"
        assert live.pull_request.replicas() == 0
        until(lambda: not live.pull_request.pods(), "its Pods are gone")
        until_said(watching, "Paused")
    runs = len(session_watcher.engine_runs(live.name))
    assert "paused already" in run("pause", live.name).stderr
    assert "paused" in succeeded(run("show", live.name))
    resumed = run("resume", live.name, "--wait")
    assert succeeded(resumed) == f"http://{live.pull_request.app}.review.example.com\n"
    assert live.commit in (live.pull_request.page() or "")
    # The one that resumed it.
    assert len(session_watcher.engine_runs(live.name)) == runs + 1


def test_rebuild_rolls_out_a_new_image_of_the_same_commit(live: Live, tmp_path: Path) -> None:
    before = live.pull_request.status()
    with running(tmp_path, "logs", live.name, "--follow") as following:
        until_said(following, "migrating")
        done = run("rebuild", live.name, "--wait")
        assert succeeded(done) == f"{before['url']}\n"
        # It goes on from the old Pod to the new one.
        until_said(following, "migrating", times=2)
    after = live.pull_request.status()
    assert after["buildCommit"] == before["buildCommit"]
    assert after["buildJobName"] != before["buildJobName"]
    (container,) = (live.pull_request.deployment() or {})["spec"]["template"]["spec"]["containers"]
    by_digest = f"{after['image'].rpartition(':')[0]}@{after['imageDigest']}"
    assert container["image"] == by_digest
    assert after["image"] != before["image"]
    # The old Pod answers its last requests while it goes.
    until(lambda: len(live.pull_request.pods()) == 1, "the old Pod is gone")
    (pod,) = live.pull_request.pods()
    assert pod["spec"]["containers"][0]["image"] == by_digest
    assert live.commit in (live.pull_request.page() or "")
    assert [job["metadata"]["name"] for job in live.pull_request.jobs()] == [after["buildJobName"]]


def test_a_build_is_followed_to_its_end(live: Live) -> None:
    job = live.pull_request.status()["buildJobName"]
    succeeded(run("rebuild", live.name))
    until(lambda: live.pull_request.status()["buildJobName"] != job, "the next build")
    followed = run("logs", live.name, "--build", "--follow")
    assert "exporting to oci image format" in succeeded(followed)
    assert [line.split()[-1] for line in followed.stderr.splitlines()] == ["unpack", "build", "push"]
    live.pull_request.until_ready(live.commit)


@side_by_side
def test_a_failed_build_is_tried_again_by_a_rebuild(pull_request: PullRequest, commits: dict[str, str]) -> None:
    pull_request.open(commits["broken"])
    pull_request.until_condition("Built", "False", "BuildFailed")
    job = pull_request.status()["buildJobName"]
    assert "the reason is here" in succeeded(run("logs", pull_request.name, "--build"))
    done = run("rebuild", pull_request.name, "--wait")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{pull_request.name} failed: BuildFailed" in done.stderr
    assert pull_request.status()["buildJobName"] != job
    assert "BuildFailed" in succeeded(run("ls", "-o", "wide"))


def restarts(pod: Object) -> int:
    return sum(status["restartCount"] for status in entries(pod, "status", "containerStatuses"))


@side_by_side
def test_logs_of_a_crash(pull_request: PullRequest, commits: dict[str, str]) -> None:
    pull_request.open(commits["crashing"])
    none = run("logs", pull_request.name)
    assert none.returncode == 1
    assert "its build's logs come with --build" in none.stderr
    until(lambda: any(map(restarts, pull_request.pods())), "it was started again")
    # Between two restarts the kubelet answers that it has no logs of the container that it just put away.
    until(
        lambda: "there is no database" in succeeded(run("logs", pull_request.name, "--previous")),
        "what the app said before its restart",
    )
    assert "exit code 3" in succeeded(run("show", pull_request.name))
    deleted = run("delete", pull_request.name, "--wait")
    assert f"{pull_request.name} is gone" in deleted.stderr
    assert succeeded(deleted) == ""
    assert pull_request.review_app() is None
    assert pull_request.left() == []
    gone = run("show", pull_request.name)
    assert gone.returncode == 1
    assert gone.stderr == f"error: there is no ReviewApp {pull_request.name}: `reviewapp ls` lists all\n"


def operator(folder: Path, **more: str) -> dict[str, str]:
    """What the watcher of the tests has."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("REVIEWAPP_")}
    return ours | {
        "REVIEWAPP_APP_DOMAIN": "review.example.com",
        "REVIEWAPP_PASSPHRASE": "a passphrase for the demo only",
        "REVIEWAPP_DATA_FOLDER": str(folder),
        **more,
    }


def found_wrong(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what the doctor found wrong, but for stacks that tests without a watcher make on the cluster meanwhile."""
    lines = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("wrong")]
    assert done.returncode == bool(lines), done.stdout
    return [line for line in lines if f" {ENGINE_NAMESPACES}" not in line]


def test_the_doctor_finds_nothing_wrong_with_an_installation_that_works(
    live: Live, session_watcher: RunningWatcher
) -> None:
    done = run("doctor", **operator(session_watcher.folder))
    assert found_wrong(done) == []
    assert "stacks are of ReviewApps" in done.stdout
    assert "pulumi 3." in done.stdout
    quiet = run("doctor", "--quiet", **operator(session_watcher.folder))
    assert found_wrong(quiet) == []
    assert " wrong, " in quiet.stdout.splitlines()[-1]


def test_the_doctor_says_what_is_wrong(live: Live, session_watcher: RunningWatcher, cluster: Cluster) -> None:
    namespace = live.pull_request.namespace
    stray = {
        "metadata": {"name": "stray", "labels": {naming.STACK_LABEL: "acme.shop.7"}},
        "spec": {"ports": [{"port": 80}]},
    }
    cluster.create(SERVICES, namespace, stray)
    try:
        done = run("doctor", "-q", **operator(session_watcher.folder, REVIEWAPP_PUSH_SECRET_NAME="absent"))
    finally:
        cluster.delete(SERVICES, namespace, "stray")
    assert found_wrong(done) == [
        f"push_secret_name: there is no Secret {BUILDS}/absent",
        f"Service {namespace}/stray is of stack acme.shop.7, which no ReviewApp asks for",
    ]
    assert f"`kubectl delete service -n {namespace} stray`" in done.stdout
    refused = run("doctor", "-q", **operator(session_watcher.folder, REVIEWAPP_APP_DOMAIN="no domain"))
    assert refused.returncode == 1
    assert "app_domain" in refused.stdout


def test_without_a_cluster_each_command_says_so_in_a_line(live: Live, tmp_path: Path) -> None:
    for arguments in (["ls"], ["show", "x"], ["pause", "x"], ["doctor"]):
        done = run(*arguments, KUBECONFIG=str(tmp_path / "absent"))
        assert done.returncode == 1
        assert "set KUBECONFIG" in done.stderr
        assert "Traceback" not in done.stderr
