"""The wildcard certificate: where there is one, apps get a copy and are reached by https."""

from __future__ import annotations

import base64
from collections.abc import Generator

import pytest

from tests.e2e.conftest import CERTIFICATES
from tests.e2e.pull_request import PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import INGRESSES, SECRETS, Cluster, entries

pytestmark = pytest.mark.cluster


@pytest.fixture
def wildcard(cluster: Cluster, watcher: RunningWatcher) -> Generator[str]:
    """The name that the settings have for the certificate; there is none yet."""
    yield "wildcard"
    cluster.delete(SECRETS, CERTIFICATES, "wildcard")


def secret(certificate: str) -> dict[str, object]:
    data = {"tls.crt": certificate, "tls.key": f"key of {certificate}"}
    return {"metadata": {"name": "wildcard"}, "type": "kubernetes.io/tls", "stringData": data}


def test_it_is_copied_when_it_arrives_and_when_it_is_renewed(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster, wildcard: str
) -> None:
    pull_request.open(commits["broken"])
    pull_request.until_condition("Built", "False")
    host = f"{pull_request.app}.review.example.com"
    assert pull_request.status()["url"] == f"http://{host}"
    assert not entries(ingress(pull_request), "spec", "tls")

    cluster.create(SECRETS, CERTIFICATES, secret("first certificate"))
    until(lambda: pull_request.status()["url"] == f"https://{host}", "the app is reached by https", 20)
    (tls,) = until(lambda: entries(ingress(pull_request), "spec", "tls"), "the Ingress has TLS")
    assert tls["hosts"] == [host]
    until(lambda: copied(pull_request, tls["secretName"]) == "first certificate", "the copy")

    cluster.replace(SECRETS, CERTIFICATES, secret("renewed certificate"))
    until(lambda: copied(pull_request, tls["secretName"]) == "renewed certificate", "the renewed copy", 20)
    # A certificate is no reason to build again.
    assert pull_request.status()["buildStatus"] == "error"
    assert len(pull_request.jobs()) == 1


def ingress(pull_request: PullRequest) -> dict[str, object]:
    return pull_request.cluster.get(INGRESSES, pull_request.namespace, pull_request.app) or {}


def copied(pull_request: PullRequest, name: str) -> str | None:
    found = pull_request.cluster.get(SECRETS, pull_request.namespace, name)
    return base64.b64decode(found["data"]["tls.crt"]).decode() if found else None
