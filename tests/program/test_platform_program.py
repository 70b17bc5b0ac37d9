"""What the platform's program declares, each argument held against the signatures of AWS's SDK.

The provider's schema is in no package; the SDK is generated from it, with the same names and types.
"""

# The SDK's internals carry hardly any types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import importlib
import inspect
import json
from collections import Counter
from typing import Any, get_args

import pytest
from pulumi import _types  # pyright: ignore[reportPrivateUsage] - where the SDK keeps its properties' names and types.

from provisioner.app_role import app_role
from stacks import naming
from stacks import platform_policies as policies
from stacks import role as roles
from stacks.platform import declare
from stacks.platform_inputs import PlatformInputs
from tests import iam, samples
from tests.program.recording import Registration, run_all

ACCOUNT = "123456789012"
LEAST = PlatformInputs(account=ACCOUNT, region="eu-central-1")
WHOLE = PlatformInputs(
    account=ACCOUNT,
    region="eu-central-1",
    name="apps",
    object_lock_days=30,
    repositories=("acme/shop", "Acme/Site_2"),
    uploaders=("acme/shop",),
    cluster="main",
)
WITH_APPS = WHOLE.model_copy(update={"app_data_days": 30})
IRSA = WITH_APPS.model_copy(update={"cluster_issuer": "oidc.eks.eu-central-1.amazonaws.com/id/ABC"})
CHINA = PlatformInputs(account=ACCOUNT, region="cn-north-1", repositories=("acme/shop",), cluster="main")
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/ours"

Registered = dict[tuple[str, str], Registration]


