"""The licences of what the product depends on: each is one that is let in."""

from __future__ import annotations

import pytest

from dev.licences import Package, packages


def test_each_is_let_in() -> None:
    found = packages()
    assert {"pulumi", "kubernetes", "pydantic", "pulumi-aws", "botocore"} <= {package.name for package in found}
    assert [package for package in found if not package.is_allowed] == []


def test_tools_of_development_are_none_of_its_dependencies() -> None:
    assert {"pytest", "ruff", "mkdocs", "moto"} & {package.name for package in packages()} == set()


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("Apache-2.0 AND MIT", True),
        ("Apache-2.0 AND GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only) AND ISC", False),
        ("AGPL-3.0-only", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_what_is_let_in(licence: str, allowed: bool) -> None:
    assert Package("one", "1", licence).is_allowed is allowed
