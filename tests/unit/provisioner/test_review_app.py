from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import SpecRefused
from provisioner.review_app import Spec, parse
from tests import samples

Document = dict[str, Any]
Change = Callable[[Document], object]


def at(path: str, value: object) -> Change:
    """Return what sets the field at a path such as `config.env.values.0.name`."""

    def change(spec: Document) -> None:
        *parents, last = path.split(".")
        place: Any = spec
        for step in parents:
            place = place[int(step) if step.isdigit() else step]
        place[int(last) if last.isdigit() else last] = value

    return change


def without(path: str) -> Change:
    def change(spec: Document) -> None:
        *parents, last = path.split(".")
        place: Any = spec
        for step in parents:
            place = place[step]
        del place[last]

    return change


def refused(change: Change) -> list[tuple[str, str, str]]:
    """Return the refusals of the changed sample, each as field, value and remedy."""
    spec = samples.review_app()["spec"]
    change(spec)
    with pytest.raises(SpecRefused) as caught:
        parse(spec)
    return [(refusal.field, refusal.value, refusal.remedy) for refusal in caught.value.refusals]


class TestAccepted:
    def test_the_sample_as_it_is(self) -> None:
        spec = parse(samples.review_app()["spec"])
        assert (spec.repo_owner, spec.repo, spec.branch, spec.pr) == ("acme", "shop", "feature/new-basket", "42")
        assert spec.commit_hash == "8a1f0e3c5b7d9e2f4a6c8b0d1e3f5a7c9b1d3e5f"
        config = spec.config
        assert (config.namespace, config.application_port, config.registry_secret_name) == (
            "review-shop",
            5000,
            "harbor",
        )
        assert config.migrate
        assert (config.migrate.command, config.migrate.args) == (("npm",), ("run", "migrate"))
        assert config.database
        assert config.database.version == "16.4"
        assert config.database.copy_from
        assert config.database.copy_from.password
        assert config.database.copy_from.password.secret_ref
        assert config.database.copy_from.password.secret_ref.key == "POSTGRES_PASSWORD"
        assert config.env.secrets == ("secret-one", "secret-two")
        assert config.env.config_maps == ("config-map-one", "config-map-two")
        assert {entry.name: entry.value for entry in config.env.values} == {
            "ENV_ONE": "value number one",
            "ENV_TWO": "1",
        }
        assert config.ignore_branches == ("/dependabot.*/", "ignore-me")

    def test_the_other_form_of_a_source_database(self) -> None:
        spec = samples.review_app()["spec"]
        url = {"secretRef": {"name": "staging-db", "key": "url"}}
        at("config.database.copyFrom", {"database_url": url})(spec)
        copy_from = parse(spec).config.database
        assert copy_from
        assert copy_from.copy_from
        assert copy_from.copy_from.database_url

    def test_no_more_than_what_is_required(self) -> None:
        spec = samples.review_app()["spec"]
        spec["config"] = {"namespace": "review-shop", "applicationPort": 80}
        config = parse(spec).config
        assert (config.migrate, config.database, config.env.values, config.env.secrets) == (None, None, (), ())

    def test_what_the_bot_says_beyond_what_is_read(self) -> None:
        spec = samples.review_app()["spec"]
        assert parse(spec | {"labels": ["a"]}) == parse(spec)

    @pytest.mark.parametrize(
        ("written", "text"), [(1, "1"), (True, "true"), (False, "false"), (1.5, "1.5"), (-7, "-7"), ("", "")]
    )
    def test_scalars_become_text(self, written: object, text: str) -> None:
        spec = samples.review_app()["spec"]
        at("config.env.values.0.value", written)(spec)
        assert parse(spec).config.env.values[0].value == text

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("repo", ".github"),
            ("repo", "Shop_2.0"),
            ("repoOwner", "Acme-Corp"),
            ("branch", "feature/ünïcode-#7 🚀"),
            ("pr", "1"),
            ("commitHash", "ABCDEF0"),
            ("tarballUrl", "s3://tarballs/acme/shop.tar.gz"),
            ("tarballUrl", "http://minio:9000/t/shop.tar.gz?X-Amz-Signature=abc%2F#x"),
            ("config.applicationPort", 65535),
            ("config.migrate", {"args": ["migrate"]}),
            ("config.env.values.0.value", "multi\nline\ttext with 'quotes', \"$(VARIABLES)\" and ünïcode"),
        ],
    )
    def test_unusual_but_real(self, path: str, value: object) -> None:
        spec = samples.review_app()["spec"]
        at(path, value)(spec)
        assert isinstance(parse(spec), Spec)


