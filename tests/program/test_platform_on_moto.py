"""What the platform's program declares, made by boto3 on moto, and asked as its roles would.

Moto decides by actions and resources alone, and on the key's not even by the key. It knows no condition, and can't tell
a request with TLS: tests/unit/stacks/test_platform_policies.py evaluates those. A policy that denies by a condition
denies always, so that buckets have theirs here only where it is read back.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from bot.errors import UploadFailed
from bot.upload import to_bucket
from builder.errors import FetchRefusedError
from builder.fetch import Source, fetch
from stacks import platform_policies as policies
from stacks.iam_documents import Policy
from stacks.platform_inputs import PlatformInputs
from stacks.role import objects_below
from tests import iam
from tests.program.test_platform_program import Registered, declared

ACCOUNT = "123456789012"
REGION = "eu-central-1"
PLATFORM = PlatformInputs(account=ACCOUNT, region=REGION, object_lock_days=30)
TARBALL = "uploads/acme-shop-8a1f0e3c.tar.gz"


@dataclass(frozen=True)
class Made:
    """What moto has: the buckets' names, and the key's ARN."""

    tarballs: str
    state: str
    key: str


def client(service: str, credentials: dict[str, str] | None = None) -> Any:
    given = credentials or {"aws_access_key_id": "admin", "aws_secret_access_key": "admin"}
    return boto3.client(service, region_name=REGION, **given)  # pyright: ignore


def upper(value: Any) -> Any:
    """Return inputs of the program as boto3 names them; both are named after S3's API."""
    special = {"kmsMasterKeyId": "KMSMasterKeyID", "sseAlgorithm": "SSEAlgorithm", "id": "ID"}
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return {special.get(key, key[0].upper() + key[1:]): upper(part) for key, part in named.items()}
    if isinstance(value, list):
        return [upper(part) for part in cast("list[Any]", value)]
    return int(value) if isinstance(value, float) else value


def make_bucket(registered: Registered, use: str, key: str) -> str:
    """Make a bucket with all that the program declares of it, but for its policy; return its name."""
    s3 = client("s3")
    declaration = registered["Bucket", use].inputs
    name: str = declaration["bucket"]
    s3.create_bucket(
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": REGION},
        ObjectLockEnabledForBucket=declaration["objectLockEnabled"],
    )

    def part(kind: str) -> Any:
        return upper({k: v for k, v in registered[kind, use].inputs.items() if k != "bucket"})

    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=part("BucketPublicAccessBlock"))
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=part("BucketVersioning")["VersioningConfiguration"])
    s3.put_bucket_ownership_controls(
        Bucket=name, OwnershipControls={"Rules": [part("BucketOwnershipControls")["Rule"]]}
    )
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=part("BucketLifecycleConfiguration"))
    encryption = part("BucketServerSideEncryptionConfiguration")
    for rule in encryption["Rules"]:
        rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] = key
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=encryption)
    if ("BucketObjectLockConfiguration", use) in registered:
        lock = {"ObjectLockEnabled": "Enabled", **part("BucketObjectLockConfiguration")}
        s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    return name


@pytest.fixture
def registered() -> Registered:
    return declared(PLATFORM)[0]


@pytest.fixture
def made(registered: Registered) -> Iterator[Made]:
    with mock_aws():
        kms = client("kms")
        declaration = registered["Key", "key"].inputs
        key = kms.create_key(Policy=declaration["policy"], Description=declaration["description"])["KeyMetadata"]
        kms.enable_key_rotation(KeyId=key["KeyId"])
        alias = registered["Alias", "key"].inputs
        kms.create_alias(AliasName=alias["name"], TargetKeyId=key["KeyId"])
        tarballs, state = (make_bucket(registered, use, key["Arn"]) for use in ("tarballs", "state"))
        yield Made(tarballs, state, key["Arn"])


def role(name: str, policy: Policy) -> dict[str, str]:
    return iam.role(client, ACCOUNT, name, policy)


def refused(action: Callable[[], Any]) -> bool:
    """Do something with moto's IAM turned on; return whether that refused it. Any other error is raised."""

    @set_initial_no_auth_action_count(0)
    def enforced() -> None:
        action()

    try:
        enforced()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code not in {"AccessDenied", "AccessDeniedException", "403"}:
            raise
        return True
    return False


