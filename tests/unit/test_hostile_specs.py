"""What anyone can write into a ReviewApp is refused in words, or stays within bounds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.desired import stack_inputs
from provisioner.errors import SpecRefused
from provisioner.review_app import parse
from stacks.review_app import manifests
from tests import fuzz, samples
from tests.samples.random_specs import specs

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_the_fuzzers_specs(seed: int) -> None:
    fuzz.check(fuzz.hostile_spec(random.Random(seed)))


@settings(deadline=None)
@given(_JSON)
def test_whatever_json_has(spec: object) -> None:
    assert not fuzz.check(spec)


@settings(max_examples=60, deadline=None)
@given(specs(), st.data())
def test_whatever_json_has_in_place_of_a_field(spec: dict[str, object], data: st.DataObject) -> None:
    spec[data.draw(st.sampled_from(sorted(spec)))] = data.draw(_JSON)
    fuzz.check(spec)


@pytest.mark.parametrize("text", ["a" * 10_000_000, "a\0b", "../../x", "${HOME}$(id)", "\u0430cme", 'it\'s\n"quoted"'])
@pytest.mark.parametrize("field", ["repoOwner", "repo", "pr", "commitHash"])
def test_texts_that_no_name_is_made_of(field: str, text: str) -> None:
    with pytest.raises(SpecRefused, match=f"spec.{field}"):
        parse(samples.review_app()["spec"] | {field: text})


@pytest.mark.parametrize("kind", [list, dict])
def test_a_depth_of_ten_thousand(kind: type) -> None:
    value = kind()
    for _ in range(10_000):
        value = [value] if kind is list else {"value": value}
    with pytest.raises(SpecRefused, match=r"spec\.config"):
        parse(samples.review_app()["spec"] | {"config": value})


_NEAR = st.text("ab-.", min_size=1, max_size=4)
_NUMBER = st.sampled_from(["1", "2", "11", "12"])


@settings(deadline=None)
@given(_NEAR, _NUMBER, _NEAR, _NUMBER)
def test_two_pull_requests_in_one_namespace_never_share_an_object(
    one: str, one_number: str, other: str, other_number: str
) -> None:
    def objects(repository: str, number: str) -> set[tuple[str, str, str]]:
        spec = parse(samples.review_app()["spec"] | {"repo": repository, "pr": number})
        inputs = stack_inputs(spec, samples.settings(), previous=None, built=True, tls=samples.CERTIFICATE)
        return {
            (manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"])
            for manifest in manifests(inputs)
        } | {("host", "", inputs.route.host), ("stack", "", inputs.stack)}

    if (one, one_number) != (other, other_number):
        assert not objects(one, one_number) & objects(other, other_number)
