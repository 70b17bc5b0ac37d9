"""A tarball in S3, as the older operator's bot leaves it there: read by the one container that has credentials."""

from __future__ import annotations

import os
from collections.abc import Generator

import boto3
import pytest

from dev.cluster.layout import KUBECONFIG, NODE_ADDRESS
from dev.sample import Sample
from tests.e2e.pull_request import BUILDS, PullRequest
from tests.e2e.watching import RunningWatcher
from tests.moto_server import moto_server
from watcher.cluster import SECRETS, Cluster

pytestmark = pytest.mark.cluster

_SECRET = "e2e-tarballs"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def endpoint() -> Generator[str]:
    """Address of an S3 that Pods reach."""
    if os.environ["KUBECONFIG"] != str(KUBECONFIG):
        pytest.skip("the S3 server of this test runs on the local cluster's node: unset KUBECONFIG")
    with moto_server(NODE_ADDRESS) as url:
        yield url


@pytest.fixture
def credentials(cluster: Cluster) -> Generator[str]:
    cluster.create(SECRETS, BUILDS, {"metadata": {"name": _SECRET}, "stringData": _CREDENTIALS})
    yield _SECRET
    cluster.delete(SECRETS, BUILDS, _SECRET)


def test_it_is_fetched_and_built(
    endpoint: str,
    credentials: str,
    pull_request: PullRequest,
    commits: dict[str, str],
    sample: Sample,
    watcher: RunningWatcher,
) -> None:
    commit = commits["first"]
    s3 = boto3.client(  # pyright: ignore[reportUnknownMemberType]
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=_CREDENTIALS["AWS_DEFAULT_REGION"],
    )
    s3.create_bucket(Bucket="tarballs")
    s3.put_object(Bucket="tarballs", Key=f"acme-shop-{commit[:8]}", Body=sample.tarball(commit))
    assert watcher.stop() == 0
    watcher.start(s3_endpoint_url=endpoint, tarball_secret_name=credentials, tarball_bucket="tarballs")

    pull_request.open(commit, tarballUrl=None)
    pull_request.until_ready(commit)
    assert commit in (pull_request.page() or "")

    # Somebody with other rights than the builds' has signed this one.
    s3.put_object(Bucket="tarballs", Key="second", Body=sample.tarball(commits["second"]))
    signed = s3.generate_presigned_url("get_object", Params={"Bucket": "tarballs", "Key": "second"})
    pull_request.push(commits["second"], tarballUrl=signed)
    pull_request.until_ready(commits["second"])
    assert commits["second"] in (pull_request.page() or "")
    pull_request.close()
    pull_request.until_gone()
    assert watcher.stop() == 0