def test_the_bot_uploads_and_the_build_fetches_each_by_its_own_role(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def become(name: str, policy: Callable[[PlatformInputs, str, str], Policy]) -> None:
        given = role(name, policy(PLATFORM, f"arn:aws:s3:::{made.tarballs}", made.key))
        for variable, value in given.items():
            monkeypatch.setenv(variable.upper(), value)

    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    # More than one part of a multipart upload holds.
    content = os.urandom(9 << 20)
    tarball, fetched = tmp_path / "source.tar.gz", io.BytesIO()
    tarball.write_bytes(content)

    def upload(key: str) -> str:
        return to_bucket(tarball, made.tarballs, key, None, lambda _: None)

    def download() -> int:
        return fetch(Source(f"s3://{made.tarballs}/{TARBALL}", 16 << 20, 30.0), fetched)

    become("uploader", policies.upload)
    assert not refused(lambda: upload(TARBALL))
    with pytest.raises(UploadFailed, match="AccessDenied"):
        refused(lambda: upload("other/a"))
    with pytest.raises(FetchRefusedError, match="403"):
        refused(download)
    become("reader", policies.read)
    assert not refused(download)
    assert fetched.getvalue() == content
    with pytest.raises(UploadFailed, match="AccessDenied"):
        refused(lambda: upload(TARBALL))


def test_an_uploader_puts_tarballs_and_nothing_else(made: Made) -> None:
    arn = f"arn:aws:s3:::{made.tarballs}"
    client("s3").put_object(Bucket=made.tarballs, Key=TARBALL, Body=b"before")
    s3 = client("s3", role("uploader", policies.upload(PLATFORM, arn, made.key)))
    assert not refused(lambda: s3.put_object(Bucket=made.tarballs, Key=TARBALL, Body=b"source"))
    assert refused(lambda: s3.put_object(Bucket=made.tarballs, Key="other/a", Body=b""))
    assert refused(lambda: s3.put_object(Bucket=made.state, Key=TARBALL, Body=b""))
    assert refused(lambda: s3.get_object(Bucket=made.tarballs, Key=TARBALL))
    assert refused(lambda: s3.delete_object(Bucket=made.tarballs, Key=TARBALL))
    assert refused(lambda: s3.list_objects_v2(Bucket=made.tarballs))
    assert refused(lambda: s3.delete_bucket_policy(Bucket=made.tarballs))


def test_a_reader_gets_tarballs_and_nothing_else(made: Made) -> None:
    arn = f"arn:aws:s3:::{made.tarballs}"
    for bucket, key in ((made.tarballs, TARBALL), (made.tarballs, "other/a"), (made.state, TARBALL)):
        client("s3").put_object(Bucket=bucket, Key=key, Body=b"source")
    s3 = client("s3", role("reader", policies.read(PLATFORM, arn, made.key)))
    assert not refused(lambda: s3.get_object(Bucket=made.tarballs, Key=TARBALL))
    assert refused(lambda: s3.get_object(Bucket=made.tarballs, Key="other/a"))
    assert refused(lambda: s3.get_object(Bucket=made.state, Key=TARBALL))
    assert refused(lambda: s3.put_object(Bucket=made.tarballs, Key=TARBALL, Body=b""))
    assert refused(lambda: s3.delete_object(Bucket=made.tarballs, Key=TARBALL))
    assert refused(lambda: s3.list_objects_v2(Bucket=made.tarballs))


def test_the_watcher_keeps_its_state_and_nothing_else(made: Made) -> None:
    s3 = client("s3", role("watcher", policies.state(PLATFORM, f"arn:aws:s3:::{made.state}", made.key)))
    client("s3").put_object(Bucket=made.tarballs, Key=TARBALL, Body=b"source")
    assert not refused(lambda: s3.put_object(Bucket=made.state, Key=".pulumi/stacks/a.json", Body=b"{}"))
    assert not refused(lambda: s3.get_object(Bucket=made.state, Key=".pulumi/stacks/a.json"))
    assert not refused(lambda: s3.list_objects_v2(Bucket=made.state))
    assert not refused(lambda: s3.delete_object(Bucket=made.state, Key=".pulumi/stacks/a.json"))
    assert refused(lambda: s3.get_object(Bucket=made.tarballs, Key=TARBALL))
    assert refused(lambda: s3.list_objects_v2(Bucket=made.tarballs))
    assert refused(lambda: s3.put_bucket_versioning(Bucket=made.state, VersioningConfiguration={"Status": "Suspended"}))


def test_an_app_reaches_its_own_objects_and_nothing_else(made: Made) -> None:
    # Moto leaves the condition on what is listed out.
    own = objects_below(f"arn:aws:s3:::{made.tarballs}", "apps/acme.shop.1/")
    s3 = client("s3", role("app", own))
    for key in ("apps/acme.shop.10/a", TARBALL):
        client("s3").put_object(Bucket=made.tarballs, Key=key, Body=b"")
        assert refused(lambda key=key: s3.get_object(Bucket=made.tarballs, Key=key))
        assert refused(lambda key=key: s3.put_object(Bucket=made.tarballs, Key=key, Body=b""))
        assert refused(lambda key=key: s3.delete_object(Bucket=made.tarballs, Key=key))
    assert not refused(lambda: s3.put_object(Bucket=made.tarballs, Key="apps/acme.shop.1/a", Body=b"picture"))
    assert not refused(lambda: s3.get_object(Bucket=made.tarballs, Key="apps/acme.shop.1/a"))
    assert not refused(lambda: s3.delete_object(Bucket=made.tarballs, Key="apps/acme.shop.1/a"))
    assert refused(lambda: s3.list_objects_v2(Bucket=made.state))
    assert refused(lambda: s3.put_object(Bucket=made.state, Key="apps/acme.shop.1/a", Body=b""))


def test_a_tarball_is_encrypted_by_the_key_though_nobody_says_so(made: Made) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=made.tarballs, Key=TARBALL, Body=b"source")
    found = s3.get_object(Bucket=made.tarballs, Key=TARBALL)
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", made.key)
    assert found["Body"].read() == b"source"


