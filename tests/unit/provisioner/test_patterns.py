"""Patterns of repositories."""

from __future__ import annotations

import time

import pytest

from provisioner.patterns import BadPattern, Pattern, parse_list


@pytest.mark.parametrize(
    ("pattern", "repository", "takes"),
    [
        ("acme/shop", "acme/shop", True),
        ("acme/shop", "ACME/Shop", True),
        ("Acme/SHOP", "acme/shop", True),
        ("acme/shop", "acme/shop2", False),
        ("acme/shop", "evil/shop", False),
        ("acme/*", "acme/anything.at-all_1", True),
        ("acme/*", "acme2/shop", False),
        ("acme/site-*", "acme/site-", True),
        ("acme/site-*", "acme/my-site-a", False),
        ("*/shop", "anybody/shop", True),
        ("*/*", "anybody/anything", True),
        ("a*e/s*p", "acme/shop", True),
        # A dot is a dot.
        ("acme/a.b", "acme/axb", False),
    ],
)
def test_whom_a_pattern_takes(pattern: str, repository: str, takes: bool) -> None:
    owner, _, repo = repository.partition("/")
    assert Pattern.parse(pattern).takes(owner, repo) is takes


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "acme",
        "acme/",
        "/shop",
        "acme/shop/x",
        "**",
        "acme/[a-z]",
        "acme/sho?",
        "acme/shöp",
        "a b/c",
        "acme/shop\n",
    ],
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(BadPattern, match="is no pattern: write owner/repo, as in acme/shop or acme/site-"):
        Pattern.parse(text)


def test_a_list_has_commas_between() -> None:
    assert parse_list(" acme/shop,acme/site-* ,") == [Pattern("acme", "shop"), Pattern("acme", "site-*")]
    assert parse_list("") == []


def test_no_pattern_keeps_the_watcher_busy() -> None:
    hostile = Pattern.parse("a/" + "*a" * 50)
    began = time.process_time()
    assert not hostile.takes("a", "a" * 99 + "b")
    assert time.process_time() - began < 0.5
