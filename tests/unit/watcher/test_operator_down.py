"""An operator that does not run holds up no engine: who it is that is waited for is said."""

from __future__ import annotations

from tests import samples
from tests.e2e.waiting import until
from tests.whole_watcher import whole_watcher
from watcher.cluster import DECLARED, REVIEW_APPS
from watcher.conditions import find_condition

POSTGRES = DECLARED["kubedb.com/v1", "Postgres"]


def test_no_engine_waits_for_an_operator_that_does_not_answer() -> None:
    spec = samples.review_app()["spec"]
    place = spec["config"]["namespace"]
    settings = samples.settings()
    with whole_watcher(settings, [place, settings.build_namespace]) as watcher:
        watcher.cluster.create(REVIEW_APPS, None, {"metadata": {"name": "shop"}, "spec": spec})
        until(lambda: watcher.cluster.get(POSTGRES, place, "shop-42--db"), "there is a Postgres")
        watcher.cluster.patch(POSTGRES, place, "shop-42--db", {"metadata": {"finalizers": ["kubedb.com"]}})
        watcher.cluster.delete(REVIEW_APPS, None, "shop")

        def said() -> bool:
            ready = find_condition(watcher.cluster.get(REVIEW_APPS, None, "shop") or {}, "Ready") or {}
            return "Postgres review-shop/shop-42--db (held by finalizer kubedb.com)" in ready.get("message", "")

        until(said, "it says what it waits for")
        assert watcher.stacks.destroyed == set()
        watcher.cluster.patch(POSTGRES, place, "shop-42--db", {"metadata": {"finalizers": []}})
        until(lambda: watcher.cluster.get(REVIEW_APPS, None, "shop") is None, "it is gone")
        assert watcher.stacks.destroyed == {"acme.shop.42"}
