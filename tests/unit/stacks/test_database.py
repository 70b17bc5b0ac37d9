"""What a stack declares for its database, by backend; and that the operators' published schemas take it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import SecretStr

from stacks.database import manifests
from stacks.database_copy import SCRIPT
from stacks.inputs import Database, DatabaseCopy, StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests as all_manifests
from tests import samples

PUBLISHED = Path(__file__).parent / "published"
SECRET = "p@ss $(id) `id`"
COPY = DatabaseCopy(
    values={"COPY_HOST": "source", "COPY_PASSWORD": SECRET, "COPY_SCHEMA": "public", "COPY_ANONYMISE": "SELECT 1"},
    references={"COPY_USER": ("staging", "user")},
    image="postgres:17",
    retries=2,
)


def database(backend: Any = "postgres", copy: DatabaseCopy | None = COPY, **changes: Any) -> Database:
    values: dict[str, Any] = {
        "backend": backend,
        "name": "shop-42--db",
        "version": "17",
        "image": "postgres:17",
        "storage_size": "1Gi",
        "storage_class": None,
        "password": SecretStr("drawn"),
        "copy_from": copy,
    }
    return Database(**(values | changes))


def inputs_with(database: Database) -> tuple[StackInputs, Database]:
    inputs = samples.inputs(built=True).model_copy(update={"database": database})
    return inputs, database


def declared(database: Database) -> dict[str, Manifest]:
    return {f"{m['kind']}/{m['metadata']['name']}": m for m in manifests(*inputs_with(database))}


def decoded(secret: Manifest) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_the_built_in_one_declares_all_that_it_is() -> None:
    kinds = [name.partition("/")[0] for name in declared(database())]
    assert kinds == ["Secret", "Secret", "PersistentVolumeClaim", "Service", "StatefulSet", "Job"]


def test_an_ephemeral_one_has_no_claim() -> None:
    found = declared(database(ephemeral=True, copy=None))
    assert [name.partition("/")[0] for name in found] == ["Secret", "Service", "StatefulSet"]
    (volume, *_) = found["StatefulSet/shop-42--db"]["spec"]["template"]["spec"]["volumes"]
    assert volume == {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}


@pytest.mark.parametrize(("size", "most"), [("100Mi", 32), ("1Gi", 128), ("10Gi", 1024), ("1Ti", 1024)])
def test_the_log_takes_a_part_of_the_volume(size: str, most: int) -> None:
    (container,) = declared(database(storage_size=size))["StatefulSet/shop-42--db"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert {"name": "POSTGRES_MAX_WAL_SIZE", "value": f"{most}MB"} in container["env"]
    assert 'max_wal_size="$$POSTGRES_MAX_WAL_SIZE"' in container["command"][2]


def test_the_auth_secret_has_an_address_that_needs_no_encoding() -> None:
    for backend, host in (("postgres", "shop-42--db"), ("cloudnative-pg", "shop-42--db-rw")):
        secret = declared(database(backend))["Secret/shop-42--db-auth"]
        assert decoded(secret) == {
            "username": "app",
            "password": "drawn",
            "url": f"postgresql://app:drawn@{host}:5432/app",
        }


def test_nothing_of_a_credential_is_outside_of_secrets() -> None:
    for backend, version in (
        ("postgres", ""),
        ("kubedb", "kubedb.com/v1"),
        ("cloudnative-pg", "postgresql.cnpg.io/v1"),
    ):
        for manifest in declared(database(backend, api_version=version)).values():
            if manifest["kind"] != "Secret":
                assert SECRET not in str(manifest)
                assert "drawn" not in str(manifest)


def test_each_step_sees_one_side_alone() -> None:
    (job,) = (manifest for name, manifest in declared(database()).items() if name.startswith("Job/"))
    pod = job["spec"]["template"]["spec"]
    steps = {container["name"]: container for container in (*pod["initContainers"], *pod["containers"])}
    assert list(steps) == ["dump", "restore", "anonymise"]
    for name, container in steps.items():
        seen = {variable["name"] for variable in container["env"]}
        assert ("COPY_PASSWORD" in seen) == (name == "dump")
        assert ("TARGET_PASSWORD" in seen) == (name != "dump")
        # Kubernetes makes one dollar of two, and expands nothing then.
        assert container["command"][2].replace("$$", "$") == SCRIPT


def test_what_can_never_succeed_is_not_tried_again() -> None:
    (job,) = (manifest for name, manifest in declared(database()).items() if name.startswith("Job/"))
    assert job["spec"]["backoffLimit"] == 2
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [2])


def test_another_copy_is_another_job() -> None:
    other = COPY.model_copy(update={"values": COPY.values | {"COPY_PASSWORD": "another"}})
    limited = COPY.model_copy(update={"values": COPY.values | {"COPY_ALLOWED_HOSTS": "*.example.com"}})
    first, second, third = (set(declared(database(copy=copy))) for copy in (COPY, other, limited))
    assert first != second
    assert first == third


def test_the_app_waits_until_it_is_settled() -> None:
    for settled in (False, True):
        inputs, _ = inputs_with(database(settled=settled))
        (deployment,) = (manifest for manifest in all_manifests(inputs) if manifest["kind"] == "Deployment")
        assert deployment["spec"]["replicas"] == int(settled)


@pytest.mark.parametrize(
    ("version", "fields", "keys"),
    [
        ("v1", {"authSecret", "deletionPolicy"}, {"username", "password", "url"}),
        ("v1alpha2", {"authSecret", "terminationPolicy"}, {"username", "password", "url"}),
        ("v1alpha1", {"databaseSecret", "terminationPolicy"}, {"POSTGRES_USER", "POSTGRES_PASSWORD", "url"}),
    ],
)
def test_kubedb_in_the_words_of_each_version(version: str, fields: set[str], keys: set[str]) -> None:
    found = declared(database("kubedb", api_version=f"kubedb.com/{version}", version="16.4"))
    spec = found["Postgres/shop-42--db"]["spec"]
    assert spec.keys() == fields | {"version", "replicas", "storageType", "storage", "init", "podTemplate"}
    assert decoded(found["Secret/shop-42--db-auth"]).keys() == keys
    script = "scriptSource" if version == "v1alpha1" else "script"
    assert spec["init"] == {script: {"secret": {"secretName": "shop-42--db-copy"}}}
    copied = decoded(found["Secret/shop-42--db-copy"])
    assert copied["steps"] == SCRIPT
    assert "sh /var/initdb/steps all || {" in copied["db-copy.sh"]
    pod = spec["podTemplate"]["spec"]
    environment = pod["containers"][0]["env"] if version == "v1" else pod["env"]
    names = {variable["name"]: variable["valueFrom"]["secretKeyRef"]["name"] for variable in environment}
    assert (names["COPY_USER"], names["COPY_PASSWORD"]) == ("staging", "shop-42--db-copy")


@pytest.mark.parametrize("api_version", ["kubedb.com/v1", "kubedb.com/v1alpha2", "postgresql.cnpg.io/v1"])
@pytest.mark.parametrize("copy", [COPY, None], ids=["copied", "empty"])
@pytest.mark.parametrize("changes", [{}, {"storage_class": "fast", "extensions": ("citext",)}], ids=["least", "most"])
def test_the_published_schema_takes_it(api_version: str, copy: DatabaseCopy | None, changes: dict[str, Any]) -> None:
    backend = "kubedb" if api_version.startswith("kubedb") else "cloudnative-pg"
    schema = yaml.safe_load((PUBLISHED / f"{api_version.replace('/', '_')}.yaml").read_text())
    (manifest,) = (m for m in declared(database(backend, copy, api_version=api_version, **changes)).values()
                   if m["apiVersion"] == api_version)  # fmt: skip
    Draft202012Validator(schema).validate(manifest["spec"])  # pyright: ignore[reportUnknownMemberType]
    with pytest.raises(Exception, match="Additional properties"):
        Draft202012Validator(schema).validate(manifest["spec"] | {"storag": {}})  # pyright: ignore[reportUnknownMemberType]
