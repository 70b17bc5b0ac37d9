"""The verdict of a preview is what the update then does, for random pairs of specs.

Three witnesses: the preview, what the engine says of its update, and the API server's objects before and after. A few
pairs each time; REVIEWAPP_PREVIEW_PAIRS says how many, as in

    REVIEWAPP_PREVIEW_PAIRS=200 python -m dev test tests/integration/test_preview_equals_update.py

No Pod starts in these namespaces: what a stack declares is all that changes.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import uuid
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from provisioner.backend import Backend
from provisioner.desired import stack_inputs
from provisioner.preview.model import Preview
from provisioner.review_app import parse
from provisioner.settings import StackSettings
from provisioner.stack import Stacks
from stacks.inputs import TLS, StackInputs
from stacks.review_app import stack_label_selector
from tests import samples
from tests.integration.conftest import NAMESPACES, never
from tests.samples.random_specs import specs, stack_settings
from watcher.cluster import DECLARED, Cluster, Object, Resource

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

PAIRS = int(os.environ.get("REVIEWAPP_PREVIEW_PAIRS", "5"))
_QUOTAS = Resource("v1", "ResourceQuota", "resourcequotas")
_SERVERS_OWN = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
_REVISION = "deployment.kubernetes.io/revision"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a stack might be asked for, before it is known in which namespaces."""

    spec: dict[str, Any]
    settings: StackSettings
    built: bool
    certificate: TLS | None
    has_build: bool
    elsewhere: bool


def of_commit(spec: dict[str, Any], commit: str) -> dict[str, Any]:
    return spec | {"commitHash": commit}


# Few different commits, so that a Job of the same name with another template has to be replaced, too.
_COMMITS = st.sampled_from(["a" * 40, "b" * 40])
WISHES = st.builds(
    Wish,
    spec=st.builds(of_commit, specs(), _COMMITS),
    settings=stack_settings(),
    built=st.booleans(),
    certificate=st.none() | st.just(samples.CERTIFICATE),
    has_build=st.sampled_from([True, True, False]),
    elsewhere=st.sampled_from([False, False, False, True]),
)
_PARTS = ("built", "certificate", "has_build", "elsewhere", "settings")
_CONFIG = ("applicationPort", "registrySecretName", "migrate", "env")


def blend(first: Wish, other: Wish, parts: set[str]) -> Wish:
    """The first wish, with these parts of the other."""
    config = first.spec["config"] | {part: other.spec["config"].get(part) for part in parts & set(_CONFIG)}
    spec = first.spec | {part: other.spec[part] for part in parts & {"commitHash", "tarballUrl"}}
    spec["config"] = {name: value for name, value in config.items() if value is not None}
    return dataclasses.replace(first, spec=spec, **{part: getattr(other, part) for part in parts & set(_PARTS)})


def near(first: Wish) -> st.SearchStrategy[tuple[Wish | None, Wish]]:
    """A wish and one that differs from it little, or not at all."""
    parts = st.sets(st.sampled_from((*_PARTS, *_CONFIG, "commitHash", "tarballUrl")), max_size=2)
    return st.tuples(st.just(first), st.builds(blend, st.just(first), WISHES, parts))


FAR: st.SearchStrategy[tuple[Wish | None, Wish]] = st.tuples(st.none() | WISHES, WISHES)
NEAR: st.SearchStrategy[tuple[Wish | None, Wish]] = WISHES.flatmap(near)