DNS_LABEL = "must be a DNS label: lower-case letters, digits and '-'"
OBJECT_NAME = "must be an object's name: lower-case letters, digits, '-' and '.'"
NUMBER = 'must be a pull request\'s number, as in "42"'
HASH = "must be a commit's hash: 7 to 64 hexadecimal digits"
ADDRESS = "must be an https://, http:// or s3:// address, in ASCII"
VARIABLE = "must be a variable's name: letters, digits and '_', not a digit first"
RESERVED = "is a name that review apps keep for themselves: name another Secret"
TEXT = "must be text: put it in quotes"
MAPPING = "must be a mapping of fields"
NOT_IN_YAML = "must not hold control characters or byte order marks: remove them"
UNKNOWN = "is not a known field: remove it, or correct its name"


class TestRefused:
    @pytest.mark.parametrize(
        "path",
        [
            *("repoOwner", "repo", "branch", "pr", "commitHash"),
            *("config", "config.namespace", "config.applicationPort"),
        ],
    )
    def test_what_is_required_and_missing(self, path: str) -> None:
        assert refused(without(path)) == [(f"spec.{path}", "", "is missing: add it")]

    @pytest.mark.parametrize(
        ("path", "value", "shown", "remedy"),
        [
            # Names that would leave their place in a path, a label, a host or a command.
            ("repo", "../other", "'../other'", "must be a name as forges have it: letters, digits, '.', '_' and '-'"),
            ("repoOwner", "a/b", "'a/b'", "must be a name as forges have it: letters, digits, '.', '_' and '-'"),
            (
                "repo",
                "a" * 101,
                f"'{'a' * 60}…'",
                "must be at most 100 characters long: shorten it",
            ),
            ("pr", "042", "'042'", NUMBER),
            ("pr", "42; rm -rf /", "'42; rm -rf /'", "must be at most 10 characters long: shorten it"),
            ("pr", "-1", "'-1'", NUMBER),
            ("pr", "4\n", r"'4\n'", NUMBER),
            ("pr", "٤٢", r"'\u0664\u0662'", NUMBER),
            ("pr", 42, "42", TEXT),
            ("commitHash", "main", "'main'", HASH),
            ("commitHash", "8a1f0e3\n", r"'8a1f0e3\n'", HASH),
            ("commitHash", 1234567, "1234567", TEXT),
            ("branch", "", "''", "must be at least 1 characters long"),
            ("branch", "a\x1b[2Jb", r"'a\x1b[2Jb'", "must not hold control characters: remove them"),
            ("branch", "a\x00b", r"'a\x00b'", "must not hold control characters: remove them"),
            ("tarballUrl", "file:///etc/passwd", "'file:///etc/passwd'", ADDRESS),
            ("tarballUrl", "https://h/a b", "'https://h/a b'", ADDRESS),
            ("tarballUrl", "https://h/a\n--x", r"'https://h/a\n--x'", ADDRESS),
            ("tarballUrl", "https://h/", "'https://h/'", "must name a file on its host"),
            ("tarballUrl", "https://h?x", "'https://h…'", "must name a file on its host"),
            # Namespaces and objects of others.
            ("config.namespace", "Review", "'Review'", DNS_LABEL),
            ("config.namespace", "a/b", "'a/b'", DNS_LABEL),
            ("config.namespace", "a" * 64, f"'{'a' * 60}…'", "must be at most 63 characters long: shorten it"),
            ("config.registrySecretName", "a/b", "'a/b'", OBJECT_NAME),
            ("config.env.secrets.0", "other-namespace/secret", "'other-namespace/secret'", OBJECT_NAME),
            ("config.env.secrets.0", "shop-41--tls", "'shop-41--tls'", RESERVED),
            ("config.env.configMaps.1", "", "''", OBJECT_NAME),
            ("config.database.copyFrom.password.secretRef.name", "shop-41--tls", "'shop-41--tls'", RESERVED),
            ("config.database.copyFrom.password.secretRef.key", "../x", "'../x'", "must be a Secret's key"),
            ("config.env.values.0.name", "A=B", "'A=B'", VARIABLE),
            ("config.env.values.0.name", "1A", "'1A'", VARIABLE),
            # Types.
            ("config.applicationPort", "5000", "'5000'", "must be a whole number"),
            ("config.applicationPort", 5000.5, "5000.5", "must be a whole number"),
            ("config.applicationPort", True, "True", "must be a whole number"),
            ("config.applicationPort", 0, "0", "must be at least 1"),
            ("config.applicationPort", 65536, "65536", "must be at most 65535"),
            ("config.applicationPort", None, "", "must not be null: remove it, or give it a value"),
            ("config", [], "(a list)", MAPPING),
            ("config.env", {"a": 1}, "", UNKNOWN),
            ("config.env.values", {"A": "b"}, "(a mapping)", "must be a list"),
            ("config.env.values.0.value", ["a"], "(a list)", TEXT),
            ("config.env.values.0.value", {"a": 1}, "(a mapping)", TEXT),
            ("config.migrate.args", "run", "(not shown)", "must be a list"),
            ("config.migrate.command", ["a\x00b"], "(not shown)", "must not hold null bytes: remove them"),
            ("config.migrate.command", ["a\x7fb"], "(not shown)", NOT_IN_YAML),
            ("config.migrate.args", ["a\ufeffb"], "(not shown)", NOT_IN_YAML),
            ("config.database.backend", "oracle", "'oracle'", "must be 'postgres', 'kubedb' or 'cloudnative-pg'"),
            ("config.ignoreBranches", ["a"] * 257, "(a list)", "must have at most 256 entries: remove some"),
            ("repo", "\ud800", r"'\ud800'", "must be Unicode text: remove what is not"),
            ("repo", {"a": 1}, "(a mapping)", TEXT),
        ],
    )
    def test_malformed_and_hostile(self, path: str, value: object, shown: str, remedy: str) -> None:
        first = refused(at(path, value))[0]
        assert first[0].startswith(f"spec.{path}".replace(".0", "[0]").replace(".1", "[1]"))
        assert first[1:] == (shown, remedy)

    @pytest.mark.parametrize("spec", [None, [], "text", 7, True])
    def test_a_spec_that_is_no_mapping(self, spec: object) -> None:
        with pytest.raises(SpecRefused, match=r"^spec: .*(must be a mapping of fields|must not be null)"):
            parse(spec)

    def test_a_misspelt_field_of_the_config(self) -> None:
        assert refused(at("config.applicatonPort", 1)) == [("spec.config.applicatonPort", "", UNKNOWN)]

    def test_a_field_by_its_python_name(self) -> None:
        assert refused(at("config.application_port", 1)) == [("spec.config.application_port", "", UNKNOWN)]

    def test_one_variable_twice(self) -> None:
        change = at("config.env.values.1.name", "ENV_ONE")
        assert refused(change) == [("spec.config.env.values", "(a list)", "names ENV_ONE more than once: keep one")]

    @pytest.mark.parametrize("source", [{}, {"value": "a", "secretRef": {"name": "b", "key": "c"}}])
    def test_a_value_from_nowhere_or_from_two_places(self, source: Document) -> None:
        field, shown, remedy = refused(at("config.database.copyFrom.host", source))[0]
        assert (field, shown) == ("spec.config.database.copyFrom.host", "(a mapping)")
        assert remedy == "give either value or secretRef, not both and not neither"

    def test_more_than_fits_the_secrets_it_goes_into(self) -> None:
        values = [{"name": f"A{index}", "value": "\x01" * 30_000} for index in range(9)]
        ((field, _, remedy),) = refused(at("config.env.values", values))
        assert field == "spec.config"
        assert remedy.endswith("bytes and may take 262144: keep large values in a Secret or ConfigMap")

    def test_everything_at_once_names_each_field(self) -> None:
        def break_all(spec: Document) -> None:
            for path in ("repo", "branch", "pr", "commitHash", "tarballUrl", "config"):
                at(path, 7)(spec)

        assert [field for field, _, _ in refused(break_all)] == [
            *("spec.repo", "spec.branch", "spec.pr", "spec.commitHash", "spec.tarballUrl", "spec.config")
        ]

    def test_the_message_is_short_however_much_is_wrong(self) -> None:
        spec = samples.review_app()["spec"]
        spec["config"] |= {"x" * 1000 + str(index): 1 for index in range(5000)}
        with pytest.raises(SpecRefused) as caught:
            parse(spec)
        assert len(caught.value.refusals) == 5000
        assert len(str(caught.value)) < 3000
        assert str(caught.value).endswith("; and 4990 more")

    def test_a_field_named_to_fool_a_terminal(self) -> None:
        assert refused(at("config.\x1b[2Jx\nfield", 1)) == [(r"spec.config['\x1b[2Jx\nfield']", "", UNKNOWN)]


