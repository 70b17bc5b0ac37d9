"""Build options on a real build: a Dockerfile of its own place and stage, an argument, and Secrets without a trace."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
from collections.abc import Iterator

import httpx
import pytest

from stacks.review_app import stack_label_selector
from tests.e2e.pull_request import BUILDS, PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import SECRETS, Cluster

pytestmark = pytest.mark.cluster

_TOKENS = {"npm": "npm_token_of_the_pull_request", ".netrc": "machine example.com password of_the_pull_request"}
_BUILD = {
    "dockerfile": "docker/review.Dockerfile",
    "context": "docker/site",
    "target": "wanted",
    "args": [{"name": "GREETING", "value": "hello $(APP) a,b"}],
    "secrets": ["tokens"],
}
_KINDS = "application/vnd.oci.image.manifest.v1+json"


def test_only_the_step_that_asks_for_a_secret_sees_it(
    pull_request: PullRequest, commits: dict[str, str], cluster: Cluster, watcher: RunningWatcher
) -> None:
    assert watcher.stop() == 0
    watcher.start(build_cache="true")
    pull_request.open(commits["secretive"], {"build": _BUILD})
    missing = pull_request.until_condition("Ready", "False", "SecretNotFound")
    assert f"Secret {pull_request.namespace}/tokens" in missing["message"]
    cluster.create(SECRETS, pull_request.namespace, {"metadata": {"name": "tokens"}, "stringData": _TOKENS})
    until(lambda: copies(pull_request), "its copy is there for the build")
    assert_no_token("\n".join(path.read_text() for path in watcher.folder.glob("state/**/*.json")))
    pull_request.until_ready(commits["secretive"])

    assert pull_request.page() == "the site"
    assert pull_request.page("greeting.txt") == "hello $(APP) a,b\n"
    digests = {line.split()[0] for line in (pull_request.page("asked.txt") or "").splitlines()}
    assert digests == {hashlib.sha256(value.encode()).hexdigest() for value in _TOKENS.values()}
    found = pull_request.page("found.txt") or ""
    assert "PATH=" in found
    assert_no_token(found)

    until(lambda: not copies(pull_request), "its copy is gone with the build")
    status = pull_request.status()
    repository = status["image"].rpartition(":")[0]
    for reference in (status["imageDigest"], "cache"):
        contents = list(blobs(repository, reference))
        assert any(b"index.html" in content for content in contents)
        for content in contents:
            assert_no_token(content.decode(errors="replace"))
    assert watcher.stop() == 0


def copies(pull_request: PullRequest) -> list[str]:
    items, _ = pull_request.cluster.list(SECRETS, BUILDS, label_selector=stack_label_selector(pull_request.stack))
    return [item["metadata"]["name"] for item in items]


def assert_no_token(text: str) -> None:
    for value in _TOKENS.values():
        assert value not in text
        assert base64.b64encode(value.encode()).decode() not in text


def blobs(repository: str, reference: str) -> Iterator[bytes]:
    """Give the manifest of an image and all that it names, unpacked."""
    host, _, path = repository.partition("/")
    scheme = "http" if os.environ.get("REVIEWAPP_REGISTRY_INSECURE") == "true" else "https"
    with httpx.Client(base_url=f"{scheme}://{host}/v2/{path}") as client:
        manifest = client.get(f"manifests/{reference}", headers={"Accept": _KINDS}).raise_for_status()
        yield manifest.content
        for one in [manifest.json()["config"], *manifest.json()["layers"]]:
            content = client.get(f"blobs/{one['digest']}").raise_for_status().content
            yield gzip.decompress(content) if one["mediaType"].endswith("gzip") else content
