"""From what a config asks of a database to what is declared, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from provisioner.databases import Known, Operators, settle, wanted_database
from provisioner.errors import SpecRefused
from provisioner.review_app import parse_config
from stacks.inputs import Database
from tests import samples

SOURCE = {"host": {"value": "source.db.example.com"}, "password": {"secretRef": {"name": "staging", "key": "password"}}}
KUBEDB = Operators(kubedb="kubedb.com/v1alpha2", kubedb_versions=("9.6", "16.4", "17.2"))


def wanted(
    asked: dict[str, Any], previous: Database | None = None, known: Known | None = None, **settings: Any
) -> Database:
    config = parse_config({"namespace": "n", "applicationPort": 1, "database": asked})
    assert config.database
    known = known or Known(password=SecretStr("drawn"))
    return wanted_database(config.database, "shop-42", samples.settings(**settings), previous, known)


def refused(asked: dict[str, Any], known: Known | None = None, **settings: Any) -> str:
    with pytest.raises(SpecRefused) as caught:
        wanted(asked, known=known, **settings)
    return str(caught.value)


def test_without_a_word_it_is_the_built_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the cluster of the tests has.
    monkeypatch.delenv("REVIEWAPP_POSTGRES_IMAGE", raising=False)
    monkeypatch.delenv("REVIEWAPP_DATABASE_VERSION", raising=False)
    found = wanted({})
    assert (found.backend, found.name, found.version, found.storage_size) == ("postgres", "shop-42--db", "17", "1Gi")
    assert found.image == "docker.io/library/postgres:17"
    assert found.copy_from is None


def test_the_older_manifest_is_taken() -> None:
    asked = samples.review_app()["spec"]["config"]["database"]
    copy = wanted(asked).copy_from
    assert copy
    assert copy.references == {"COPY_PASSWORD": ("database-source-auth", "POSTGRES_PASSWORD")}
    assert copy.values == {
        "COPY_HOST": "database-source",
        "COPY_USER": "postgres",
        "COPY_DATABASE": "postgres",
        "COPY_SCHEMA": "public",
    }


class TestKept:
    def test_once_it_was_ready_it_stays_as_it_is(self) -> None:
        first = wanted({"copyFrom": SOURCE})
        ready = wanted({"copyFrom": SOURCE}, first, Known(ready=True))
        assert (ready.settled, ready.copy_from) == (True, None)
        assert wanted({"version": "18", "storageSize": "5Gi"}, ready) == ready

    def test_what_is_asked_otherwise_before_is_taken(self) -> None:
        first = wanted({"version": "99"})
        changed = wanted({"version": "17"}, first, Known(ready=True))
        assert (changed.version, changed.settled, changed.password) == ("17", False, first.password)

    def test_a_reset_makes_another(self) -> None:
        ready = settle(wanted({"reset": "1"}))
        again = wanted({"reset": "2", "copyFrom": SOURCE}, ready)
        assert again.name != ready.name
        assert (again.settled, again.copy_from is None) == (False, False)

    def test_so_does_the_annotation(self) -> None:
        ready = settle(wanted({"reset": "1"}))
        again = wanted({"reset": "1"}, ready, Known(attempt="bcdfg"))
        assert (again.name != ready.name, again.settled) == (True, False)
        # Until it is ready it is the same one, and then it is kept, also from whoever takes the annotation away.
        for attempt in ("bcdfg", ""):
            assert wanted({"reset": "1"}, again, Known(attempt=attempt)) == again
            assert wanted({"reset": "1"}, settle(again), Known(attempt=attempt)) == settle(again)
        names = {wanted({}, settle(again), Known(attempt=attempt)).name for attempt in ("", "bcdfg", "ghjkl")}
        assert len(names | {again.name, ready.name}) == 4

    def test_kubedbs_init_script_stays_with_it(self) -> None:
        asked = {"backend": "kubedb", "version": "16.4", "copyFrom": SOURCE}
        assert settle(wanted(asked)).copy_from == wanted(asked).copy_from


class TestOperators:
    def test_the_version_of_the_api_is_the_clusters(self) -> None:
        found = wanted({"backend": "kubedb"}, known=Known(operators=KUBEDB))
        assert (found.api_version, found.version) == ("kubedb.com/v1alpha2", "17.2")

    def test_a_version_that_kubedb_has_not(self) -> None:
        said = refused({"backend": "kubedb", "version": "16.99"}, Known(operators=KUBEDB))
        assert "spec.config.database.version" in said
        assert "'16.99'" in said
        assert "choose from 9.6, 16.4, 17.2" in said

    @pytest.mark.parametrize(("backend", "name"), [("kubedb", "KubeDB"), ("cloudnative-pg", "CloudNativePG")])
    def test_an_operator_that_is_not_there(self, backend: str, name: str) -> None:
        said = refused({"backend": backend}, Known(operators=Operators()))
        assert f"'{backend}' is not installed in this cluster: use postgres, or install {name}" in said


@pytest.mark.parametrize(
    ("asked", "settings", "said"),
    [
        ({"storageSize": "11Gi"}, {}, "ask for at most 10Gi"),
        ({"storageSize": "1Ti"}, {"database_maximum_storage_size": "900Gi"}, "ask for at most 900Gi"),
        ({"storageClass": "fast"}, {}, "it gives none"),
        ({"storageClass": "fast"}, {"database_storage_classes": ["slow"]}, "choose from slow"),
        ({"version": "18"}, {"database_versions": ["16", "17"]}, "choose from 16, 17"),
        ({"extensions": ["plpython3u"]}, {"database_extensions": ["citext"]}, "choose from citext"),
        ({"backend": "cloudnative-pg", "ephemeral": True}, {}, "use another backend"),
        ({"backend": "kubedb", "extensions": ["citext"]}, {}, "add copyFrom"),
    ],
)
def test_limits(asked: dict[str, Any], settings: dict[str, Any], said: str) -> None:
    assert said in refused(asked, **settings)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"backend": "oracle"}, "must be 'postgres', 'kubedb' or 'cloudnative-pg'"),
        ({"version": "17; id"}, "must be a version"),
        ({"storageSize": "1 GB"}, "must be a size"),
        ({"ephemeral": "yes"}, "must be true or false"),
        ({"extensions": ['x"; DROP']}, "must be a name"),
        ({"copyFrom": {}}, "give either database_url, or host"),
        ({"copyFrom": {"user": {"value": "a"}}}, "names no host"),
        ({"copyFrom": SOURCE | {"database_url": {"value": "postgresql://h/d"}}}, "give either database_url, or host"),
        ({"copyFrom": {"database_url": {"value": "mysql://a:hidden@h/d"}}}, "database_url does not parse"),
        ({"copyFrom": {"database_url": {"value": "postgresql://a:hidden@h:x/d"}}}, "database_url does not parse"),
        ({"copyFrom": SOURCE | {"tables": ["a; b"]}}, "must be a table's name or a pattern"),
        ({"copyFrom": SOURCE | {"schema": "a.b"}}, "must be a name"),
    ],
)
def test_what_is_no_database(asked: dict[str, Any], said: str) -> None:
    found = refused(asked)
    assert said in found
    assert "hidden" not in found


@pytest.mark.parametrize("password", ["a@b", "a:b", "a/b", "a%b", "%40", "a?b", "a#b"])
def test_passwords_that_look_like_something_else(password: str) -> None:
    url = f"postgres://user:{password}@source.db.example.com:5432/shop?sslmode=require"
    copy = wanted({"copyFrom": {"database_url": {"value": url}}}, copy_hosts="*.db.example.com,Other").copy_from
    assert copy
    assert copy.values["COPY_ALLOWED_HOSTS"] == "*.db.example.com other"
    assert copy.values["COPY_URL"] == url