SECRET = "hunter2-hunter2"


class TestSecretsAreNeverShown:
    @pytest.mark.parametrize(
        "change",
        [
            at("tarballUrl", f"ftp://host/a.tar.gz?X-Amz-Signature={SECRET}"),
            at("tarballUrl", f"ftp://host/a.tar.gz#{SECRET}"),
            at("tarballUrl", f"ftp://user:{SECRET}@host/a.tar.gz"),
            at("tarballUrl", f"ftp://user:a/{SECRET}@host/a.tar.gz"),
            at("tarballUrl", f"user:{SECRET}@host/a.tar.gz"),
            at("tarballUrl", f"https//host/a?{SECRET}"),
            at("config.env.values.0.value", [SECRET]),
            at("config.env.values.0.value", SECRET + "\x00"),
            at("config.env.values.0", SECRET),
            at("config.env.values", SECRET),
            at("config.env.values", [{"name": "A", "value": SECRET}, {"name": "A", "value": SECRET}]),
            at("config.env.valeus", [{"name": "A", "value": SECRET}]),
            at("config.env", f"PASSWORD={SECRET}"),
            at("config.env", [SECRET]),
            at("config", SECRET),
            at("config.database.copyFrom.password", SECRET),
            at("config.database.copyFrom.password", {"value": [SECRET]}),
            at("config.database.copyFrom.password", {"value": SECRET, "secretRef": {"name": "a", "key": "b"}}),
            at("config.database.copyFrom.passwd", {"value": SECRET}),
            at("config.migrate.command", [SECRET + "\x00"]),
            at("config.migrate.command", SECRET),
        ],
    )
    def test_in_any_refusal(self, change: Change) -> None:
        for field, value, remedy in refused(change):
            assert SECRET not in f"{field} {value} {remedy}"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=20,
)
PATHS = [
    *("repoOwner", "repo", "branch", "pr", "commitHash", "tarballUrl", "config", "unknown"),
    *("config.namespace", "config.applicationPort", "config.registrySecretName", "config.unknown"),
    *("config.migrate", "config.migrate.command", "config.migrate.args.0", "config.migrate.unknown"),
    *("config.database", "config.database.version", "config.database.copyFrom.host", "config.database.unknown"),
    *("config.database.copyFrom.password.secretRef", "config.database.copyFrom.password.secretRef.name"),
    *("config.env", "config.env.secrets.0", "config.env.configMaps", "config.env.values"),
    *("config.env.values.0", "config.env.values.0.name", "config.env.values.0.value", "config.ignoreBranches"),
]


