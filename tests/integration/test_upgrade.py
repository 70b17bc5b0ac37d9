"""What an older version left is taken over: its state, its journal, its ReviewApp and its objects.

Recorded from a run of the code of 25 November 2026 (commit b4ad2dc), before apps were boxed in, images named by their
digests and databases given a NetworkPolicy: the checkpoint as Pulumi wrote it, the journal's entry, the ReviewApp, and
what the stack declared. Names of namespaces are put in, all else is as it was. Its passphrase is the tests' own.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.engine import Engine
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.state_store import StateStore
from provisioner.workspace import prepare
from stacks import naming
from stacks.review_app import stack_label_selector
from tests import samples
from tests.integration.conftest import NAMESPACES, never
from watcher.cluster import DECLARED, SECRETS, Cluster, Object
from watcher.decide import Action, Apply, Nothing, decide
from watcher.journal import Entry, Journal
from watcher.view import View

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

RECORDED = Path(__file__).with_name("recorded")
STACK = "acme.shop.42"


@pytest.fixture
def builds(cluster: Cluster) -> Generator[str]:
    name = f"engine-{uuid.uuid4().hex[:8]}"
    cluster.create(NAMESPACES, None, {"metadata": {"name": name}})
    yield name
    cluster.delete(NAMESPACES, None, name)


@pytest.fixture
def recorded(namespace: str, builds: str) -> Any:
    """Return what reads a file of the recording, with this test's namespaces."""

    def read(name: str) -> str:
        content = (RECORDED / name).read_bytes()
        text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
        return text.replace("recorded-app", namespace).replace("recorded-builds", builds)

    return read


@pytest.fixture
def entry(recorded: Any, cluster: Cluster, namespace: str) -> Entry:
    """The journal's entry, read as a watcher does; and the objects, as that older one has applied them."""
    for manifest in json.loads(recorded("objects.json")):
        resource = DECLARED[manifest["apiVersion"], manifest["kind"]]
        cluster.apply(resource, manifest["metadata"]["namespace"], manifest, STACK)
    content = base64.b64encode(json.dumps(json.loads(recorded("journal.json"))).encode()).decode()
    metadata = {"name": "review-app--acme-shop-42", "labels": {f"{naming.GROUP}/journal": "true"}}
    cluster.create(SECRETS, namespace, {"metadata": metadata, "data": {"entry": content}})
    journal = Journal(cluster, namespace)
    journal.load()
    (entry,) = journal.all()
    return entry


def next_of(recorded: Any, entry: Entry, builds: str) -> Action:
    """Return what today's watcher does next about the ReviewApp."""
    review_app: Object = yaml.safe_load(recorded("reviewapp.yaml"))
    review_app["metadata"]["finalizers"] = [naming.FINALIZER]
    namespace = {"metadata": {"annotations": {f"{naming.GROUP}/allow": "acme/shop"}}}
    view = View(review_app, entry=entry, namespace=namespace)
    return decide(view, samples.settings(build_namespace=builds), time.time())


def uids(cluster: Cluster, *namespaces: str) -> dict[str, str]:
    return {
        f"{resource.kind}/{item['metadata']['name']}": item["metadata"]["uid"]
        for resource in DECLARED.values()
        for namespace in namespaces
        for item in cluster.list(resource, namespace, stack_label_selector(STACK))[0]
    }


def test_an_update_takes_over_and_replaces_nothing(
    stacks: Stacks,
    engine: Engine,
    settings: Settings,
    store: StateStore,
    recorded: Any,
    entry: Entry,
    cluster: Cluster,
    namespace: str,
    builds: str,
) -> None:
    # PostgreSQL has no table before.
    prepare(settings, engine)
    store.write(f".pulumi/stacks/reviewapp/{STACK}.json", recorded("checkpoint.json.gz").encode())
    before = uids(cluster, namespace, builds)
    assert entry.inputs.build
    assert {"Deployment/shop-42", "StatefulSet/shop-42--db", "PersistentVolumeClaim/shop-42--db"} <= before.keys()

    action = next_of(recorded, entry, builds)
    assert isinstance(action, Apply)
    assert action.unfinished is None
    inputs = action.inputs
    result = stacks.up(inputs, 0)
    assert not result.stack_is_new
    after = uids(cluster, namespace, builds)
    # What the Pods of builds are made like has changed, and a Job's is never changed in place.
    assert [name for name in before if after.get(name) != before[name]] == [f"Job/{entry.inputs.build.job_name}"]
    assert result.changes.get("delete", 0) == 0
    # What is new since is there.
    assert {"NetworkPolicy/shop-42", "NetworkPolicy/shop-42--db"} <= after.keys()

    # From then on it is like any other, secrets included.
    assert next_of(recorded, dataclasses.replace(entry, inputs=inputs), builds) == Nothing()
    assert not stacks.up(inputs, 0).changed
    stacks.destroy(STACK, 0, never)
    assert uids(cluster, namespace, builds) == {}
