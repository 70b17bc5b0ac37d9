from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from stacks import naming

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")
# https://github.com/distribution/reference/blob/main/regexp.go
IMAGE = re.compile(r"[a-z0-9.]+(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)
names = st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True)
# Few letters, so that two of them are often nearly the same.
near_names = st.text("aA-._", min_size=1, max_size=8)
numbers = st.from_regex(r"[1-9][0-9]{0,9}", fullmatch=True)
commits = st.from_regex(r"[0-9a-fA-F]{7,64}", fullmatch=True)


@given(any_text, st.integers(min_value=12, max_value=63))
def test_a_slug_is_a_dns_label_of_the_length_asked_for(text: str, maximum: int) -> None:
    slug = naming.slug(text, maximum)
    assert DNS_LABEL.fullmatch(slug)
    assert len(slug) <= maximum


@given(st.from_regex(r"[a-z]([a-z-]{0,40}[a-z])?", fullmatch=True))
def test_a_text_that_is_a_label_stays_as_it_is(text: str) -> None:
    assert naming.slug(text) == text


@given(near_names, near_names)
@example("a.b", "a-b")
@example("-a", "a")
@example("..", ".")
@example("a" * 64, "a" * 65)
def test_two_texts_have_one_slug_only_if_they_differ_by_case(one: str, other: str) -> None:
    assume(one.lower() != other.lower())
    assert naming.slug(one) != naming.slug(other)


def test_a_name_that_spells_the_slug_of_another_gets_one_of_its_own() -> None:
    taken = naming.slug("shop.web")
    assert naming.slug(taken) != taken


@given(near_names, numbers, near_names, numbers)
@example("shop-4", "2", "shop", "42")
def test_two_pull_requests_never_share_an_app_name(one: str, one_pr: str, other: str, other_pr: str) -> None:
    assume((one.lower(), one_pr) != (other.lower(), other_pr))
    assert naming.app_name(one, one_pr) != naming.app_name(other, other_pr)


@given(near_names, near_names, numbers, near_names, near_names, numbers)
@example("a.b", "c", "1", "a", "b.c", "1")
@example("a", "b", "1", "a.b", "1", "1")
def test_two_pull_requests_never_share_a_stack(
    owner: str, repository: str, pr: str, other_owner: str, other_repository: str, other_pr: str
) -> None:
    one = (owner.lower(), repository.lower(), pr)
    other = (other_owner.lower(), other_repository.lower(), other_pr)
    assume(one != other)
    assert naming.stack_name(*one) != naming.stack_name(*other)


@given(names, numbers, commits, st.sampled_from(["env", "tls"]))
def test_there_is_room_for_what_is_added_to_an_app_name(repository: str, pr: str, commit: str, suffix: str) -> None:
    app = naming.app_name(repository, pr)
    assert DNS_LABEL.fullmatch(app)
    assert app.endswith(f"-{pr}")
    # A Pod's name is the Deployment's, ten characters and five; longer than a label it is cut by the API server.
    assert len(f"{app}-0123456789-abcde") <= 63
    assert naming.part_name(app, suffix) == f"{app}--{suffix}"
    job = naming.build_job_name(app, commit)
    assert DNS_LABEL.fullmatch(job)
    assert job.startswith(f"{app}--{commit[:7].lower()}")
    assert len(f"{job}-abcde") <= 63
    again = naming.build_job_name(app, "8a1f0e3c5b7d", naming.attempt(commit))
    assert re.fullmatch(f"{app}--8a1f0e3c5b-[a-z]{{5}}", again)
    assert len(f"{again}-abcde") <= 63


@given(names, numbers, names, numbers, commits)
def test_parts_of_one_app_are_never_another_app_or_its_part(
    one: str, one_pr: str, other: str, other_pr: str, commit: str
) -> None:
    assume((one.lower(), one_pr) != (other.lower(), other_pr))

    def all_names(app: str) -> set[str]:
        parts = {naming.part_name(app, "env"), naming.part_name(app, "tls"), naming.build_job_name(app, commit)}
        return {app, *parts, naming.build_job_name(app, commit, naming.attempt(one))}

    assert not all_names(naming.app_name(one, one_pr)) & all_names(naming.app_name(other, other_pr))


@given(names, names, numbers)
def test_stack_and_labels_are_label_values(owner: str, repository: str, pr: str) -> None:
    stack = naming.stack_name(owner, repository, pr)
    labels = naming.labels(repository, pr, stack)
    assert labels[naming.STACK_LABEL] == stack
    assert labels[naming.BUILD_LABEL] == pr
    for value in labels.values():
        assert LABEL_VALUE.fullmatch(value)
        assert 0 < len(value) <= naming.MAXIMUM_LENGTH


@given(names, names, numbers, commits)
def test_an_image_reference_is_one(owner: str, repository: str, pr: str, commit: str) -> None:
    reference = naming.image_reference("registry.example.com", owner, repository, pr, commit)
    assert IMAGE.fullmatch(reference)
    assert reference.endswith(f":{pr}-{commit[:12].lower()}")


def test_each_attempt_has_names_of_its_own() -> None:
    attempts = {naming.attempt(token) for token in ("1", "2", "2026-01-01T00:00:00Z", "\ud800", "x" * 10_000)}
    assert len(attempts) == 5
    image = naming.image_reference("registry.example.com", "acme", "shop", "42", "a" * 40, naming.attempt("1"))
    assert IMAGE.fullmatch(image)
    assert image == f"registry.example.com/acme/shop:42-aaaaaaaaaaaa-{naming.attempt('1')}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (naming.app_name("shop", "42"), "shop-42"),
        (naming.app_name("Shop", "42"), "shop-42"),
        (naming.build_job_name("shop-42", "8A1F0E3C5B7D9E2F4A6C8B0D1E3F5A7C9B1D3E5F"), "shop-42--8a1f0e3c5b"),
        (naming.stack_name("Acme", "shop", "42"), "acme.shop.42"),
        (
            naming.image_reference("r.example.com:5000", "Acme", "shop", "42", "8a1f0e3c5b7d9e2f"),
            "r.example.com:5000/acme/shop:42-8a1f0e3c5b7d",
        ),
    ],
)
def test_plain_names_read_as_the_pull_request(name: str, expected: str) -> None:
    assert name == expected


def test_a_name_is_the_same_for_ever() -> None:
    # Objects of running apps are found by these: a change here orphans them.
    assert naming.slug("shop.web") == "shop-web-10694239"
    assert naming.attempt("1") == "ksxtt"
    assert naming.app_name("a" * 100, "42") == "a" * 27 + "-28165978-42"
