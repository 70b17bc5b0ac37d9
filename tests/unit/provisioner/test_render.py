from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import SpecRefused
from provisioner.manifest_text import as_yaml
from provisioner.render import MASK, Asked, read, render
from provisioner.review_app import parse
from provisioner.settings import StackSettings
from provisioner.warm_up import FULL_INPUTS
from stacks.manifest import Manifest
from stacks.naming import COMPONENT_LABEL, GROUP, STACK_LABEL, stack_name
from stacks.registration import KINDS
from tests import golden, samples
from tests.samples.random_specs import specs, stack_settings

COMMIT = samples.review_app()["spec"]["commitHash"]
DIGEST = "sha256:" + "1" * 64
SETTINGS = samples.settings(tls_secret="certificates/wildcard")


@pytest.mark.parametrize("name", golden.VARIANTS)
def test_it_is_what_the_golden_file_says(name: str) -> None:
    expected = (golden.FOLDER / f"{name}.yaml").read_text()
    # On a wanted change: `python -m tests.golden`, and read the difference.
    assert golden.render(golden.VARIANTS[name]) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"buildCommit": COMMIT, "imageDigest": DIGEST}, f"@{DIGEST}"),
        ({"buildCommit": COMMIT}, f":42-{COMMIT[:12]}"),
        ({"buildCommit": "another", "imageDigest": DIGEST}, f":42-{COMMIT[:12]}"),
        ({"buildCommit": COMMIT, "imageDigest": "latest"}, f":42-{COMMIT[:12]}"),
        ({"buildCommit": COMMIT, "imageDigest": {}}, f":42-{COMMIT[:12]}"),
    ],
)
def test_what_runs_is_named_as_the_status_says(status: dict[str, Any], expected: str) -> None:
    asked = read(samples.review_app() | {"status": status})
    deployment = next(
        one for one in render(asked, SETTINGS, built=True, show_secrets=False) if one["kind"] == "Deployment"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example.com/apps/acme/shop{expected}"


def test_each_golden_file_is_a_variants() -> None:
    assert {file.stem for file in golden.FOLDER.glob("*.yaml")} == golden.VARIANTS.keys()


@given(specs(), stack_settings(), st.booleans(), st.booleans())
def test_equal_input_gives_equal_text(
    document: dict[str, Any], settings: StackSettings, built: bool, show_secrets: bool
) -> None:
    again = json.loads(json.dumps(document))
    first, second = (
        [as_yaml(manifest) for manifest in render(Asked(parse(spec)), settings, built=built, show_secrets=show_secrets)]
        for spec in (document, again)
    )
    assert first == second


@given(specs(), stack_settings(), st.booleans(), st.booleans())
def test_every_object_says_whose_it_is_and_can_be_registered(
    document: dict[str, Any], settings: StackSettings, built: bool, show_secrets: bool
) -> None:
    spec = parse(document)
    stack = stack_name(spec.repo_owner, spec.repo, spec.pr)
    manifests = render(Asked(spec), settings, built=built, show_secrets=show_secrets)
    assert {manifest["kind"] for manifest in manifests} >= {"Secret", "Job", "Deployment", "Service", "Ingress"}
    for manifest in manifests:
        assert (manifest["apiVersion"], manifest["kind"]) in KINDS
        assert manifest["metadata"]["labels"][STACK_LABEL] == stack
        assert manifest["metadata"]["labels"][COMPONENT_LABEL]
        assert manifest["metadata"]["annotations"]["pulumi.com/patchFieldManager"] == stack
    names = [(m["kind"], m["metadata"]["namespace"], m["metadata"]["name"]) for m in manifests]
    assert len(set(names)) == len(names)


@given(specs(), stack_settings(), st.booleans(), st.text(max_size=20), st.text("abc/?&=", max_size=20))
def test_masked_output_does_not_depend_on_secrets(
    document: dict[str, Any], settings: StackSettings, built: bool, value: str, query: str
) -> None:
    other = json.loads(json.dumps(document))
    for entry in other["config"].get("env", {}).get("values", []):
        entry["value"] = value.replace("\0", "")
    address = document["tarballUrl"].partition("?")[0].partition("#")[0]
    scheme, _, rest = address.partition("://")
    document["tarballUrl"] = f"{scheme}://one:two@{rest}?three"
    other["tarballUrl"] = f"{scheme}://{'x' * len(value)}@{rest}?{query}"
    first, second = (
        render(Asked(parse(spec)), settings, built=built, show_secrets=False) for spec in (document, other)
    )
    assert first == second


def secrets(manifests: list[Manifest]) -> dict[str, dict[str, str]]:
    return {m["metadata"]["name"]: m.get("data", {}) for m in manifests if m["kind"] == "Secret"}


def test_secrets_are_masked_unless_asked_for() -> None:
    masked = secrets(render(Asked(samples.spec()), SETTINGS, built=False, show_secrets=False))
    certificate = {"tls.crt": MASK, "tls.key": MASK}
    assert masked["shop-42--env"] == {"ENV_ONE": MASK, "ENV_TWO": MASK}
    assert masked["shop-42--tls"] == certificate
    assert masked["shop-42--db-auth"] == dict.fromkeys(("username", "password", "url"), MASK)
    assert set(masked["shop-42--db-copy"].values()) == {MASK}
    assert base64.b64decode(MASK, validate=True)
    shown = secrets(render(Asked(samples.spec()), SETTINGS, built=False, show_secrets=True))
    decoded = {name: base64.b64decode(value).decode() for name, value in shown["shop-42--env"].items()}
    assert decoded == {"ENV_ONE": "value number one", "ENV_TWO": "1"}
    # Not even then: nobody here has it.
    assert shown["shop-42--tls"] == certificate


def test_every_secret_part_of_inputs_is_known_to_be_one() -> None:
    from provisioner.render import _masked  # pyright: ignore[reportPrivateUsage]

    masked = _masked(FULL_INPUTS)
    assert masked.workload.environment == {"A": ""}
    assert masked.database
    assert masked.database.copy_from
    assert set(masked.database.copy_from.values.values()) == {masked.database.password.get_secret_value()} == {""}
    assert masked.route.tls
    assert (masked.route.tls.certificate.get_secret_value(), masked.route.tls.key.get_secret_value()) == ("", "")


def test_built_it_has_a_replica_and_nothing_else_is_new() -> None:
    first, built = (render(Asked(samples.spec()), SETTINGS, built=built, show_secrets=True) for built in (False, True))
    (deployment,) = (manifest for manifest in built if manifest["kind"] == "Deployment")
    assert deployment["spec"]["replicas"] == 1
    deployment["spec"]["replicas"] = 0
    assert first == built


def test_annotations_count_too() -> None:
    document = samples.review_app()
    document["metadata"]["annotations"] = {f"{GROUP}/paused": "true", f"{GROUP}/rebuild": "now"}
    declared = {m["kind"]: m for m in render(read(document), SETTINGS, built=True, show_secrets=False)}
    assert declared["Deployment"]["spec"]["replicas"] == 0
    assert re.fullmatch(r"shop-42--8a1f0e3c5b-[a-z]{5}", declared["Job"]["metadata"]["name"])


@pytest.mark.parametrize("metadata", [None, [], "a", {"annotations": []}, {"annotations": {f"{GROUP}/rebuild": [1]}}])
def test_odd_metadata_asks_for_nothing(metadata: object) -> None:
    assert read(samples.review_app() | {"metadata": metadata}) == Asked(samples.spec())


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (["a"], "kind: is missing: write a mapping with the fields of a ReviewApp"),
        ("text", "kind: is missing: write a mapping with the fields of a ReviewApp"),
        (
            {},
            f"apiVersion: must be {GROUP}/v1: nothing else is taken; kind: must be ReviewApp: nothing else is taken",
        ),
        (
            {"apiVersion": f"{GROUP}/v1", "kind": "Deploy\nment"},
            "kind: 'Deploy\\nment' must be ReviewApp: nothing else is taken",
        ),
        ({"apiVersion": f"{GROUP}/v1", "kind": "ReviewApp"}, "spec: is missing: add it"),
        (
            {"apiVersion": f"{GROUP}/v1", "kind": "ReviewApp", "spec": None},
            "spec: must not be null: remove it, or give it a value",
        ),
        ({"apiVersion": f"{GROUP}/v1", "kind": "ReviewApp", "spec": []}, "spec: (a list) must be a mapping of fields"),
    ],
)
def test_what_is_no_review_app_is_refused(document: object, message: str) -> None:
    with pytest.raises(SpecRefused) as caught:
        read(document)
    assert str(caught.value) == message
