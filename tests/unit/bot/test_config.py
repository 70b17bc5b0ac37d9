"""A repository's `.reviewapp.yaml`, taken or refused with file, field and remedy."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.config import ignored_by, read_config
from provisioner.errors import SpecRefused
from tests import samples


def content(**changes: Any) -> bytes:
    return yaml.safe_dump(samples.review_app()["spec"]["config"] | changes).encode()


def refused(text: bytes) -> list[str]:
    with pytest.raises(SpecRefused) as error:
        read_config(text)
    return [str(refusal) for refusal in error.value.refusals]


def test_every_field_is_taken() -> None:
    assert read_config(content()) == samples.spec().config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", ".reviewapp.yaml: holds no object: write one"),
        (b"# only a comment\n", ".reviewapp.yaml: holds no object: write one"),
        (b"{}\n---\n{}", ".reviewapp.yaml: must hold one document: remove the others"),
        (b"namespace: a\nnamespace: b", ".reviewapp.yaml:2: has 'namespace' twice: remove one"),
        (b"- a\n", ".reviewapp.yaml: (a list) must be a mapping of fields"),
        (b"text", ".reviewapp.yaml: (not shown) must be a mapping of fields"),
        (b"a: [\n", ".reviewapp.yaml:2: is not YAML (did not find expected node content): correct it"),
        (b"\xff", ".reviewapp.yaml:1: is not UTF-8 text: correct its encoding"),
        (b"[" * 100_000, ".reviewapp.yaml: is nested more than 100 levels deep: flatten it"),
        (b"a: \x00", ".reviewapp.yaml: has characters that no YAML has: remove control characters"),
        (b"#" * 5_000_000, ".reviewapp.yaml: is larger than 4 MiB: split it"),
    ],
)
def test_what_is_no_config(text: bytes, said: str) -> None:
    assert refused(text) == [said]


def test_each_wrong_field_has_its_line() -> None:
    assert refused(content(applicationPort="80", namespace="Not A Label", colour="red")) == [
        ".reviewapp.yaml: namespace: 'Not A Label' must be a DNS label: lower-case letters, digits and '-'",
        ".reviewapp.yaml: applicationPort: '80' must be a whole number",
        ".reviewapp.yaml: colour: is not a known field: remove it, or correct its name",
    ]


def test_another_file_is_named() -> None:
    with pytest.raises(SpecRefused, match=r"^ci/review\.yaml: namespace: is missing: add it$"):
        read_config(b"applicationPort: 80", "ci/review.yaml")


def test_a_pattern_that_is_none_is_refused() -> None:
    (said,) = refused(content(ignoreBranches=["/good.*/", "/(/", "(", "/"]))
    assert said.startswith(".reviewapp.yaml: ignoreBranches[1]: '/(/' is no regular expression (")


@pytest.mark.parametrize(
    ("branch", "entry"),
    [
        ("dependabot/npm/x", "/dependabot.*/"),
        ("old/dependabot", "/dependabot.*/"),
        ("ignore-me", "ignore-me"),
        ("ignore-me-not", None),
        ("please-ignore-me", None),
        ("feature/new-basket", None),
    ],
)
def test_ignored_branches(branch: str, entry: str | None) -> None:
    assert ignored_by(samples.spec().config, branch) == entry


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_but_a_refusal_comes_of_any_bytes(text: bytes) -> None:
    said: list[str] = []
    try:
        read_config(text)
    except SpecRefused as error:
        said = [str(refusal) for refusal in error.refusals]
    assert all(re.match(r"\.reviewapp\.yaml(:\d+)?: ", line) for line in said)