def computed(kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """What AWS would answer, as far as the program reads it."""
    short = kind.rpartition(":")[2]
    if short == "Key":
        return {"arn": KEY, "keyId": "ours"}
    if short == "Bucket":
        return {"arn": f"arn:aws:s3:::{inputs['bucket']}"}
    return {"arn": f"arn:aws:iam::{ACCOUNT}:{short.lower()}/{inputs.get('name', name)}"}


def declared(platform: PlatformInputs) -> tuple[Registered, dict[str, Any]]:
    registrations, outputs = run_all(lambda: declare(platform), computed=computed)
    return {(found.kind.rpartition(":")[2], found.name): found for found in registrations}, outputs


def arguments_class(kind: str) -> type:
    """Return the SDK's class of a resource's arguments."""
    if kind == "pulumi:providers:aws":
        return importlib.import_module("pulumi_aws").ProviderArgs
    module, short = kind.split(":")[1].partition("/")[0], kind.rpartition(":")[2]
    sdk = importlib.import_module(f"pulumi_aws.{module}")
    return getattr(sdk, f"{short}InitArgs", None) or getattr(sdk, f"{short}Args")


def decoded(value: str) -> Any:
    """Return what a provider's input was: all but texts goes to it as JSON."""
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def wrong(value: Any, expected: Any, where: str) -> list[str]:
    """Return what the SDK's signature does not take, and what it asks for and is not there."""
    if isinstance(value, dict) and isinstance(expected, type) and _types.is_input_type(expected):
        types: dict[str, Any] = _types.input_type_types(expected)
        names = _types.input_type_py_to_pulumi_names(expected)
        parameters = inspect.signature(expected.__init__).parameters.values()
        missing = [
            f"{where}.{names[p.name]}: is missing"
            for p in parameters
            if p.name in names and p.default is inspect.Parameter.empty and names[p.name] not in value
        ]
        unknown = [f"{where}.{name}: is no argument" for name in value if name not in types]
        below = [wrong(part, types[name], f"{where}.{name}") for name, part in value.items() if name in types]
        return [*missing, *unknown, *(found for each in below for found in each)]
    if isinstance(value, list):
        # Sequence[X | Awaitable[X] | Output[X]]
        inner: Any = get_args(get_args(_types.unwrap_optional_type(expected))[0])[0]
        return [found for number, part in enumerate(value) for found in wrong(part, inner, f"{where}[{number}]")]
    plain: Any = _types.unwrap_optional_type(expected)
    if plain in (bool, int, str):
        # Numbers come out of a Struct as floats.
        actual: Any = int if isinstance(value, float) and value.is_integer() else type(value)
        return [] if actual is plain else [f"{where}: {value!r} is no {plain.__name__}"]
    return [] if isinstance(value, str | dict) else [f"{where}: {value!r} is no {expected}"]


@pytest.mark.parametrize(
    "platform", [LEAST, WHOLE, WITH_APPS, IRSA, CHINA], ids=["least", "whole", "apps", "irsa", "china"]
)
def test_every_argument_is_one_of_the_sdks(platform: PlatformInputs) -> None:
    registered, _ = declared(platform)
    found: list[str] = []
    for registration in registered.values():
        inputs = registration.inputs
        if registration.kind == "pulumi:providers:aws":
            inputs = {name: decoded(value) for name, value in inputs.items()}
        found += wrong(inputs, arguments_class(registration.kind), f"{registration.kind} {registration.name}")
    assert found == []


def test_what_does_not_fit_the_sdk_is_found() -> None:
    kind = arguments_class("aws:s3/bucketVersioning:BucketVersioning")
    assert wrong({"bucket": "a", "versioning": {}}, kind, "v") == [
        "v.versioningConfiguration: is missing",
        "v.versioning: is no argument",
    ]
    assert wrong({"bucket": 1.0, "versioningConfiguration": {"state": "Enabled"}}, kind, "v") == [
        "v.bucket: 1.0 is no str",
        "v.versioningConfiguration.status: is missing",
        "v.versioningConfiguration.state: is no argument",
    ]
    rules = arguments_class("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    value: dict[str, Any] = {"bucket": "a", "rules": [{"id": "a", "status": "b", "expiration": {"days": "1"}}]}
    assert wrong(value, rules, "l") == ["l.rules[0].expiration.days: '1' is no int"]


@pytest.mark.parametrize("use", ["tarballs", "state"])
def test_buckets_are_private_encrypted_versioned_and_reached_by_tls_alone(use: str) -> None:
    registered, _ = declared(WHOLE)
    name = f"apps-{use}-{ACCOUNT}-eu-central-1"
    assert registered["Bucket", use].inputs["bucket"] == name
    parts = [found for (kind, of), found in registered.items() if of == use and kind.startswith("Bucket")]
    assert {found.inputs["bucket"] for found in parts} == {name, f"id-of-{use}"}
    block = registered["BucketPublicAccessBlock", use].inputs
    assert {key: value for key, value in block.items() if key != "bucket"} == dict.fromkeys(
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
    )
    assert registered["BucketOwnershipControls", use].inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    (rule,) = registered["BucketServerSideEncryptionConfiguration", use].inputs["rules"]
    assert rule == {
        "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY},
        "bucketKeyEnabled": True,
    }
    versioning = registered["BucketVersioning", use].inputs["versioningConfiguration"]
    assert versioning == {"status": "Enabled"}
    policy = json.loads(registered["BucketPolicy", use].inputs["policy"])
    assert policy == policies.tls_only(f"arn:aws:s3:::{name}")


def test_tarballs_expire_and_the_state_does_not() -> None:
    registered, _ = declared(WHOLE)
    leftovers, expired = registered["BucketLifecycleConfiguration", "tarballs"].inputs["rules"]
    assert (expired["filter"], expired["expiration"], expired["status"]) == (
        {"prefix": "uploads/"},
        {"days": 14},
        "Enabled",
    )
    assert leftovers["noncurrentVersionExpiration"] == {"noncurrentDays": 1}
    (kept,) = registered["BucketLifecycleConfiguration", "state"].inputs["rules"]
    assert kept["expiration"] == {"expiredObjectDeleteMarker": True}
    assert kept["noncurrentVersionExpiration"] == {"noncurrentDays": 90}


def test_no_bucket_answers_a_browser_or_a_stranger() -> None:
    kinds = {kind for kind, _ in declared(WHOLE)[0]}
    assert not {kind for kind in kinds if "Cors" in kind or "Acl" in kind or "Website" in kind}
    for use in ("tarballs", "state"):
        assert declared(WHOLE)[0]["Bucket", use].inputs.keys() == {"bucket", "forceDestroy", "objectLockEnabled"}


def test_object_lock_is_the_states_alone_and_only_where_asked_for() -> None:
    registered, _ = declared(WHOLE)
    lock = registered["BucketObjectLockConfiguration", "state"].inputs
    assert lock["rule"] == {"defaultRetention": {"mode": "GOVERNANCE", "days": 30}}
    assert registered["Bucket", "state"].inputs["objectLockEnabled"] is True
    assert registered["Bucket", "tarballs"].inputs["objectLockEnabled"] is False
    least, _ = declared(LEAST)
    assert ("BucketObjectLockConfiguration", "state") not in least
    assert least["Bucket", "state"].inputs["objectLockEnabled"] is False


def test_the_key_is_rotated_and_only_the_account_decides() -> None:
    registered, _ = declared(WHOLE)
    key = registered["Key", "key"].inputs
    assert (key["enableKeyRotation"], key["deletionWindowInDays"]) == (True, 30)
    assert json.loads(key["policy"]) == policies.key_policy(WHOLE)
    assert registered["Alias", "key"].inputs == {"name": "alias/apps", "targetKeyId": "ours"}


def test_a_destroy_leaves_the_key_and_the_whole_of_the_states_bucket() -> None:
    registered, _ = declared(WHOLE)
    protected = {key for key, found in registered.items() if found.protected}
    state = {(kind, name) for kind, name in registered if name == "state"}
    assert len(state) == 8
    assert protected == {("aws", "aws"), ("Key", "key"), ("Alias", "key"), *state}


def test_another_account_is_refused_and_everything_is_tagged(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "a credential")
    provider = declared(WHOLE)[0]["aws", "aws"].inputs
    assert json.loads(provider["allowedAccountIds"]) == [ACCOUNT]
    assert json.loads(provider["defaultTags"]) == {"tags": {"reviewapp": "apps"}}
    assert provider["region"] == "eu-central-1"
    # The state has it as it is.
    assert "a credential" not in str(provider)


def test_the_repositories_are_where_images_are_pushed() -> None:
    registered, outputs = declared(WHOLE)
    repositories = {name: found.inputs for (kind, name), found in registered.items() if kind == "Repository"}
    assert [f"{WHOLE.registry}/{name}:cache" for name in repositories] == [
        naming.cache_reference(WHOLE.registry, "acme", "shop"),
        naming.cache_reference(WHOLE.registry, "Acme", "Site_2"),
    ]
    for name, inputs in repositories.items():
        assert inputs["name"] == name
        assert inputs["imageScanningConfiguration"] == {"scanOnPush": True}
        lifecycle = registered["LifecyclePolicy", name].inputs
        assert lifecycle["repository"] == name
        assert json.loads(lifecycle["policy"]) == policies.image_lifecycle(100)
    assert outputs["registry"] == f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com"
    assert json.loads(registered["Policy", "pusher"].inputs["policy"]) == policies.push(WHOLE)


def test_each_role_has_its_own_policy_and_no_other() -> None:
    registered, _ = declared(WHOLE)
    tarballs, state = (f"arn:aws:s3:::apps-{use}-{ACCOUNT}-eu-central-1" for use in ("tarballs", "state"))
    expected = {
        "uploader": (policies.trust_github(WHOLE), policies.upload(WHOLE, tarballs, KEY)),
        "reader": (
            policies.trust_pods(WHOLE, "reviewapp-builds", "default"),
            policies.read(WHOLE, tarballs, KEY),
        ),
        "watcher": (policies.trust_pods(WHOLE, "reviewapp-system", "reviewapp"), policies.state(WHOLE, state, KEY)),
    }
    for use, (trust, policy) in expected.items():
        assert json.loads(registered["Role", use].inputs["assumeRolePolicy"]) == trust
        assert json.loads(registered["Policy", use].inputs["policy"]) == policy
        assert registered["RolePolicyAttachment", use].inputs == {
            "role": f"apps-{use}",
            "policyArn": f"arn:aws:iam::{ACCOUNT}:policy/apps-{use}",
        }
    kinds = Counter(kind for kind, _ in registered)
    assert (kinds["Role"], kinds["RolePolicyAttachment"], kinds["Policy"]) == (3, 3, 4)


def test_pod_identity_is_told_whose_pods_they_are_and_irsa_needs_no_telling() -> None:
    registered, _ = declared(WHOLE)
    assert registered["PodIdentityAssociation", "reader"].inputs == {
        "clusterName": "main",
        "namespace": "reviewapp-builds",
        "serviceAccount": "default",
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/apps-reader",
    }
    irsa, _ = declared(IRSA)
    assert not [kind for kind, _ in irsa if kind == "PodIdentityAssociation"]
    trust = json.loads(irsa["Role", "watcher"].inputs["assumeRolePolicy"])
    assert trust == policies.trust_pods(IRSA, "reviewapp-system", "reviewapp")


class TestDataOfApps:
    ARN = f"arn:aws:s3:::apps-apps-{ACCOUNT}-eu-central-1"
    BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/apps-app-boundary"

    def test_by_default_there_is_none(self) -> None:
        registered, outputs = declared(WHOLE)
        assert not {name for _, name in registered if name in {"apps", "app-boundary", "app-roles"}}
        assert not {name for name in outputs if name.startswith("aws_")}

    def test_their_bucket_is_closed_as_the_others_are_and_takes_no_right_to_a_key(self) -> None:
        registered, _ = declared(WITH_APPS)
        kinds = {kind for kind, name in registered if name == "tarballs"}
        assert {kind for kind, name in registered if name == "apps"} == kinds
        (rule,) = registered["BucketServerSideEncryptionConfiguration", "apps"].inputs["rules"]
        assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}
        block = registered["BucketPublicAccessBlock", "apps"].inputs
        assert {value for name, value in block.items() if name != "bucket"} == {True}
        assert json.loads(registered["BucketPolicy", "apps"].inputs["policy"]) == policies.tls_only(self.ARN)

    def test_what_apps_leave_behind_goes_by_itself(self) -> None:
        _, expired = declared(WITH_APPS)[0]["BucketLifecycleConfiguration", "apps"].inputs["rules"]
        assert (expired["filter"], expired["expiration"]) == ({"prefix": "apps/"}, {"days": 30})

    def test_the_watcher_makes_roles_within_a_boundary_and_nobody_else_does(self) -> None:
        registered, _ = declared(WITH_APPS)
        boundary, roles = (registered["Policy", name].inputs for name in ("app-boundary", "app-roles"))
        assert (boundary["name"], roles["name"]) == ("apps-app-boundary", "apps-app-roles")
        assert json.loads(boundary["policy"]) == policies.app_boundary(self.ARN)
        assert json.loads(roles["policy"]) == policies.app_roles(WITH_APPS, self.BOUNDARY)
        attachments = [found.inputs for (kind, _), found in registered.items() if kind == "RolePolicyAttachment"]
        arn = f"arn:aws:iam::{ACCOUNT}:policy/apps-app-roles"
        assert [found["role"] for found in attachments if found["policyArn"] == arn] == ["apps-watcher"]

    def test_the_outputs_are_the_watchers_settings(self) -> None:
        _, outputs = declared(WITH_APPS)
        given = {name: value for name, value in outputs.items() if name.startswith("aws_")}
        settings = samples.settings(**given)
        assert given == {
            "aws_bucket": f"apps-apps-{ACCOUNT}-eu-central-1",
            "aws_cluster_arn": f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/main",
            "aws_permissions_boundary": self.BOUNDARY,
            "aws_role_path": "/apps/",
        }
        role = app_role("acme.shop.42", settings)
        assert role
        within = {"iam:PermissionsBoundary": role.permissions_boundary}
        allowed = policies.app_roles(WITH_APPS, self.BOUNDARY)
        assert iam.decide([allowed], "iam:CreateRole", roles.arn(role), within) == "allowed"
        found = f"{self.ARN}/{role.prefix}a"
        both = (roles.policy(role), policies.app_boundary(self.ARN))
        assert {iam.decide([policy], "s3:PutObject", found) for policy in both} == {"allowed"}


def test_the_least_has_policies_to_attach_and_no_role() -> None:
    registered, outputs = declared(LEAST)
    kinds = Counter(kind for kind, _ in registered)
    assert (kinds["Role"], kinds["Repository"], kinds["Policy"]) == (0, 0, 3)
    assert outputs == {
        "uploader_policy_arn": f"arn:aws:iam::{ACCOUNT}:policy/reviewapp-uploader",
        "reader_policy_arn": f"arn:aws:iam::{ACCOUNT}:policy/reviewapp-reader",
        "watcher_policy_arn": f"arn:aws:iam::{ACCOUNT}:policy/reviewapp-watcher",
        "tarball_bucket": f"reviewapp-tarballs-{ACCOUNT}-eu-central-1",
        "tarball_address": f"s3://reviewapp-tarballs-{ACCOUNT}-eu-central-1/uploads",
        "backend_url": f"s3://reviewapp-state-{ACCOUNT}-eu-central-1?region=eu-central-1",
        "secrets_provider": "awskms://alias/reviewapp?region=eu-central-1",
    }


def test_china_is_a_partition_of_its_own() -> None:
    registered, outputs = declared(CHINA)
    assert outputs["registry"] == f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn"
    key = json.loads(registered["Key", "key"].inputs["policy"])
    assert key["Statement"][0]["Principal"] == {"AWS": f"arn:aws-cn:iam::{ACCOUNT}:root"}
