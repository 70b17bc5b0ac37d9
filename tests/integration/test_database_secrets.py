"""What a database's credentials leave behind: in an exported checkpoint, and in every file of the data folder."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from provisioner.backend import Backend
from provisioner.databases import Known, settle
from provisioner.desired import stack_inputs
from provisioner.engine import Engine
from provisioner.errors import ApplyRefused
from provisioner.settings import Settings
from provisioner.stack import Stacks
from stacks.database_names import copy_secret_name
from stacks.inputs import StackInputs
from tests import samples
from tests.golden.preview import renderings
from tests.integration.conftest import never
from tests.planted import planted_in, planted_in_files
from watcher.cluster import Cluster, Resource

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

_QUOTAS = Resource("v1", "ResourceQuota", "resourcequotas")
_HOST = "source-that-is-no-secret.example.com"
_STATE_PASSPHRASE = "a passphrase of a test"

PLANTED = {
    "password of the source": "p@ss:w/rd% 'planted' \"é\"",
    "password in an address": "pl@nted:in/an%address",
    "generated password": secrets.token_hex(20),
}
URL = f"postgresql://owner:{quote(PLANTED['password in an address'], safe='')}@{_HOST}/shop"
SEARCHED = PLANTED | {"address of the source": URL, "passphrase": _STATE_PASSPHRASE}


class Database:
    """A stack with a database, in the states that a ReviewApp's life brings it to."""

    def __init__(self, namespace: str, settings: Settings) -> None:
        self._namespace = namespace
        self._settings = settings
        parts = {"host": _HOST, "user": "owner", "password": PLANTED["password of the source"]}
        self.by_parts = self._inputs({key: {"value": value} for key, value in parts.items()})
        self.by_address = self._inputs({"database_url": {"value": URL}})
        database = self.by_parts.database
        assert database
        self.settled = self.by_parts.model_copy(update={"database": settle(database)})

    def _inputs(self, source: dict[str, dict[str, str]]) -> StackInputs:
        config = {"namespace": self._namespace, "database": {"copyFrom": source}}
        spec = samples.spec(pr="7", config=config)
        known = Known(password=SecretStr(PLANTED["generated password"]))
        inputs = stack_inputs(spec, self._settings, previous=None, built=False, tls=None, known=known)
        return inputs.model_copy(update={"build": None})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return samples.settings(data_folder=tmp_path / "data", passphrase=_STATE_PASSPHRASE)


@pytest.fixture
def backend(settings: Settings, engine: Engine, cluster: Cluster, namespace: str) -> Generator[Backend]:
    cluster.create(_QUOTAS, namespace, {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}})
    backend = Backend(settings, engine)
    yield backend
    backend.close()


def exported(backend: Backend, stack: str, *options: str) -> str:
    """Return what `pulumi stack export` gives of a stack."""
    workspace = backend.project(stack, 0).workspace
    command = ["pulumi", "stack", "export", "--stack", stack, *options]
    environment = os.environ | workspace.env_vars
    done = subprocess.run(
        command, cwd=workspace.work_dir, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_file_and_no_exported_checkpoint_has_a_databases_secret(
    backend: Backend, settings: Settings, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    database, stacks, folder = Database(namespace, settings), Stacks(backend), tmp_path / "data"
    stack, declared = database.by_parts.stack, database.by_parts.database
    assert declared
    said = [_refused(cluster, stacks, database.by_parts)]
    exports: list[str] = []
    for inputs in (database.by_parts, database.by_address, database.settled):
        said += renderings(stacks.preview(inputs, 0)).values()
        stacks.up(inputs, 0)
        exports.append(exported(backend, stack))
        # They did go through the engine, and are in there, encrypted.
        names = ["generated password"]
        if inputs.database and inputs.database.copy_from:
            is_address = "COPY_URL" in inputs.database.copy_from.values
            names.append("address of the source" if is_address else "password of the source")
            assert copy_secret_name(declared) in exports[-1]
        assert set(names) <= _decrypted(exported(backend, stack, "--show-secrets"))
    checkpoints = [path for path in folder.rglob(f"{stack}*") if path.is_file()]
    assert any("history" in path.parts for path in checkpoints)
    assert "exceeded quota" in said[0]
    assert all(database.by_parts.name in text for text in said)
    for text in (*exports, *said, repr(database.by_parts), repr(database.by_address)):
        assert planted_in(text.encode(), SEARCHED) == []
    assert planted_in_files(folder, SEARCHED) == []
    stacks.destroy(stack, 0, never)
    assert planted_in_files(folder, SEARCHED) == []


def _refused(cluster: Cluster, stacks: Stacks, inputs: StackInputs) -> str:
    """Let an update fail half-way, at the first Secret; return what is said of it."""
    quota = {"metadata": {"name": "no-secrets"}, "spec": {"hard": {"secrets": "0"}}}
    cluster.create(_QUOTAS, inputs.namespace, quota)
    with pytest.raises(ApplyRefused) as refused:
        stacks.up(inputs, 0)
    cluster.delete(_QUOTAS, inputs.namespace, "no-secrets")
    return str(refused.value)


def _decrypted(checkpoint: str) -> set[str]:
    """Return the names of the secrets that the Secrets of a checkpoint hold."""
    resources: list[dict[str, Any]] = json.loads(checkpoint)["deployment"]["resources"]
    data = [resource["inputs"]["data"] for resource in resources if resource["type"] == "kubernetes:core/v1:Secret"]
    texts = [value["plaintext"] if "plaintext" in value else json.dumps(value) for value in data]
    return set(planted_in("\n".join(texts).encode(), SEARCHED))
