"""When what has drifted is put right: not before it has lasted, and later each time; and what `report` does instead."""

from __future__ import annotations

import itertools
from typing import Any, cast
from unittest.mock import patch

import pytest

from provisioner.errors import ForeignObject
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests.unit.watcher.leases import Clock
from tests.unit.watcher.views import entry, inputs, review_app
from watcher.cluster import Cluster, Object
from watcher.drift import Drift, drift, lost_fields
from watcher.drift_watch import DriftWatch, Mode
from watcher.status import Event
from watcher.view import View

INPUTS = inputs(built=True)
VIEW = View(review_app(), entry=entry("applied", INPUTS))


def fields(value: object) -> Object:
    """Return what the API server would note of a manifest that was applied, lists as a whole."""
    if not isinstance(value, dict):
        return {}
    return {f"f:{key}": fields(part) for key, part in cast("dict[str, object]", value).items()}


def applied(declared: StackInputs) -> list[Object]:
    live: list[Object] = []
    for manifest in manifests(declared):
        owned = {"manager": declared.stack, "operation": "Apply", "fieldsV1": fields(manifest)}
        live.append({"kind": manifest["kind"], "metadata": manifest["metadata"] | {"managedFields": [owned]}})
    return live


class Watched:
    """A watch whose view of the objects the test changes, and what came of it."""

    def __init__(self, mode: Mode = "correct") -> None:
        self.clock = Clock()
        self.live = applied(INPUTS)
        self.corrected: list[list[Drift]] = []
        self.told: list[tuple[str, str]] = []
        self.looks: list[float] = []
        self.rights: list[tuple[str, str]] = []
        self.forbidden = False
        self.error: Exception | None = None
        self.watch = DriftWatch(
            Cluster.__new__(Cluster),
            mode,
            lambda stack: None,
            lambda name, seconds: self.looks.append(seconds),
            lambda name, namespace: self.rights.append((name, namespace)),
            self.clock,
        )
        self.watch._parts = self  # type: ignore[assignment]

    def _ignore(self, stack: str) -> None:
        pass

    def _look_again(self, name: str, seconds: float) -> None:
        self.looks.append(seconds)

    def _tell(self, cluster: object, review_app: object, event: Event) -> None:
        self.told.append((event.reason, event.message))

    def is_forbidden(self, namespace: str) -> bool:
        return self.forbidden

    def of(self, stack: str, namespace: str) -> list[Object]:
        return self.live

    def step(self, seconds: float = 0.0, view: View = VIEW) -> None:
        self.clock.now += seconds

        def correct(_cluster: Any, _inputs: Any, found: list[Drift]) -> None:
            self.corrected.append(found)
            if self.error:
                raise self.error

        with (
            patch("watcher.drift_watch.correct", correct),
            patch("watcher.drift_watch.record", self._tell),
        ):
            self.watch.step(view)


def without(kind: str) -> list[Object]:
    return [item for item in applied(INPUTS) if item["kind"] != kind]


def test_what_is_as_declared_is_left() -> None:
    watched = Watched()
    assert drift(INPUTS, watched.live) == []
    watched.step()
    watched.step(60)
    assert (watched.corrected, watched.looks, watched.told) == ([], [], [])


def test_it_has_to_last_for_a_moment() -> None:
    watched = Watched()
    watched.live = without("Service")
    watched.step()
    assert watched.looks == [2.0]
    watched.live = applied(INPUTS)
    watched.step(1)
    watched.live = without("Service")
    watched.step(1)
    assert watched.corrected == []
    watched.step(2)
    assert [one.key for found in watched.corrected for one in found] == [("Service", "review-shop", "shop-42")]
    assert watched.told == [("Corrected", "Service review-shop/shop-42 was deleted")]


def test_who_goes_on_is_answered_later_each_time() -> None:
    watched = Watched()
    at: list[float] = []
    watched.live = without("Service")
    for _ in range(6_000):
        watched.step(0.5)
        if len(watched.corrected) > len(at):
            at.append(watched.clock.now)
    waits = [later - sooner for sooner, later in itertools.pairwise(at)]
    assert waits[0] < 6
    assert max(waits) <= 301
    assert len(at) < 18


def test_one_that_can_not_be_put_right_says_so_and_waits_too() -> None:
    watched = Watched()
    watched.live = without("Service")
    watched.error = ForeignObject("Service review-shop/shop-42", "it lacks this stack's label")
    watched.step()
    with pytest.raises(ForeignObject):
        watched.step(2)
    watched.step(1)
    assert len(watched.corrected) == 1
    assert watched.told == [("Drifted", "Service review-shop/shop-42 was deleted")]


def test_where_it_is_only_reported_it_is_told_once() -> None:
    watched = Watched("report")
    watched.live = without("Ingress")
    for _ in range(10):
        watched.step(2)
    assert watched.corrected == []
    assert watched.told == [("Drifted", "Ingress review-shop/shop-42 was deleted")]


def test_where_it_is_ignored_or_an_update_is_under_way_nothing_is_done() -> None:
    ignoring, updating = Watched("ignore"), Watched()
    updating.live = without("Service")
    for _ in range(5):
        ignoring.step(2)
        updating.step(2, View(review_app(), entry=entry("applying", INPUTS)))
    assert ignoring.corrected == updating.corrected == []


class TestFields:
    def test_a_field_that_is_somebody_elses_is_named(self) -> None:
        (service,) = [item for item in manifests(INPUTS) if item["kind"] == "Service"]
        owned = fields(service)
        del owned["f:spec"]["f:selector"]
        other = {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-01T00:00:00Z"}
        mine = {"manager": INPUTS.stack, "operation": "Apply", "fieldsV1": owned}
        live = {"kind": "Service", "metadata": service["metadata"] | {"managedFields": [mine, other]}}
        assert list(lost_fields(service, live, INPUTS.stack)) == ["spec.selector"]
        (found,) = drift(INPUTS, [*without("Service"), live])
        assert str(found) == "Service review-shop/shop-42: spec.selector changed by kubectl-edit"

    def test_replicas_are_an_autoscalers_too(self) -> None:
        live = applied(INPUTS)
        (deployment,) = [item for item in live if item["kind"] == "Deployment"]
        del deployment["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:replicas"]
        assert drift(INPUTS, live) == []

    def test_what_is_on_its_way_out_is_no_drift_until_it_is_gone(self) -> None:
        live = applied(INPUTS)
        for item in live:
            item["metadata"] = {**item["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "managedFields": []}
        assert drift(INPUTS, live) == []

    def test_the_job_of_a_build_that_is_deployed_may_go_and_another_may_not(self) -> None:
        building = inputs()
        live = [item for item in applied(building) if item["kind"] != "Job"]
        assert [one.key[0] for one in drift(building, live)] == ["Job"]
        assert drift(INPUTS, without("Job")) == []


def test_rights_that_were_taken_are_had_again_before_anything_is_put_right() -> None:
    watched = Watched()
    watched.forbidden = True
    watched.step()
    assert watched.rights == [("acme-shop-42", "review-shop")]
    watched.forbidden = False
    watched.step()
    assert len(watched.rights) == 1
    watched.live = without("Service")
    watched.step()
    watched.step(2)
    assert len(watched.corrected) == 1
    assert len(watched.rights) == 2
