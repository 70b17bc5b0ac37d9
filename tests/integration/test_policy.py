"""The admission policy on a real API server: it refuses at once what the watcher would refuse later, and says why."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Generator
from typing import Any

import pytest

from provisioner.desired import stack_inputs
from provisioner.errors import SpecRefused
from provisioner.policy import admission_policy
from provisioner.review_app import parse
from tests import samples
from tests.integration.test_api_server import DEPLOY, kubectl

pytestmark = pytest.mark.cluster

Manifest = dict[str, Any]

_SETTINGS = samples.settings(repos="acme/*, Other/site-*", forks="without-secrets", tls_secret="certificates/wildcard")
_EFFECT_SECONDS = 30.0

# Changes of the spec, of its config, and what is said. Each is refused by the watcher too.
REFUSED: dict[str, tuple[Manifest, Manifest, str]] = {
    "the cluster's own namespace": ({}, {"namespace": "kube-system"}, "spec.config.namespace: is not open"),
    "the watcher's namespace": ({}, {"namespace": "reviewapp-system"}, "spec.config.namespace: is not open"),
    "the namespace of builds": ({}, {"namespace": "reviewapp-builds"}, "spec.config.namespace: is not open"),
    "the certificate's namespace": ({}, {"namespace": "certificates"}, "spec.config.namespace: is not open"),
    "a namespace with a path in it": ({}, {"namespace": "a/../b"}, "spec.config.namespace: must be a DNS label"),
    "a namespace with a line more": ({}, {"namespace": "a\n"}, "spec.config.namespace: must be a DNS label"),
    "a file as tarball": ({"tarballUrl": "file:///etc/passwd"}, {}, "spec.tarballUrl: must be an https://"),
    "a host as tarball": ({"tarballUrl": "https://example.com"}, {}, "spec.tarballUrl: must name a file on its host"),
    "a branch as commit": ({"commitHash": "main; rm -rf /"}, {}, "spec.commitHash: must be a commit's hash"),
    "a repository with a path": ({"repo": "../../other"}, {}, "spec.repo: must be a name as forges have it"),
    "a look-alike of a repository": ({"repo": "sh\u043ep"}, {}, "spec.repo: must be a name as forges have it"),
    "a pull request that is none": ({"pr": "1 --all"}, {}, "spec.pr: must be a pull request's number"),
    "a terminal's commands": ({"branch": "a\x1b[2J"}, {}, "spec.branch: must not hold control characters"),
    "the certificate's copy": ({}, {"env": {"secrets": ["shop-1--tls"]}}, "spec.config.env.secrets: a name that ends"),
    "a Secret of another namespace": ({}, {"env": {"secrets": ["a/b"]}}, "env.secrets: each must be an object's name"),
    "a variable that is none": (
        {},
        {"env": {"values": [{"name": "A=B", "value": "x"}]}},
        "spec.config.env.values: each name must be a variable's name",
    ),
    "a port that is none": ({}, {"applicationPort": 65_536}, "spec.config.applicationPort: must be at least 1"),
    "a pull secret that is none": ({}, {"registrySecretName": "A"}, "registrySecretName: must be an object's name"),
}
BY_RULES: dict[str, tuple[Manifest, Manifest, str]] = {
    "a repository of nobody's": ({"repoOwner": "evil"}, {}, "spec.repo: gets no review apps here"),
    "a repository of somebody's": ({"repoOwner": "other"}, {}, "spec.repo: gets no review apps here"),
    "a fork's secrets": ({"fork": True}, {"env": {"secrets": ["a"]}}, "spec.config.env.secrets: is not for pull"),
    "a fork's data": (
        {"fork": True},
        {"env": {}, "database": {"copyFrom": {"host": {"value": "db"}}}},
        "spec.config.database.copyFrom: is not for pull requests from forks",
    ),
}
TAKEN: dict[str, tuple[Manifest, Manifest]] = {
    "the sample": ({}, {}),
    "a repository in another case": ({"repoOwner": "OTHER", "repo": "Site-A"}, {}),
    "the least": ({}, {"env": {}, "database": None, "registrySecretName": None, "migrate": None}),
    "a fork without secrets": ({"fork": True}, {"env": {"configMaps": ["flags"]}, "database": None}),
    "as many variables as may be": ({}, {"env": {"values": [{"name": f"V{i}", "value": i} for i in range(512)]}}),
}


def review_app(spec: Manifest, config: Manifest) -> Manifest:
    document = samples.review_app()
    document["metadata"] = {"name": f"policy-{uuid.uuid4().hex[:6]}", "labels": {"policy-test": "true"}}
    document["spec"] |= spec
    document["spec"]["config"] |= config
    return document


def create(document: Manifest) -> tuple[bool, str]:
    return kubectl("create", "--dry-run=server", "-f", "-", document=document)


@pytest.fixture(scope="module")
def _policy() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """The policy, for objects of these tests only: others work on the same cluster."""
    done, said = kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEPLOY / "base/crd.yaml"))
    assert done, said
    name = f"policy-test-{uuid.uuid4().hex[:6]}"
    policy, binding = admission_policy(_SETTINGS)
    for document in (policy, binding):
        document["metadata"]["name"] = name
    binding["spec"] |= {
        "policyName": name,
        "matchResources": {"objectSelector": {"matchLabels": {"policy-test": "true"}}},
    }
    for document in (policy, binding):
        done, said = kubectl("create", "-f", "-", document=document)
        assert done, said
        assert "Warning" not in said
    deadline = time.monotonic() + _EFFECT_SECONDS
    while create(review_app({"pr": "x"}, {}))[0]:
        assert time.monotonic() < deadline, "the policy has no effect"
        time.sleep(0.2)
    yield
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        kubectl("delete", kind, name)


@pytest.mark.usefixtures("_policy")
class TestPolicy:
    @pytest.mark.parametrize("case", [*REFUSED, *BY_RULES])
    def test_a_bad_spec_is_refused_at_once(self, case: str) -> None:
        spec, config, message = (REFUSED | BY_RULES)[case]
        done, said = create(review_app(spec, config))
        assert not done
        assert message in said

    @pytest.mark.parametrize("case", TAKEN)
    def test_a_good_one_is_taken(self, case: str) -> None:
        document = review_app(*TAKEN[case])
        done, said = create(document)
        assert done, said
        parse(document["spec"])

    def test_what_was_there_before_can_be_changed_and_go(self) -> None:
        bad = review_app({"pr": "x"}, {"namespace": "kube-system"})
        name = bad["metadata"]["name"]
        del bad["metadata"]["labels"]
        done, said = kubectl("create", "-f", "-", document=bad)
        assert done, said
        try:

            def patch(body: Manifest) -> tuple[bool, str]:
                return kubectl("patch", "reviewapp", name, "--type=merge", f"--patch={json.dumps(body)}")

            done, said = patch({"metadata": {"labels": {"policy-test": "true"}, "annotations": {"a": "b"}}})
            assert done, said
            done, said = patch({"spec": {"branch": "other"}})
            assert not done
            assert "spec.pr: must be a pull request's number" in said
        finally:
            done, said = kubectl("delete", "reviewapp", name, "--timeout=30s")
        assert done, said


@pytest.mark.parametrize("case", REFUSED)
def test_the_watcher_refuses_the_same(case: str) -> None:
    changes, config, _ = REFUSED[case]

    def watch() -> None:
        spec = parse(review_app(changes, config)["spec"])
        stack_inputs(spec, _SETTINGS, previous=None, built=False, tls=None)

    with pytest.raises(SpecRefused):
        watch()