def test_what_was_overwritten_or_deleted_in_the_state_is_still_there(made: Made) -> None:
    s3, key = client("s3"), ".pulumi/stacks/a.json"
    first = s3.put_object(Bucket=made.state, Key=key, Body=b"first")["VersionId"]
    s3.put_object(Bucket=made.state, Key=key, Body=b"second")
    s3.delete_object(Bucket=made.state, Key=key)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=made.state, Key=key)
    found = s3.get_object(Bucket=made.state, Key=key, VersionId=first)
    assert found["Body"].read() == b"first"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=made.state, Key=key, VersionId=first)


def test_the_buckets_read_back_as_they_are_declared(registered: Registered, made: Made) -> None:
    s3 = client("s3")
    for use, name in (("tarballs", made.tarballs), ("state", made.state)):
        s3.put_bucket_policy(Bucket=name, Policy=registered["BucketPolicy", use].inputs["policy"])
        assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]) == policies.tls_only(f"arn:aws:s3:::{name}")
        assert s3.get_bucket_policy_status(Bucket=name)["PolicyStatus"]["IsPublic"] is False
        block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert set(block.values()) == {True}
        with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
            s3.get_bucket_cors(Bucket=name)
    expired = s3.get_bucket_lifecycle_configuration(Bucket=made.tarballs)["Rules"][1]
    assert (expired["Filter"], expired["Expiration"]["Days"]) == ({"Prefix": "uploads/"}, 14)
    lock = s3.get_object_lock_configuration(Bucket=made.state)["ObjectLockConfiguration"]
    retention = lock["Rule"]["DefaultRetention"]
    assert (retention["Mode"], retention["Days"]) == ("GOVERNANCE", 30)


def test_the_key_is_found_by_its_alias_and_rotated(made: Made) -> None:
    kms = client("kms")
    key = kms.describe_key(KeyId="alias/reviewapp")["KeyMetadata"]
    assert key["Arn"] == made.key
    assert kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is True


def test_repositories_take_their_lifecycle() -> None:
    found, _ = declared(PLATFORM.model_copy(update={"repositories": ("acme/shop",)}))
    with mock_aws():
        ecr = client("ecr")
        inputs = found["Repository", "acme/shop"].inputs
        ecr.create_repository(
            repositoryName=inputs["name"], imageScanningConfiguration=inputs["imageScanningConfiguration"]
        )
        policy = found["LifecyclePolicy", "acme/shop"].inputs["policy"]
        ecr.put_lifecycle_policy(repositoryName=inputs["name"], lifecyclePolicyText=policy)
        answer = ecr.get_lifecycle_policy(repositoryName=inputs["name"])["lifecyclePolicyText"]
        assert json.loads(answer) == policies.image_lifecycle(100)
