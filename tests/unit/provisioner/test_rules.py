"""What an installation's rules give, and what they don't."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.errors import SettingsRefused
from provisioner.rules import NotAllowed, Rules, named_objects, require_allowed
from provisioner.settings_sources import load_stack_settings
from tests import samples

SECRETS = {"env": {"secrets": ["shop-secrets"], "configMaps": ["shop-flags"]}}


def refused(rules: Rules, config: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    with pytest.raises(NotAllowed) as caught:
        require_allowed(samples.spec(config=config or {}, **changes), rules)
    assert caught.value.reason == "NotAllowed"
    return [str(refusal) for refusal in caught.value.refusals]


def copy_from(**fields: Any) -> dict[str, Any]:
    return {"database": {"backend": "kubedb", "copyFrom": fields}}


def test_by_default_all_is_given_but_to_forks() -> None:
    require_allowed(samples.spec(), Rules())
    assert refused(Rules(), fork=True) == [
        "spec.fork: true pull requests from forks get no review apps here: the setting forks is deny"
    ]


def test_only_some_repositories() -> None:
    rules = Rules(repos="acme/site-*, other/*")
    require_allowed(samples.spec(repo="Site-A"), rules)
    assert refused(rules) == [
        "spec.repo: acme/shop gets no review apps here: the setting repos is acme/site-*, other/*"
    ]


def test_forks_without_secrets() -> None:
    rules = Rules(forks="without-secrets")
    require_allowed(samples.spec(config=SECRETS), rules)
    bare = {"env": {"values": [{"name": "A", "value": "b"}], "configMaps": ["flags"]}, "database": None}
    require_allowed(samples.spec(fork=True, config=bare), rules)
    assert refused(rules, SECRETS | copy_from(host={"value": "db"}), fork=True) == [
        "spec.config.database.copyFrom: is not for pull requests from forks: remove it (the setting forks is "
        "without-secrets)",
        "spec.config.env.secrets[0]: 'shop-secrets' is not for pull requests from forks: remove it (the setting forks "
        "is without-secrets)",
    ]
    require_allowed(samples.spec(fork=True), Rules(forks="allow"))


@pytest.mark.parametrize(
    "source",
    [
        {"host": {"value": "a.db.example.com"}},
        {"host": {"value": "A.DB.example.com"}},
        {"database_url": {"value": "postgres://user:word@a.db.example.com:5432/shop"}},
        {"database_url": {"value": "postgresql://a.db.example.com,b.db.example.com/shop?sslmode=require"}},
        # What a Secret holds, the namespace's owner has written.
        {"host": {"secretRef": {"name": "source", "key": "host"}}},
    ],
)
def test_hosts_that_data_may_be_copied_from(source: dict[str, Any]) -> None:
    require_allowed(samples.spec(config=copy_from(**source)), Rules(copy_hosts="*.db.example.com"))


@pytest.mark.parametrize(
    "source",
    [
        {"host": {"value": "evil.example.com"}},
        {"host": {"value": "a.db.example.com,evil"}},
        {"host": {"value": "/var/run/postgresql"}},
        {"database_url": {"value": "postgres://u:SECRET@evil/shop"}},
        {"database_url": {"value": "postgres://a.db.example.com,evil/shop"}},
        {"database_url": {"value": "postgres://a.db.example.com@evil/shop"}},
        {"database_url": {"value": "postgres://a.db.example.com/shop?host=evil"}},
        {"database_url": {"value": "postgres://a.db.example.com/shop?hostaddr=10.0.0.1"}},
        {"database_url": {"value": "postgres://a.db.example.com/shop?service=evil"}},
        {"database_url": {"value": "postgres://%2Ftmp.db.example.com/shop"}},
    ],
)
def test_other_hosts(source: dict[str, Any]) -> None:
    (said,) = refused(Rules(copy_hosts="*.db.example.com"), copy_from(**source))
    assert said.endswith("is no host that data may be copied from: the setting copy_hosts is *.db.example.com")
    assert "SECRET" not in said


def test_forks_build_without_secrets() -> None:
    config = {"build": {"secrets": ["npm"]}, "env": {}, "database": None}
    assert refused(Rules(forks="without-secrets"), config, fork=True) == [
        "spec.config.build.secrets[0]: 'npm' is not for pull requests from forks: remove it (the setting forks is "
        "without-secrets)"
    ]


def test_all_objects_that_a_config_names() -> None:
    config = (
        SECRETS
        | copy_from(host={"value": "source"}, password={"secretRef": {"name": "source", "key": "k"}})
        | {"registrySecretName": "pull", "build": {"secrets": ["npm"]}}
    )
    found = named_objects(samples.spec(config=config))
    assert [(named.field.removeprefix("spec.config."), named.kind, named.name) for named in found] == [
        ("env.secrets[0]", "Secret", "shop-secrets"),
        ("env.configMaps[0]", "ConfigMap", "shop-flags"),
        ("build.secrets[0]", "Secret", "npm"),
        ("registrySecretName", "Secret", "pull"),
        ("database.copyFrom.password.secretRef.name", "Secret", "source"),
    ]


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("repos", "acme", "'acme' is no pattern: write owner/repo"),
        ("repos", " , ", "must have a pattern"),
        ("forks", "maybe", "must be 'deny', 'without-secrets' or 'allow'"),
        ("copy_hosts", "a b", "must be a list of hosts"),
        ("most_apps", "0", "must be at least 1"),
    ],
)
def test_rules_are_checked_at_the_start(setting: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"app_domain": "a.b", "registry": "r", setting: value}.items():
        monkeypatch.setenv(f"REVIEWAPP_{name.upper()}", text)
    with pytest.raises(SettingsRefused, match=setting) as caught:
        load_stack_settings()
    assert said in str(caught.value)
