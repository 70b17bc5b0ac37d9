"""How an app is reached: by an Ingress, or by an HTTPRoute that the Gateway API's published schema takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from provisioner.desired import stack_inputs
from provisioner.errors import SettingsRefused
from provisioner.settings_sources import load_stack_settings
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from stacks.route import GATEWAY_VERSION, route, url
from tests import samples

SCHEMA = Path(__file__).parent / "published" / f"{GATEWAY_VERSION.replace('/', '_')}.yaml"
NOINDEX = {"set": [{"name": "X-Robots-Tag", "value": "noindex"}]}


def made(**settings: Any) -> StackInputs:
    chosen = samples.settings(**({"route": "gateway", "gateway": "gateways/public"} | settings))
    spec = samples.spec(config={"database": None})
    return stack_inputs(spec, chosen, previous=None, built=False, tls=samples.CERTIFICATE)


def test_an_http_route_attaches_to_the_gateway() -> None:
    found = route(made())
    assert (found["apiVersion"], found["kind"]) == ("gateway.networking.k8s.io/v1", "HTTPRoute")
    (parent,), (rule,) = found["spec"]["parentRefs"], found["spec"]["rules"]
    assert (parent["kind"], parent["namespace"], parent["name"]) == ("Gateway", "gateways", "public")
    assert found["spec"]["hostnames"] == ["shop-42.review.example.com"]
    (backend,) = rule["backendRefs"]
    assert (backend["kind"], backend["name"], backend["port"]) == ("Service", "shop-42", 80)


def test_search_engines_are_asked_to_leave_it_out_by_default() -> None:
    (rule,) = route(made())["spec"]["rules"]
    assert rule["filters"] == [{"type": "ResponseHeaderModifier", "responseHeaderModifier": NOINDEX}]
    (rule,) = route(made(noindex=False))["spec"]["rules"]
    assert "filters" not in rule


@pytest.mark.parametrize("noindex", [True, False])
def test_the_published_schema_takes_it(noindex: bool) -> None:
    schema = yaml.safe_load(SCHEMA.read_text())
    spec = route(made(noindex=noindex))["spec"]
    Draft202012Validator(schema).validate(spec)  # pyright: ignore[reportUnknownMemberType]
    with pytest.raises(Exception, match="Additional properties"):
        Draft202012Validator(schema).validate(spec | {"hosts": []})  # pyright: ignore[reportUnknownMemberType]


def test_the_certificate_is_the_gateways() -> None:
    kinds = [(one["kind"], one["metadata"]["name"]) for one in manifests(made(tls_secret="certificates/wildcard"))]
    assert not [name for kind, name in kinds if kind == "Ingress" or name.endswith("--tls")]
    assert url(made()) == "https://shop-42.review.example.com"
    assert url(made(gateway_scheme="http")) == "http://shop-42.review.example.com"


def test_annotations_are_for_either() -> None:
    annotations = {"example.com/login": "yes"}
    assert route(made(ingress_annotations=annotations))["metadata"]["annotations"] == annotations


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"route": "gateway"}, "^route: .*must be gateway where the setting gateway names one"),
        ({"gateway": "gateways/public"}, "^route: .*must be gateway where the setting gateway names one"),
        ({"route": "gateway", "gateway": "public"}, "^gateway: .*must be namespace/name of a Gateway"),
    ],
)
def test_settings_that_do_not_go_together(values: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"app_domain": "example.com", "registry": "registry", **values}.items():
        monkeypatch.setenv(f"REVIEWAPP_{name.upper()}", value)
    with pytest.raises(SettingsRefused, match=words):
        load_stack_settings()
