"""What only former inputs declared, of a stack whose state was lost: a database that was switched off, a certificate.

The state that is made anew does not know of it. It goes with the next update, and at the latest with the stack.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from provisioner.backend import Backend
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.state_store import StateStore
from stacks.inputs import StackInputs
from tests import samples
from tests.integration.conftest import MakeInputs
from tests.integration.test_crashes import until
from tests.integration.test_state_lost import Objects, lose, names
from watcher.app_namespaces import AppNamespaces
from watcher.bindings import Bindings
from watcher.cluster import Cluster
from watcher.decide import Apply, decide_orphan, unfinished
from watcher.journal import Journal, Phase
from watcher.leadership import Term
from watcher.lost_states import LostStates
from watcher.stack_work import StackWork
from watcher.view import View

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

NAME = "acme-shop-7"


@pytest.fixture
def journal(cluster: Cluster, namespace: str) -> Journal:
    return Journal(cluster, namespace)


@pytest.fixture
def work(cluster: Cluster, settings: Settings, stacks: Stacks, journal: Journal) -> StackWork:
    """What a watcher's workers do with stacks."""
    places = AppNamespaces(cluster, settings, Bindings(cluster, settings.namespace))
    return StackWork(cluster, settings, stacks, journal, places, Term(time.monotonic, float("inf")))


@pytest.fixture
def former(make_inputs: MakeInputs) -> StackInputs:
    """What a stack declared: a database and a certificate, too."""
    return make_inputs(build=False, database={"backend": "postgres", "storageSize": "64Mi"})


@pytest.fixture
def now(make_inputs: MakeInputs) -> StackInputs:
    """What it declares since both were switched off."""
    inputs = make_inputs(build=False)
    return inputs.model_copy(update={"route": inputs.route.model_copy(update={"tls": None})})


@pytest.fixture
def lost(
    work: StackWork, journal: Journal, former: StackInputs, now: StackInputs, store: StateStore, objects: Objects
) -> Callable[[Phase, StackInputs], None]:
    """Return what has a stack of former inputs lose its state, and the journal say how far it came with which."""

    def lost(phase: Phase, inputs: StackInputs) -> None:
        view = seen(journal)
        work.note(view, former, "applying", and_before=True)
        work.update(view, Apply(former, None), 0)
        work.note(seen(journal), inputs, phase, and_before=True)
        lose(store, former)
        kinds = {name.partition("/")[0] for name in set(objects(former.stack)) - names(now)}
        assert kinds == {"StatefulSet", "PersistentVolumeClaim", "Service", "Secret", "NetworkPolicy"}

    return lost


def seen(journal: Journal) -> View:
    review_app: dict[str, Any] = samples.review_app()
    review_app["metadata"] = {"name": NAME, "uid": "u", "resourceVersion": "1"}
    return View(review_app, entry=journal.get(NAME))


@pytest.mark.parametrize("is_unfinished", [False, True], ids=["the next one", "one that was cut off"])
def test_an_update_takes_it_away(
    is_unfinished: bool,
    work: StackWork,
    journal: Journal,
    former: StackInputs,
    now: StackInputs,
    lost: Callable[[Phase, StackInputs], None],
    objects: Objects,
) -> None:
    lost(*(("applying", now) if is_unfinished else ("applied", former)))
    view = seen(journal)
    work.note(view, now, "applying", and_before=True)
    assert work.update(view, Apply(now, now if is_unfinished else None), 0).stack_is_new
    until(lambda: set(objects(now.stack)) == names(now), "only what is declared now is left")


def test_a_stack_that_nobody_updates_is_found(
    work: StackWork,
    journal: Journal,
    cluster: Cluster,
    backend: Backend,
    now: StackInputs,
    lost: Callable[[Phase, StackInputs], None],
    objects: Objects,
) -> None:
    lost("applied", now)
    found: list[str] = []
    states = LostStates(cluster, journal, found.append)
    states.look(backend.lacking_state)
    assert found == [NAME]
    states.settle(seen(journal).review_app)
    view = seen(journal)
    assert view.entry
    work.update(view, Apply(now, unfinished(view.entry, None)), 0)
    until(lambda: set(objects(now.stack)) == names(now), "only what is declared now is left")
    work.note(view, now, "applied", and_before=False)
    states.look(backend.lacking_state)
    assert found == [NAME]


@pytest.mark.parametrize("phase", ["applied", "applying"])
def test_a_delete_takes_it_away(
    phase: Phase,
    work: StackWork,
    journal: Journal,
    now: StackInputs,
    lost: Callable[[Phase, StackInputs], None],
    objects: Objects,
    store: StateStore,
) -> None:
    lost(phase, now)

    def is_destroyed() -> bool:
        entry = journal.get(NAME)
        assert entry
        return work.destroy(NAME, decide_orphan(entry), 0) == []

    until(is_destroyed, "nothing is on its way out any more")
    assert objects(now.stack) == {}
    assert [key for key in store.keys("") if now.stack in key] == []
