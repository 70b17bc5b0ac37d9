"""What counts as left over: what nobody asks for at two looks one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from provisioner.errors import EngineFailed
from watcher.cluster import Cluster, Object, Resource
from watcher.leftovers import Leftovers
from watcher.metrics import LEFTOVERS
from watcher.observation import Observation
from watcher.status import Event


class There(Observation):
    """Objects by their stacks."""

    def __init__(self) -> None:
        self.items: list[tuple[str, Object]] = []

    def parts(self) -> Iterator[tuple[str, Object]]:
        yield from self.items


class Namespaces(Cluster):
    def __init__(self) -> None:
        pass

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return {"metadata": {"name": "review-shop"}}


class Looked:
    def __init__(self) -> None:
        self.there = There()
        self.known: set[str] = {"acme.shop.1"}
        self.backend: set[str] = {"acme.shop.1"}
        self.events: list[str] = []
        self.leftovers = Leftovers(Namespaces(), self.there, "system", lambda: self.known, lambda: self.backend)

    def look(self) -> list[str]:
        def note(_cluster: Cluster, _namespace: Object, event: Event) -> None:
            self.events.append(event.message)

        with patch("watcher.leftovers.record", note):
            return sorted(what for what, *_ in self.leftovers.look())


def gauge(kind: str) -> float:
    samples = next(iter(LEFTOVERS.collect())).samples
    return next(float(sample.value) for sample in samples if sample.labels == {"kind": kind})


def deployment(stack: str) -> tuple[str, Object]:
    return stack, {"kind": "Deployment", "metadata": {"namespace": "review-shop", "name": "shop-2"}}


def test_what_is_asked_for_is_not_left_over() -> None:
    looked = Looked()
    looked.there.items = [deployment("acme.shop.1")]
    assert [looked.look(), looked.look()] == [[], []]
    assert looked.events == []


def test_what_nobody_asks_for_is_told_of_once_it_lasts_and_only_once() -> None:
    looked = Looked()
    looked.there.items = [deployment("acme.shop.2")]
    looked.backend.add("acme.shop.3")
    assert looked.look() == []
    both = ["Deployment review-shop/shop-2", "stack acme.shop.3 of the backend"]
    assert looked.look() == both
    assert (gauge("object"), gauge("stack")) == (1, 1)
    assert looked.look() == both
    assert len(looked.events) == 2
    assert "reviewapp doctor --fix" in looked.events[0]
    looked.there.items.clear()
    assert looked.look() == both[1:]
    assert gauge("object") == 0


def test_what_is_on_its_way_out_is_not() -> None:
    looked = Looked()
    looked.there.items = [deployment("acme.shop.2")]
    looked.look()
    looked.there.items.clear()
    assert looked.look() == []
    assert looked.events == []


def test_a_backend_that_can_not_be_read_is_an_error_of_that_look() -> None:
    looked = Looked()

    def fail() -> set[str]:
        raise EngineFailed("stack ls", 1, "no")

    looked.leftovers = Leftovers(Namespaces(), looked.there, "system", lambda: looked.known, fail)
    with pytest.raises(EngineFailed):
        looked.look()
