"""The plain pulumi CLI in a folder of `reviewapp workspace`, on a live stack: every verb that the folder promises.

`preview` and `up` start the program by a language host. The official one comes with the CLI's releases alone, so a
stand-in of ours takes its place here: see language_host.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.backend import Backend
from provisioner.desired import stack_tags
from provisioner.engine import Engine
from provisioner.errors import SecretsUnreadable, StackNotFound
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.state_store import StateStore
from provisioner.workspace import INPUTS_KEY, FolderRefused, environment, write
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests import samples
from tests.integration import language_host
from tests.integration.conftest import SECRET_VALUE, MakeInputs, never
from watcher.cluster import DEPLOYMENTS, SECRETS, Cluster, Object

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

Objects = Callable[[str], dict[str, Object]]
ROOT = Path(__file__).parents[2]


class Folder:
    """A workspace folder of a stack, and a shell in which the CLI works there."""

    def __init__(self, path: Path, variables: dict[str, str]) -> None:
        self.path = path
        self._environment = os.environ | variables

    def pulumi(self, *arguments: str) -> str:
        """Run the CLI there; return what it wrote to stdout."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert SECRET_VALUE not in done.stdout + done.stderr
        return done.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", "--non-interactive", *arguments],
            cwd=self.path,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def previewed(self) -> dict[str, int]:
        """Return how many resources a preview would do what with."""
        return json.loads(self.pulumi("preview", "--json"))["changeSummary"]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Give the CLI a home of its own."""
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in for the language host where the CLI finds it. Without it, no program can be run."""
    programs = tmp_path / "programs"
    programs.mkdir()
    language_host.install(programs)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def inputs(stacks: Stacks, make_inputs: MakeInputs) -> StackInputs:
    """What a live stack was last asked to declare."""
    inputs = make_inputs()
    stacks.up(inputs, 0)
    return inputs


@pytest.fixture
def folder(tmp_path: Path, settings: Settings, engine: Engine, inputs: StackInputs) -> Generator[Folder]:
    path = tmp_path / "workspace"
    assert write(path, inputs, settings, engine) == []
    with environment(settings) as variables:
        yield Folder(path, variables)


def names(inputs: StackInputs) -> set[str]:
    return {f"{manifest['kind']}/{manifest['metadata']['name']}" for manifest in manifests(inputs)}


def test_what_looks(folder: Folder, inputs: StackInputs) -> None:
    assert inputs.stack in folder.pulumi("stack", "ls")
    shown = folder.pulumi("stack", "--show-urns")
    assert all(f"::{name}" in shown for name in names(inputs))

    resources = json.loads(folder.pulumi("stack", "export"))["deployment"]["resources"]
    assert names(inputs) <= {resource["urn"].rpartition("::")[2] for resource in resources}

    assert json.loads(folder.pulumi("stack", "output", "--json")) == {
        "url": "https://shop-7.review.example.com",
        "image": inputs.workload.image,
        "commit": inputs.workload.commit,
        "namespace": inputs.namespace,
    }
    (update,) = json.loads(folder.pulumi("stack", "history", "--json"))
    assert (update["kind"], update["result"]) == ("update", "succeeded")

    folder.pulumi("stack", "graph", "graph.dot")
    assert f"Deployment/{inputs.name}" in (folder.path / "graph.dot").read_text()


def test_tags_find_it_in_the_list_and_go_with_it(
    folder: Folder, inputs: StackInputs, stacks: Stacks, store: StateStore
) -> None:
    tags = stack_tags(samples.spec(pr="7"), inputs)
    stacks.tag(inputs.stack, {"owner": "somebody"}, 0)
    stacks.tag(inputs.stack, tags, 0)
    assert json.loads(folder.pulumi("stack", "tag", "ls", "--json")) == tags
    assert tags.keys() == {"owner", "repo", "pull-request", "branch", "commit", "url"}
    assert [stack["name"] for stack in json.loads(folder.pulumi("stack", "ls", "--tag=repo=shop", "--json"))] == [
        inputs.stack
    ]
    assert json.loads(folder.pulumi("stack", "ls", "--tag=repo=other", "--json")) == []
    stacks.up(inputs, 0)
    assert json.loads(folder.pulumi("stack", "tag", "ls", "--json")) == tags
    stacks.destroy(inputs.stack, 0, never)
    assert [key for key in store.keys(".pulumi/") if inputs.stack in key] == []


def test_its_config_is_the_inputs_and_a_secret(folder: Folder, inputs: StackInputs) -> None:
    config = json.loads(folder.pulumi("config", "--json"))
    assert config[INPUTS_KEY] == {"secret": True}
    shown = folder.run("config", "get", INPUTS_KEY)
    assert StackInputs.model_validate_json(shown.stdout) == inputs
    for file in folder.path.iterdir():
        assert SECRET_VALUE not in file.read_text()
        assert file.stat().st_mode & 0o077 == 0 or file.name == f"Pulumi.{inputs.stack}.yaml"
    assert folder.path.stat().st_mode & 0o077 == 0
    assert len((folder.path / "README.md").read_text().splitlines()) == 3


@pytest.mark.usefixtures("host")
def test_a_preview_right_after_an_update_shows_no_change(folder: Folder, inputs: StackInputs) -> None:
    assert folder.previewed() == {"same": len(names(inputs)) + 1}


