"""What is looked up for a build, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.errors import ApplyRefused
from provisioner.review_app import parse
from stacks.inputs import StackInputs
from tests.unit.watcher.views import (
    FIRST,
    SECOND,
    SETTINGS,
    SPEC,
    build_pod,
    entry,
    inputs,
    job,
    pushed_pod,
    review_app,
)
from watcher.builds import Lookups
from watcher.cluster import ApiRefused, Cluster, Object, Resource
from watcher.decide import wanted
from watcher.lookups import look_up
from watcher.preconditions import require_build_secrets
from watcher.registry import Registry
from watcher.view import View

REPOSITORY = "registry:5000/acme/shop"
IMAGE, OWN, SHARED = (f"{REPOSITORY}@sha256:{digit * 64}" for digit in "123")
CONFIG: dict[str, Any] = SPEC["config"] | {"build": {"secrets": ["npm", "netrc"]}}


class Known(Registry, Cluster):
    """A registry with images by reference, and a cluster with Secrets by name; both say what they were asked."""

    def __init__(self, images: dict[str, str] | None = None, secrets: dict[str, dict[str, str]] | None = None) -> None:
        self.images = images or {}
        self.secrets = secrets or {}
        self.asked: list[str] = []

    def digest(self, image: str) -> str | None:
        self.asked.append(image)
        return self.images.get(image)

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        self.asked.append(f"{resource.kind} {namespace}/{name}")
        if name == "forbidden":
            raise ApiRefused(403, "Forbidden", "no")
        return {"data": self.secrets[name]} if name in self.secrets else None


def looked_up(known: Known, item: Object, **view: Any) -> Lookups:
    return look_up(known, View(item, **view), SETTINGS, known)


def next_inputs(item: Object, lookups: Lookups, **view: Any) -> StackInputs:
    found = View(item, lookups=lookups, **view)
    return wanted(found, parse(item["spec"]), SETTINGS)


def test_a_new_commit_is_asked_for_and_then_its_layers() -> None:
    known = Known({f"{REPOSITORY}:cache": SHARED})
    assert looked_up(known, review_app()) == Lookups(cache=SHARED)
    assert known.asked == [f"{REPOSITORY}:42-{FIRST[:12]}", f"{REPOSITORY}:cache"]


def test_the_pull_requests_own_layers_go_first_while_the_registry_has_them() -> None:
    running = inputs(built=True)
    running = running.model_copy(update={"workload": running.workload.model_copy(update={"cache": OWN})})
    item, last = review_app(commitHash=SECOND), entry("applied", running)
    assert looked_up(Known({OWN: OWN, f"{REPOSITORY}:cache": SHARED}), item, entry=last).cache == OWN
    assert looked_up(Known({f"{REPOSITORY}:cache": SHARED}), item, entry=last).cache == SHARED


def test_nobody_is_asked_while_a_build_goes_on_or_when_it_has_said_what_came_out() -> None:
    known = Known()
    assert looked_up(known, review_app(), entry=entry("applied", inputs()), jobs=[job()]) == Lookups()
    done = {"jobs": [job(condition="Complete")], "pods": [pushed_pod(FIRST, IMAGE)]}
    assert looked_up(known, review_app(), entry=entry("applied", inputs()), **done) == Lookups()
    assert looked_up(known, review_app(), entry=entry("applied", inputs()), jobs=[job(condition="Failed")]) == Lookups()
    assert known.asked == []


def test_a_build_whose_pod_is_gone_is_asked_for() -> None:
    known = Known({f"{REPOSITORY}:42-{FIRST[:12]}": IMAGE})
    found = looked_up(known, review_app(), entry=entry("applied", inputs()), jobs=[job(condition="Complete")])
    assert found == Lookups(image=IMAGE)


def test_a_rebuild_starts_from_nothing() -> None:
    item = review_app(annotations={"reviewtron.k8s.revelry.co/rebuild": "1"})
    assert looked_up(Known({f"{REPOSITORY}:cache": SHARED}), item).cache is None


def test_a_failed_build_keeps_its_job() -> None:
    building = next_inputs(review_app(), Lookups(cache=SHARED))
    assert building.build
    assert building.build.cache_from == SHARED
    view = {"entry": entry("applied", building), "jobs": [job(condition="Failed")]}
    assert next_inputs(review_app(), Lookups(), **view) == building


def test_a_build_whose_layers_are_lost_is_done_without_them() -> None:
    building = next_inputs(review_app(), Lookups(cache=SHARED))
    pods = [build_pod(FIRST, {"name": "pull-cache", "state": {"terminated": {"exitCode": 1}}})]
    failed = {"jobs": [job(condition="Failed")], "pods": pods}
    again = next_inputs(review_app(), Lookups(), entry=entry("applied", building), **failed)
    assert again.build == inputs().build
    # Once, whatever becomes of it.
    assert next_inputs(review_app(), Lookups(), entry=entry("applied", again), **failed) == again


def test_secrets_are_copied_for_the_build_and_dropped_with_its_end() -> None:
    item = review_app(config=CONFIG)
    known = Known(secrets={"npm": {"token": "YQ=="}, "netrc": {".netrc": "Yg=="}})
    lookups = looked_up(known, item)
    building = next_inputs(item, lookups)
    assert building.build
    assert {one.name: one.data for one in building.build.secrets} == known.secrets
    last = entry("applied", building)
    # Not again while it goes on, also where they have changed since.
    known.asked.clear()
    assert looked_up(known, item, entry=last, jobs=[job()]) == Lookups()
    assert next_inputs(item, Lookups(), entry=last, jobs=[job()]) == building
    assert known.asked == []
    for ended in ("Complete", "Failed"):
        jobs = [job(condition=ended)]
        known.asked.clear()
        after = next_inputs(item, looked_up(known, item, entry=last, jobs=jobs), entry=last, jobs=jobs)
        assert after.build
        assert {one.name: one.data for one in after.build.secrets} == {"npm": {}, "netrc": {}}
        assert after.build.model_copy(update={"secrets": ()}) == building.build.model_copy(update={"secrets": ()})
        # Nor later, when the Job is gone.
        if ended == "Complete":
            assert looked_up(known, item, entry=entry("applied", after)) == Lookups()
        assert not [one for one in known.asked if one.startswith("Secret")]


def test_a_secret_that_is_missing_is_said_and_looked_for_again() -> None:
    config = SPEC["config"] | {"build": {"secrets": ["npm", "empty", "forbidden", "gone"]}}
    item = review_app(config=config)
    known = Known(secrets={"npm": {"token": "YQ=="}, "empty": {}})
    lookups = looked_up(known, item)
    assert lookups.missing == ("review-shop/empty", "review-shop/forbidden", "review-shop/gone")
    with pytest.raises(ApplyRefused, match="Secret review-shop/empty") as caught:
        require_build_secrets(lookups.missing)
    assert caught.value.reason == "SecretNotFound"
    require_build_secrets(())


def test_an_image_that_is_there_needs_no_secret() -> None:
    known = Known({f"{REPOSITORY}:42-{FIRST[:12]}": IMAGE})
    found = looked_up(known, review_app(config=CONFIG))
    assert found == Lookups(image=IMAGE)
    after = next_inputs(review_app(config=CONFIG), found)
    assert after.build
    assert [one.data for one in after.build.secrets] == [{}, {}]


def test_a_spec_that_is_refused_asks_for_nothing() -> None:
    known = Known()
    assert looked_up(known, review_app(pr="x")) == Lookups()
    assert known.asked == []


def test_no_secret_is_read_for_whom_the_namespace_has_not_let_in() -> None:
    known = Known(secrets={"npm": {"token": "YQ=="}, "netrc": {"token": "YQ=="}})
    view = View(review_app(config=CONFIG))
    assert look_up(known, view, SETTINGS, known, lambda _view, _spec: False).secrets == {}
    assert not any(asked.startswith("Secret") for asked in known.asked)
    assert look_up(known, view, SETTINGS, known, lambda _view, _spec: True).secrets == known.secrets
