"""`reviewapp platform` by the real engine; the provider is a stand-in, so that nothing here says what AWS does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core import set_initial_no_auth_action_count

from provisioner.aws_plugin import aws_plugin
from provisioner.platform import Platform
from provisioner.platform_settings import PlatformSettings
from stacks import platform_policies as policies
from stacks.iam_documents import Policy
from stacks.platform_inputs import PlatformInputs
from tests import iam
from tests.integration import aws_provider
from tests.moto_server import moto_server

pytestmark = pytest.mark.engine

PLATFORM = PlatformInputs(account="123456789012", region="us-east-1")

KEPT = {
    ("Key", "key"),
    ("Alias", "key"),
    ("Bucket", "state"),
    ("BucketLifecycleConfiguration", "state"),
    ("BucketOwnershipControls", "state"),
    ("BucketPolicy", "state"),
    ("BucketPublicAccessBlock", "state"),
    ("BucketServerSideEncryptionConfiguration", "state"),
    ("BucketVersioning", "state"),
}


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what the stand-in has made."""
    folder = tmp_path / "account"
    folder.mkdir()
    plugin = aws_plugin()
    aws_provider.install(tmp_path / "home" / "plugins" / plugin.folder, plugin.program, plugin.version)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(aws_provider.FOLDER, str(folder))
    return folder


def made(account: Path) -> dict[tuple[str, str], dict[str, Any]]:
    found = [json.loads(file.read_text()) for file in account.iterdir()]
    return {(item["kind"], item["name"]): item["inputs"] for item in found}


def credentials(address: str, bucket: str, name: str, policy: Policy) -> dict[str, str]:
    """Make a bucket, and a role that has this policy and no other; return the variables of the role's credentials."""

    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=address, region_name="us-east-1")  # pyright: ignore

    client("s3").create_bucket(Bucket=bucket)
    return {key.upper(): value for key, value in iam.role(client, PLATFORM.account, name, policy).items()}


def test_its_life(tmp_path: Path, account: Path) -> None:
    def settings(**changes: Any) -> PlatformSettings:
        given: dict[str, Any] = {
            "account": "123456789012",
            "region": "eu-central-1",
            "backend_url": f"file://{tmp_path / 'state'}",
            "uploaders": ("acme/shop",),
        }
        return PlatformSettings(**given | changes)

    platform = Platform(settings())
    steps: list[tuple[str, str, str]] = []

    def on_step(*step: str) -> None:
        steps.append((step[0], step[1], step[2]))

    # A stack, its provider, and 2 for the key, 8 and 7 for the buckets, 3 policies, a role and what ties one to it.
    assert platform.preview(on_step).changes == {"create": 23}
    assert made(account) == {}
    assert ("create", "aws:s3/bucket:Bucket", "tarballs") in steps

    first = platform.up(on_step)
    assert first.changes == {"create": 23}
    assert first.outputs["backend_url"] == "s3://reviewapp-state-123456789012-eu-central-1?region=eu-central-1"
    assert first.outputs["uploader_role_arn"] == "arn:aws:stand-in:::uploader"
    assert len(made(account)) == 21

    steps.clear()
    changed = Platform(settings(tarball_days=3, uploaders=())).up(on_step)
    assert (changed.changes, sorted(steps)) == (
        {"update": 1, "delete": 2, "same": 20},
        [
            ("delete", "aws:iam/role:Role", "uploader"),
            ("delete", "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "uploader"),
            ("update", "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "tarballs"),
        ],
    )
    rules = made(account)["BucketLifecycleConfiguration", "tarballs"]["rules"]
    assert rules[1]["expiration"] == {"days": 3}

    platform.destroy(on_step)
    assert made(account).keys() == KEPT
    assert platform.up(on_step).changes == {"create": 12, "same": 11}


def test_pulumi_keeps_its_state_with_the_watchers_rights(
    tmp_path: Path, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack is the platform's, for want of a smaller one; the rights are the watcher's, by moto's IAM."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "admin")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto_server() as address:
        watcher = credentials(
            address, "state", "watcher", policies.state(PLATFORM, "arn:aws:s3:::state", "arn:aws:kms:::key")
        )
        for name, value in watcher.items():
            monkeypatch.setenv(name, value)
        url = f"s3://state?endpoint={address}&s3ForcePathStyle=true&region=us-east-1"
        platform = Platform(PlatformSettings(account=PLATFORM.account, region=PLATFORM.region, backend_url=url))

        def on_step(*_: str) -> None:
            pass

        @set_initial_no_auth_action_count(0)
        def act() -> None:
            platform.up(on_step)
            platform.destroy(on_step)

        act()
    assert made(account).keys() == KEPT
