"""A real engine on a real cluster: a namespace for each test, and stacks with a data folder of their own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.state_store import StateStore, open_store
from provisioner.warm_up import warm_up
from stacks import naming
from stacks.inputs import StackInputs
from stacks.review_app import stack_label_selector
from tests import samples
from tests.state_servers import S3_CREDENTIALS, StateServers, kinds_for, state_servers
from watcher.cluster import DECLARED, Cluster, Object, Resource

NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)
# What the namespaces of these tests start with: others on the cluster leave them out.
ENGINE_NAMESPACES = "engine-"
SECRET_VALUE = "a value that nobody may read"

MakeInputs = Callable[..., StackInputs]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.from_environment()


@pytest.fixture(scope="session")
def engine() -> Engine:
    warm_up()
    return Engine(timeout_seconds=60)


@pytest.fixture
def namespace(cluster: Cluster) -> Generator[str]:
    name = f"{ENGINE_NAMESPACES}{uuid.uuid4().hex[:8]}"
    cluster.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    cluster.delete(NAMESPACES, None, name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    named = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "state_kind" in metafunc.fixturenames and "state_kind" not in named:
        metafunc.parametrize("state_kind", kinds_for(metafunc.definition))


@pytest.fixture(scope="session", name="state_servers")
def _state_servers() -> Generator[StateServers]:
    with state_servers() as servers:
        yield servers


@pytest.fixture
def settings(
    tmp_path: Path, state_kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of an installation with an empty state."""
    url = None
    if state_kind != "file":
        for name, value in S3_CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        servers: StateServers = request.getfixturevalue("state_servers")
        url = servers.new(state_kind)
    return samples.settings(data_folder=tmp_path / "data", backend_url=url)


@pytest.fixture
def store(settings: Settings) -> StateStore:
    """What those settings' backend has."""
    store = open_store(settings.state_url)
    assert store
    return store


@pytest.fixture
def give(settings: Settings, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what gives those settings to commands from then on, with a namespace where no other watcher leads."""

    def give() -> None:
        values = {
            "APP_DOMAIN": settings.app_domain,
            "REGISTRY": settings.registry,
            "NAMESPACE": namespace,
            "DATA_FOLDER": str(settings.data_folder),
            "PASSPHRASE": settings.passphrase.get_secret_value(),
            "BACKEND_URL": settings.backend_url or "",
        }
        for name, value in values.items():
            monkeypatch.setenv(f"REVIEWAPP_{name}", value)

    return give


@pytest.fixture
def backend(settings: Settings, engine: Engine) -> Generator[Backend]:
    backend = Backend(settings, engine)
    yield backend
    backend.close()


@pytest.fixture
def stacks(backend: Backend) -> Stacks:
    return Stacks(backend)


@pytest.fixture
def make_inputs(namespace: str) -> MakeInputs:
    """Return what makes inputs of a stack whose objects are all in the test's namespace."""

    def make(
        pull_request: str = "7",
        *,
        build: bool = True,
        port: int = 5000,
        database: dict[str, Any] | None = None,
        **changes: Any,
    ) -> StackInputs:
        config = {
            "namespace": namespace,
            "applicationPort": port,
            "env": {"values": [{"name": "SECRET", "value": SECRET_VALUE}]},
            # The sample's needs an operator that is there.
            "database": database,
        }
        inputs = samples.inputs(pr=pull_request, config=config, **changes)
        job = inputs.build.model_copy(update={"namespace": namespace}) if inputs.build and build else None
        return inputs.model_copy(update={"build": job})

    return make


@pytest.fixture
def objects(cluster: Cluster, namespace: str) -> Callable[[str], dict[str, Object]]:
    """Return what lists the objects of a stack in the test's namespace, by `Kind/name`."""

    def labelled(stack: str) -> dict[str, Object]:
        return {
            f"{resource.kind}/{item['metadata']['name']}": item
            for resource in DECLARED.values()
            for item in cluster.list(resource, namespace, stack_label_selector(stack))[0]
        }

    return labelled


def never(owner: object) -> bool:
    """Say of no lock's owner on another host that it is dead."""
    return False


def label_of(item: Object) -> str:
    return item["metadata"]["labels"][naming.STACK_LABEL]
