"""A whole watcher in memory whose apps have roles in AWS: what stands in the way of one is said of its ReviewApp."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from provisioner import role_clearing
from provisioner.errors import ApplyRefused
from stacks.inputs import StackInputs
from tests import samples
from tests.unit.provisioner.test_aws_settings import ON
from tests.whole_watcher import whole_watcher
from watcher.cluster import REVIEW_APPS, SERVICE_ACCOUNTS, ApiRefused, Cluster, section


def until(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def test_an_app_whose_role_cant_be_deleted_says_so_and_goes_once_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    may: list[bool] = []
    cleared: list[str] = []

    def clear(inputs: StackInputs) -> None:
        assert inputs.role
        if not may:
            raise ApplyRefused("Role/shop-42", "AwsAccessDenied", "not iam:DeleteRole", "give this permission")
        cleared.append(inputs.role.prefix)

    monkeypatch.setattr(role_clearing, "clear", clear)
    settings = samples.settings(**ON)
    document = samples.review_app()
    del document["spec"]["config"]["database"]
    name, namespace = document["metadata"]["name"], document["spec"]["config"]["namespace"]
    with whole_watcher(settings, [namespace, settings.build_namespace]) as watcher:

        def found() -> Any:
            return watcher.cluster.get(REVIEW_APPS, None, name)

        def ready() -> tuple[str, str]:
            conditions = section(found() or {}, "status").get("conditions") or [{"reason": "", "message": ""}]
            return conditions[-1]["reason"], conditions[-1]["message"]

        watcher.cluster.create(REVIEW_APPS, None, document)
        until(lambda: watcher.cluster.get(SERVICE_ACCOUNTS, namespace, "shop-42"), "it has a service account")
        watcher.cluster.delete(REVIEW_APPS, None, name)
        until(lambda: ready()[0] == "AwsAccessDenied", "it says what AWS refuses")
        assert "iam:DeleteRole" in ready()[1]
        assert found()["metadata"]["finalizers"]
        may.append(True)
        until(lambda: found() is None, "it is gone")
    assert cleared == ["apps/acme.shop.42/"]


class Forbidding:
    """A connection to an API server that gives no right over anything."""

    def json(self, *_: object, **__: object) -> Any:
        raise ApiRefused(403, "Forbidden", "serviceaccounts is forbidden")


def test_without_rights_over_service_accounts_there_are_none_of_ours() -> None:
    cluster = Cluster.__new__(Cluster)
    cluster._connection = Forbidding()  # pyright: ignore
    assert cluster.list(SERVICE_ACCOUNTS, "shop") == ([], "")
    with pytest.raises(ApiRefused):
        cluster.get(SERVICE_ACCOUNTS, "shop", "shop-42")