@dataclasses.dataclass(frozen=True)
class Bench:
    """Stacks, and two namespaces in which no Pod starts."""

    cluster: Cluster
    stacks: Stacks
    namespaces: tuple[str, str]
    seen: Counter[str]

    def inputs(self, wish: Wish) -> StackInputs:
        """What the wish comes to, for the one stack."""
        namespace = self.namespaces[1 if wish.elsewhere else 0]
        identity = {"repoOwner": "acme", "repo": "shop", "pr": "7"}
        spec = parse(wish.spec | identity | {"config": wish.spec["config"] | {"namespace": namespace}})
        settings = wish.settings.model_copy(update={"build_namespace": self.namespaces[0] + "-none"})
        inputs = stack_inputs(spec, settings, previous=None, built=wish.built, tls=wish.certificate)
        assert inputs.build
        build = inputs.build.model_copy(update={"namespace": self.namespaces[0]}) if wish.has_build else None
        return inputs.model_copy(update={"build": build})

    def objects(self, stack: str) -> dict[str, Object]:
        """What is there of a stack, by `Kind/name`."""
        return {
            f"{resource.kind}/{item['metadata']['name']}": item
            for namespace in self.namespaces
            for resource in DECLARED.values()
            for item in self.cluster.list(resource, namespace, stack_label_selector(stack))[0]
            if "deletionTimestamp" not in item["metadata"]
        }


@pytest.fixture
def bench(cluster: Cluster, backend: Backend) -> Generator[Bench]:
    name = f"pairs-{uuid.uuid4().hex[:6]}"
    bench = Bench(cluster, Stacks(backend), (name, f"{name}-elsewhere"), Counter())
    for namespace in bench.namespaces:
        cluster.create(NAMESPACES, None, {"metadata": {"name": namespace}})
        cluster.create(_QUOTAS, namespace, {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}})
    yield bench
    bench.stacks.destroy("acme.shop.7", 0, never)
    for namespace in bench.namespaces:
        cluster.delete(NAMESPACES, None, namespace)


def declared(item: Object) -> Object:
    """An object without what only the API server and controllers write."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in _SERVERS_OWN}
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key != _REVISION}
    return {key: value for key, value in item.items() if key != "status"} | {
        "metadata": metadata | {"annotations": annotations}
    }


def done(before: dict[str, Object], after: dict[str, Object]) -> dict[str, str]:
    """What was done to each object, by what the API server has; `same` is left out."""
    operations: dict[str, str] = {}
    for name in before.keys() | after.keys():
        if name not in before:
            operations[name] = "create"
        elif name not in after:
            operations[name] = "delete"
        elif before[name]["metadata"]["uid"] != after[name]["metadata"]["uid"]:
            operations[name] = "replace"
        elif declared(before[name]) != declared(after[name]):
            operations[name] = "update"
    return operations


def verdict(preview: Preview) -> dict[str, str]:
    return {f"{change.kind}/{change.name}": change.operation for change in preview.changes}


@pytest.mark.timeout(120 + 30 * PAIRS)
def test_the_preview_says_what_the_update_does(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    @settings(
        max_examples=PAIRS,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(FAR | NEAR)
    def compare(pair: tuple[Wish | None, Wish]) -> None:
        first, second = pair
        wanted = bench.inputs(second)
        if first is None:
            bench.stacks.destroy(wanted.stack, 0, never)
        else:
            bench.stacks.up(bench.inputs(first), 0)
        before = bench.objects(wanted.stack)
        preview = bench.stacks.preview(wanted, 0)
        assert {name: declared(item) for name, item in bench.objects(wanted.stack).items()} == {
            name: declared(item) for name, item in before.items()
        }
        result = bench.stacks.up(wanted, 0)
        assert preview.is_new is (first is None)
        assert verdict(preview) == done(before, bench.objects(wanted.stack))
        # The stack itself counts with the engine.
        own = {"create": 1} if first is None else {"same": 1}
        said = {**preview.counts, "same": preview.unchanged}
        assert Counter(said) + Counter(own) == Counter(result.changes)
        bench.seen.update({"pairs": 1, "pairs without a change": not preview.changes, **said})

    compare()
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(bench.seen)}\n")
    assert bench.seen["pairs"] >= PAIRS
    if PAIRS >= 50:
        assert all(bench.seen[operation] for operation in ("create", "update", "replace", "delete", "same"))