@pytest.mark.usefixtures("host")
def test_up_does_nothing_then_and_afterwards_neither_does_the_watcher(
    folder: Folder, inputs: StackInputs, stacks: Stacks
) -> None:
    result = folder.pulumi("up", "--yes", "--skip-preview")
    assert f"{len(names(inputs)) + 1} unchanged" in result
    assert not stacks.up(inputs, 0).changed


@pytest.mark.usefixtures("host")
def test_other_inputs_are_previewed_and_applied(
    folder: Folder, inputs: StackInputs, settings: Settings, engine: Engine, cluster: Cluster
) -> None:
    changed = inputs.model_copy(update={"workload": inputs.workload.model_copy(update={"replicas": 1})})
    write(folder.path, changed, settings, engine)
    assert folder.previewed() == {"same": len(names(inputs)), "update": 1}
    folder.pulumi("up", "--yes", "--skip-preview")
    deployment = cluster.get(DEPLOYMENTS, inputs.namespace, inputs.name)
    assert deployment
    assert deployment["spec"]["replicas"] == 1
    assert folder.previewed() == {"same": len(names(inputs)) + 1}


@pytest.mark.usefixtures("host")
def test_refresh_sees_what_another_deleted_and_up_makes_it_anew(
    folder: Folder, inputs: StackInputs, cluster: Cluster
) -> None:
    cluster.delete(SECRETS, inputs.namespace, f"{inputs.name}--env")
    folder.pulumi("refresh", "--yes", "--skip-preview")
    assert folder.previewed()["create"] == 1
    folder.pulumi("up", "--yes", "--skip-preview")
    assert cluster.get(SECRETS, inputs.namespace, f"{inputs.name}--env")


def test_cancel_takes_a_lock_away(folder: Folder, inputs: StackInputs, store: StateStore) -> None:
    owner = {"pid": 1, "username": "a", "hostname": "b", "timestamp": "2026-01-01T00:00:00Z"}
    store.write(f".pulumi/locks/organization/reviewapp/{inputs.stack}/0.json", json.dumps(owner).encode())
    assert "locked" in folder.run("refresh", "--yes", "--skip-preview").stderr
    folder.pulumi("cancel", "--yes")
    assert store.keys(".pulumi/locks/") == []
    folder.pulumi("refresh", "--yes", "--skip-preview")


def test_destroy_leaves_nothing(folder: Folder, inputs: StackInputs, objects: Objects) -> None:
    folder.pulumi("destroy", "--yes", "--skip-preview")
    assert objects(inputs.stack) == {}


@pytest.mark.parametrize("provider", ["local", "passphrase"])
def test_no_secret_is_read_without_the_key(
    provider: str, engine: Engine, make_inputs: MakeInputs, tmp_path: Path
) -> None:
    settings = samples.settings(data_folder=tmp_path / "data", secrets_provider=provider)
    backend, inputs, path = Backend(settings, engine), make_inputs(build=False), tmp_path / "workspace"
    Stacks(backend).up(inputs, 0)
    write(path, inputs, settings, engine)
    locked = Folder(path, {})
    assert locked.run("config", "get", INPUTS_KEY).returncode != 0
    with environment(settings) as variables:
        assert SECRET_VALUE in Folder(path, variables).run("config", "get", INPUTS_KEY).stdout
    other = settings.model_copy(
        update={"passphrase": samples.settings(passphrase="quite another passphrase").passphrase}
    )
    with pytest.raises(SecretsUnreadable):
        write(tmp_path / "other", inputs, other, engine)
    backend.close()


@pytest.mark.usefixtures("host")
def test_in_a_clone_the_project_stays(inputs: StackInputs, settings: Settings, engine: Engine, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("stacks", ".venv"):
        (clone / name).symlink_to(ROOT / name)
    project = (ROOT / "Pulumi.yaml").read_text()
    (clone / "Pulumi.yaml").write_text(project)
    write(clone, inputs, settings, engine)
    assert (clone / "Pulumi.yaml").read_text() == project
    assert not (clone / "README.md").exists()
    with environment(settings) as variables:
        assert Folder(clone, variables).previewed() == {"same": len(names(inputs)) + 1}


def test_a_folder_of_another_project_is_refused(
    inputs: StackInputs, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: other\nruntime: go\n")
    with pytest.raises(FolderRefused, match="is another project's: name another folder"):
        write(tmp_path, inputs, settings, engine)
    with pytest.raises(FolderRefused, match="can't be written"):
        write(tmp_path / "Pulumi.yaml", inputs, settings, engine)


def test_a_stack_that_is_not_there_is_said_to_be(
    make_inputs: MakeInputs, stacks: Stacks, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(StackNotFound, match=r"acme\.shop\.7 is not in the state backend"):
        write(tmp_path / "workspace", make_inputs(), settings, engine)


def test_written_again_it_has_the_newest_settings_and_inputs(
    folder: Folder, inputs: StackInputs, settings: Settings, engine: Engine
) -> None:
    changed = inputs.model_copy(update={"workload": inputs.workload.model_copy(update={"environment": {}})})
    (folder.path / "Pulumi.yaml").write_text("# Written by `reviewapp workspace`.\nname: reviewapp\nruntime: python\n")
    write(folder.path, changed, settings, engine)
    project: dict[str, Any] = yaml.safe_load((folder.path / "Pulumi.yaml").read_text())
    # None with a password in it.
    expected = {"url": settings.state_url} if "@" not in settings.state_url else None
    assert project.get("backend") == expected
    shown = folder.run("config", "get", INPUTS_KEY)
    assert StackInputs.model_validate_json(shown.stdout) == changed
