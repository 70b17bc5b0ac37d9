"""What is left to clear of an app that came no further than its namespace, and where the watcher was never let in."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.desired import stack_inputs
from provisioner.errors import ApplyRefused
from stacks.inputs import StackInputs
from tests import samples
from tests.samples.memory import MemoryCluster
from watcher.app_namespaces import AppNamespaces, namespaces_of
from watcher.bindings import Bindings
from watcher.cluster import NAMESPACES
from watcher.journal import Entry, Journal
from watcher.own_namespaces import make

SYSTEM, OWN = "reviewapp-system", "review-shop-42"
# It came as this, after a spec that could be read; what names the stack can't change.
UNREADABLE: Any = {"metadata": {"name": "shop"}, "spec": {"repoOwner": "acme", "repo": "shop", "pr": "42", "config": 7}}


class Shut(Bindings):
    """Rights that can't be had."""

    def take(self, review_app: str, namespace: str) -> None:
        raise ApplyRefused(namespace, "NotPermitted", "it is not open", "open it")


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


def per_app() -> StackInputs:
    settings = samples.settings(namespace_mode="per-app")
    return stack_inputs(samples.spec(config={"database": None}), settings, previous=None, built=False, tls=None)


def entry(inputs: StackInputs, name: str = "shop") -> Entry:
    return Entry(name, "applied", inputs, (inputs.namespace, "reviewapp-builds"), "host")


def places(cluster: MemoryCluster, bindings: type[Bindings] = Bindings) -> AppNamespaces:
    return AppNamespaces(cluster, samples.settings(namespace_mode="per-app"), bindings(cluster, SYSTEM))


def test_a_namespace_of_which_the_journal_knows_nothing_goes_with_the_review_app(cluster: MemoryCluster) -> None:
    inputs = per_app()
    assert inputs.own_namespace
    make(cluster, inputs, inputs.own_namespace)
    journal = Journal(cluster, SYSTEM)
    assert places(cluster).clear_unnoted(UNREADABLE, journal) == [f"Namespace {OWN}"]
    assert cluster.get(NAMESPACES, None, OWN) is None
    assert places(cluster).clear_unnoted(UNREADABLE, journal) == []


def test_that_of_another_review_app_stays(cluster: MemoryCluster) -> None:
    inputs = per_app()
    assert inputs.own_namespace
    make(cluster, inputs, inputs.own_namespace)
    journal = Journal(cluster, SYSTEM)
    journal.write(entry(inputs, "the-first-of-two"))
    assert places(cluster).clear_unnoted(UNREADABLE, journal) == []
    assert cluster.get(NAMESPACES, None, OWN)


def test_who_was_never_let_in_has_nothing_there_to_clear(cluster: MemoryCluster) -> None:
    shut = places(cluster, Shut)
    assert not shut.may_clear("shop", "closed", None)
    assert shut.may_clear("shop", "reviewapp-builds", None)
    with pytest.raises(ApplyRefused):
        shut.may_clear("shop", "closed", entry(samples.inputs()))


def test_rights_are_held_in_the_home_too() -> None:
    assert namespaces_of(entry(per_app())) == (OWN, "reviewapp-builds", "review-shop")
    assert namespaces_of(entry(samples.inputs())) == ("review-shop", "reviewapp-builds")