def outcome(spec: object) -> Spec | SpecRefused:
    try:
        return parse(spec)
    except SpecRefused as error:
        return error


def assert_accepted_or_refused(spec: object) -> None:
    before = copy.deepcopy(spec)
    result = outcome(spec)
    if isinstance(result, SpecRefused):
        assert result.refusals
        assert all(refusal.field.startswith("spec") and refusal.remedy for refusal in result.refusals)
        assert str(result).isprintable()
    assert repr(spec) == repr(before)


@given(json_values)
def test_any_json_is_a_spec_or_is_refused(value: object) -> None:
    assert_accepted_or_refused(value)


@given(st.sampled_from(PATHS), json_values)
def test_any_json_in_any_field_is_accepted_or_refused(path: str, value: object) -> None:
    spec = samples.review_app()["spec"]
    at(path, value)(spec)
    assert_accepted_or_refused(spec)


@given(
    st.sampled_from(PATHS),
    st.sampled_from(["\x00", "\ud800", "a" * 1_000_000, "\u202e", "🚀" * 5000, "$(reboot)", "{{x}}", "%s"]),
)
def test_strange_text_in_any_field_is_accepted_or_refused(path: str, value: str) -> None:
    spec = samples.review_app()["spec"]
    at(path, value)(spec)
    assert_accepted_or_refused(spec)


@pytest.mark.parametrize("mapping", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_depth_in_any_field_is_refused_without_recursion(path: str, mapping: bool) -> None:
    deep: object = "bottom"
    for _ in range(10_000):
        deep = {"a": deep} if mapping else [deep]
    spec = samples.review_app()["spec"]
    at(path, deep)(spec)
    assert isinstance(outcome(spec), Spec if path == "unknown" else SpecRefused)


def test_a_huge_number_anywhere_is_refused_in_words() -> None:
    assert refused(at("pr", 10**5000)) == [("spec.pr", "(a huge number)", TEXT)]
    ((field, shown, _),) = refused(at("config.env.values.0.value", 10**5000))
    assert (field, shown) == ("spec.config.env.values[0].value", "(not shown)")
