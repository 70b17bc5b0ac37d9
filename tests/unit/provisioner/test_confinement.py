"""What an app may take and be: what its config asks for, inside what the settings allow."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from provisioner.confinement import confinement
from provisioner.errors import SettingsRefused, SpecRefused
from provisioner.quantities import number
from provisioner.settings import StackSettings
from provisioner.settings_sources import load_stack_settings
from stacks.inputs import Confinement
from tests import samples


def settings(**changes: Any) -> StackSettings:
    return StackSettings(app_domain="example.com", registry="registry", **changes)


def asked(resources: dict[str, Any], **changes: Any) -> Confinement:
    return confinement(samples.spec(config={"resources": resources}), settings(**changes))


def test_the_installations_defaults() -> None:
    found = confinement(samples.spec(), settings(cpu_limit="1500m", memory_request="64Mi"))
    assert (found.cpu_request, found.cpu_limit) == ("25m", "1500m")
    assert (found.memory_request, found.memory_limit) == ("64Mi", "1Gi")
    assert not found.root


def test_what_the_config_asks_for() -> None:
    found = asked({"requests": {"cpu": 1, "memory": "256Mi"}, "limits": {"cpu": "1.5", "memory": "2Gi"}})
    assert (found.cpu_request, found.cpu_limit) == ("1", "1.5")
    assert (found.memory_request, found.memory_limit) == ("256Mi", "2Gi")


@pytest.mark.parametrize(
    ("resources", "expected"),
    [({"limits": {"memory": "16Mi"}}, ("16Mi", "16Mi")), ({"requests": {"memory": "3Gi"}}, ("3Gi", "3Gi"))],
)
def test_a_default_gives_way_to_what_is_asked_for(resources: dict[str, Any], expected: tuple[str, str]) -> None:
    found = asked(resources)
    assert (found.memory_request, found.memory_limit) == expected


@pytest.mark.parametrize(
    ("resources", "wrong"),
    [
        ({"limits": {"memory": "5Gi"}}, "spec.config.resources.limits.memory: '5Gi' must be more than nothing"),
        ({"limits": {"memory": "4295M"}}, "at most 4Gi"),
        ({"requests": {"cpu": "4001m"}}, "spec.config.resources.requests.cpu: '4001m'"),
        # Kubernetes takes a limit of nothing for none.
        ({"limits": {"cpu": "0"}}, "must be more than nothing"),
        ({"limits": {"cpu": "0.000"}}, "must be more than nothing"),
        ({"requests": {"cpu": 2}, "limits": {"cpu": 1}}, "must be at most the limit, 1"),
        ({"limits": {"cpu": "-1"}}, "must be a quantity of Kubernetes"),
        ({"limits": {"memory": "1e9"}}, "must be a quantity of Kubernetes"),
        ({"limits": {"memory": "٣Gi"}}, "must be a quantity of Kubernetes"),
        ({"limits": {"nvidia.com/gpu": "1"}}, "is not a known field"),
    ],
)
def test_more_than_an_app_may_take_is_refused(resources: dict[str, Any], wrong: str) -> None:
    with pytest.raises(SpecRefused, match=wrong.replace(".", r"\.")):
        asked(resources)


@pytest.mark.parametrize(
    ("patterns", "root"), [("acme/shop", True), ("other/*, acme/SH*", True), ("acme/shop-*", False)]
)
def test_root_is_the_platform_owners_to_allow(patterns: str, root: bool) -> None:
    assert confinement(samples.spec(), settings(root_repositories=patterns)).root is root


def test_lists_are_texts_with_commas_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWAPP_APP_DOMAIN", "example.com")
    monkeypatch.setenv("REVIEWAPP_REGISTRY", "registry")
    monkeypatch.setenv("REVIEWAPP_EGRESS_DENIED_RANGES", "10.0.0.0/8, fd00::/8")
    assert load_stack_settings().egress_denied_ranges == ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("EGRESS_DENIED_RANGES", "10.0.0.1/8", "must be ranges of addresses"),
        ("ROOT_REPOSITORIES", "acme", "must be patterns of repositories"),
        ("ROUTE_NAMESPACES", "Traefik", "must be names of namespaces"),
        ("MEMORY_LIMIT", "1GB", "must be a quantity"),
        ("MEMORY_LIMIT", "0", "must be more than nothing"),
    ],
)
def test_settings_that_do_not_hold(monkeypatch: pytest.MonkeyPatch, name: str, value: str, wrong: str) -> None:
    monkeypatch.setenv("REVIEWAPP_APP_DOMAIN", "example.com")
    monkeypatch.setenv("REVIEWAPP_REGISTRY", "registry")
    monkeypatch.setenv(f"REVIEWAPP_{name}", value)
    with pytest.raises(SettingsRefused, match=wrong):
        load_stack_settings()


@pytest.mark.parametrize(
    ("quantity", "amount"), [("500m", "0.5"), ("1.5", "1.5"), ("2k", "2000"), ("1Ki", "1024"), ("3Gi", "3221225472")]
)
def test_quantities(quantity: str, amount: str) -> None:
    assert number(quantity) == Decimal(amount)
