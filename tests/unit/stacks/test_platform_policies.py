"""Every statement of the platform's policies: what it lets through, and what it does not."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult
from pydantic import ValidationError

from stacks import platform_policies as policies
from stacks.iam_documents import Policy, as_json
from stacks.platform_inputs import PlatformInputs
from stacks.role import objects_below
from tests.iam import Context, decide

ACCOUNT = "123456789012"
PLATFORM = PlatformInputs(account=ACCOUNT, region="eu-central-1", cluster="main", uploaders=("acme/shop", "acme/site"))
IRSA = PLATFORM.model_copy(update={"cluster_issuer": "oidc.eks.eu-central-1.amazonaws.com/id/ABC"})
TARBALLS = "arn:aws:s3:::tarballs"
STATE = "arn:aws:s3:::state"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/ours"
OTHER_KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/other"
OBJECT = f"{TARBALLS}/uploads/acme-shop-8a1f0e3c.tar.gz"
REPOSITORY = f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository/acme/shop"

UPLOAD = policies.upload(PLATFORM, TARBALLS, KEY)
READ = policies.read(PLATFORM, TARBALLS, KEY)
WATCH = policies.state(PLATFORM, STATE, KEY)
PUSH = policies.push(PLATFORM)
APPS = "arn:aws:s3:::apps"
BOUNDARY_ARN = f"arn:aws:iam::{ACCOUNT}:policy/reviewapp-app-boundary"
BOUNDARY = policies.app_boundary(APPS)
ROLES = policies.app_roles(PLATFORM, BOUNDARY_ARN)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/reviewapp/acme.shop.42-0123456789abcdef"
WATCHERS = f"arn:aws:iam::{ACCOUNT}:role/reviewapp-watcher"
WITHIN: Context = {"iam:PermissionsBoundary": BOUNDARY_ARN}
TO_PODS: Context = {"iam:PassedToService": "pods.eks.amazonaws.com"}
CLUSTER = f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/main"
ASSOCIATION = f"arn:aws:eks:eu-central-1:{ACCOUNT}:podidentityassociation/main/a-1"
OURS: Context = {"aws:ResourceTag/reviewapp": "reviewapp"}


def by_s3(arn: str, service: str = "s3.eu-central-1.amazonaws.com") -> Context:
    return {"kms:ViaService": service, "kms:EncryptionContext:aws:s3:arn": arn}


# Policy, action, resource, context, whether it is allowed.
CASES: list[tuple[str, Policy, str, str, Context, bool]] = [
    ("puts a tarball", UPLOAD, "s3:PutObject", OBJECT, {}, True),
    ("reads none, not its own", UPLOAD, "s3:GetObject", OBJECT, {}, False),
    ("no older version", UPLOAD, "s3:GetObjectVersion", OBJECT, {}, False),
    ("deletes none", UPLOAD, "s3:DeleteObject", OBJECT, {}, False),
    ("opens none to others", UPLOAD, "s3:PutObjectAcl", OBJECT, {}, False),
    ("tags none", UPLOAD, "s3:PutObjectTagging", OBJECT, {}, False),
    ("lists none", UPLOAD, "s3:ListBucket", TARBALLS, {}, False),
    ("puts beside the prefix", UPLOAD, "s3:PutObject", f"{TARBALLS}/other/a", {}, False),
    ("puts what begins alike", UPLOAD, "s3:PutObject", f"{TARBALLS}/uploads-not/a", {}, False),
    ("puts into another bucket", UPLOAD, "s3:PutObject", f"{STATE}/uploads/a", {}, False),
    ("puts into one that begins alike", UPLOAD, "s3:PutObject", f"{TARBALLS}-2/uploads/a", {}, False),
    ("changes the bucket's policy", UPLOAD, "s3:PutBucketPolicy", TARBALLS, {}, False),
    ("S3 makes a data key for it", UPLOAD, "kms:GenerateDataKey", KEY, by_s3(TARBALLS), True),
    ("S3 puts parts together", UPLOAD, "kms:Decrypt", KEY, by_s3(OBJECT), True),
    ("by hand", UPLOAD, "kms:Decrypt", KEY, {}, False),
    ("by hand with the context", UPLOAD, "kms:Decrypt", KEY, {"kms:EncryptionContext:aws:s3:arn": TARBALLS}, False),
    ("of the state", UPLOAD, "kms:Decrypt", KEY, by_s3(STATE), False),
    ("S3 elsewhere", UPLOAD, "kms:Decrypt", KEY, by_s3(TARBALLS, "s3.us-east-1.amazonaws.com"), False),
    ("another service", UPLOAD, "kms:Decrypt", KEY, by_s3(TARBALLS, "ec2.eu-central-1.amazonaws.com"), False),
    ("another key", UPLOAD, "kms:GenerateDataKey", OTHER_KEY, by_s3(TARBALLS), False),
    ("deletes the key", UPLOAD, "kms:ScheduleKeyDeletion", KEY, by_s3(TARBALLS), False),
    ("takes a role", UPLOAD, "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/any", {}, False),
    ("reads a tarball", READ, "s3:GetObject", OBJECT, {}, True),
    ("reads beside the prefix", READ, "s3:GetObject", f"{TARBALLS}/other/a", {}, False),
    ("reads the state", READ, "s3:GetObject", f"{STATE}/uploads/a", {}, False),
    ("puts none", READ, "s3:PutObject", OBJECT, {}, False),
    ("deletes none", READ, "s3:DeleteObject", OBJECT, {}, False),
    ("lists none", READ, "s3:ListBucket", TARBALLS, {}, False),
    ("S3 decrypts for it", READ, "kms:Decrypt", KEY, by_s3(TARBALLS), True),
    ("encrypts nothing", READ, "kms:GenerateDataKey", KEY, by_s3(TARBALLS), False),
    ("by hand", READ, "kms:Decrypt", KEY, {}, False),
    ("of the state", READ, "kms:Decrypt", KEY, by_s3(STATE), False),
    ("another key", READ, "kms:Decrypt", OTHER_KEY, by_s3(TARBALLS), False),
    ("lists the state", WATCH, "s3:ListBucket", STATE, {}, True),
    ("lists tarballs", WATCH, "s3:ListBucket", TARBALLS, {}, False),
    ("lists old versions", WATCH, "s3:ListBucketVersions", STATE, {}, False),
    ("reads the state", WATCH, "s3:GetObject", f"{STATE}/.pulumi/stacks/a.json", {}, True),
    ("writes the state", WATCH, "s3:PutObject", f"{STATE}/.pulumi/stacks/a.json", {}, True),
    ("takes a lock away", WATCH, "s3:DeleteObject", f"{STATE}/.pulumi/locks/a.json", {}, True),
    ("deletes old versions", WATCH, "s3:DeleteObjectVersion", f"{STATE}/.pulumi/stacks/a.json", {}, False),
    ("past the object lock", WATCH, "s3:BypassGovernanceRetention", f"{STATE}/a", {}, False),
    ("reads tarballs", WATCH, "s3:GetObject", OBJECT, {}, False),
    ("writes tarballs", WATCH, "s3:PutObject", OBJECT, {}, False),
    ("deletes the bucket", WATCH, "s3:DeleteBucket", STATE, {}, False),
    ("ends the versions", WATCH, "s3:PutBucketVersioning", STATE, {}, False),
    ("S3 encrypts for it", WATCH, "kms:GenerateDataKey", KEY, by_s3(STATE), True),
    ("S3 decrypts for it", WATCH, "kms:Decrypt", KEY, by_s3(STATE), True),
    ("S3 decrypts tarballs", WATCH, "kms:Decrypt", KEY, by_s3(TARBALLS), False),
    ("encrypts secrets", WATCH, "kms:Encrypt", KEY, {}, True),
    ("decrypts secrets", WATCH, "kms:Decrypt", KEY, {}, True),
    ("makes data keys by hand", WATCH, "kms:GenerateDataKey", KEY, {}, False),
    ("another key", WATCH, "kms:Decrypt", OTHER_KEY, {}, False),
    ("gives the key away", WATCH, "kms:CreateGrant", KEY, {}, False),
    ("deletes the key", WATCH, "kms:ScheduleKeyDeletion", KEY, {}, False),
    ("changes the key's policy", WATCH, "kms:PutKeyPolicy", KEY, {}, False),
    ("logs in", PUSH, "ecr:GetAuthorizationToken", "*", {}, True),
    *(
        (action, PUSH, f"ecr:{action}", REPOSITORY, OURS, True)
        for action in ("PutImage", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "BatchGetImage")
    ),
    ("sees layers", PUSH, "ecr:BatchCheckLayerAvailability", REPOSITORY, OURS, True),
    ("pulls layers", PUSH, "ecr:GetDownloadUrlForLayer", REPOSITORY, OURS, True),
    ("pushes elsewhere", PUSH, "ecr:PutImage", REPOSITORY, {}, False),
    ("pushes to another platform", PUSH, "ecr:PutImage", REPOSITORY, {"aws:ResourceTag/reviewapp": "other"}, False),
    ("pushes in another region", PUSH, "ecr:PutImage", REPOSITORY.replace("eu-central", "us-east"), OURS, False),
    ("deletes images", PUSH, "ecr:BatchDeleteImage", REPOSITORY, OURS, False),
    ("deletes the repository", PUSH, "ecr:DeleteRepository", REPOSITORY, OURS, False),
    ("opens the repository", PUSH, "ecr:SetRepositoryPolicy", REPOSITORY, OURS, False),
    ("makes repositories", PUSH, "ecr:CreateRepository", REPOSITORY, OURS, False),
    ("makes a role within the boundary", ROLES, "iam:CreateRole", ROLE, WITHIN, True),
    ("makes one without", ROLES, "iam:CreateRole", ROLE, {}, False),
    (
        "makes one within another",
        ROLES,
        "iam:CreateRole",
        ROLE,
        {"iam:PermissionsBoundary": f"{BOUNDARY_ARN}-2"},
        False,
    ),
    ("makes one beside the path", ROLES, "iam:CreateRole", WATCHERS, WITHIN, False),
    (
        "makes one of a path that begins alike",
        ROLES,
        "iam:CreateRole",
        ROLE.replace("role/reviewapp/", "role/reviewapp-2/"),
        WITHIN,
        False,
    ),
    ("makes one in another account", ROLES, "iam:CreateRole", ROLE.replace(ACCOUNT, "210987654321"), WITHIN, False),
    ("takes the boundary off", ROLES, "iam:DeleteRolePermissionsBoundary", ROLE, WITHIN, False),
    ("puts another on", ROLES, "iam:PutRolePermissionsBoundary", ROLE, WITHIN, False),
    ("changes the boundary", ROLES, "iam:CreatePolicyVersion", BOUNDARY_ARN, {}, False),
    ("writes a role's policy", ROLES, "iam:PutRolePolicy", ROLE, WITHIN, True),
    ("writes that of one without", ROLES, "iam:PutRolePolicy", ROLE, {}, False),
    ("writes its own", ROLES, "iam:PutRolePolicy", WATCHERS, {}, False),
    ("writes its own within", ROLES, "iam:PutRolePolicy", WATCHERS, WITHIN, False),
    ("deletes a role's policy", ROLES, "iam:DeleteRolePolicy", ROLE, WITHIN, True),
    ("deletes that of one without", ROLES, "iam:DeleteRolePolicy", ROLE, {}, False),
    ("attaches what others have written", ROLES, "iam:AttachRolePolicy", ROLE, WITHIN, False),
    *(
        (action, ROLES, f"iam:{action}", ROLE, {}, True)
        for action in (
            *("DeleteRole", "GetRole", "GetRolePolicy", "ListAttachedRolePolicies", "ListInstanceProfilesForRole"),
            *("ListRolePolicies", "UpdateAssumeRolePolicy"),
        )
    ),
    ("deletes another's", ROLES, "iam:DeleteRole", WATCHERS, {}, False),
    ("has itself trusted by others", ROLES, "iam:UpdateAssumeRolePolicy", WATCHERS, {}, False),
    ("sees which there are", ROLES, "iam:ListRoles", "*", {}, True),
    ("sees users", ROLES, "iam:ListUsers", "*", {}, False),
    ("takes an app's role", ROLES, "sts:AssumeRole", ROLE, {}, False),
    ("hands one to Pods", ROLES, "iam:PassRole", ROLE, TO_PODS, True),
    ("hands one to a machine", ROLES, "iam:PassRole", ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}, False),
    ("hands one to nobody says whom", ROLES, "iam:PassRole", ROLE, {}, False),
    ("hands its own to Pods", ROLES, "iam:PassRole", WATCHERS, TO_PODS, False),
    ("associates", ROLES, "eks:CreatePodIdentityAssociation", CLUSTER, {}, True),
    ("associates elsewhere", ROLES, "eks:CreatePodIdentityAssociation", f"{CLUSTER}-2", {}, False),
    ("lists associations", ROLES, "eks:ListPodIdentityAssociations", CLUSTER, {}, True),
    *(
        (action, ROLES, f"eks:{action}PodIdentityAssociation", ASSOCIATION, {}, True)
        for action in ("Delete", "Describe", "Update")
    ),
    (
        "ends one elsewhere",
        ROLES,
        "eks:DeletePodIdentityAssociation",
        ASSOCIATION.replace("/main/", "/main-2/"),
        {},
        False,
    ),
    ("changes the cluster", ROLES, "eks:UpdateClusterConfig", CLUSTER, {}, False),
    ("lets somebody into it", ROLES, "eks:CreateAccessEntry", CLUSTER, {}, False),
    ("reads objects of apps", ROLES, "s3:GetObject", f"{APPS}/apps/acme.shop.42/a", {}, False),
]


@pytest.mark.parametrize(
    ("policy", "action", "resource", "context", "allowed"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_what_a_role_may(policy: Policy, action: str, resource: str, context: Context, allowed: bool) -> None:
    assert decide([policy], action, resource, context) == ("allowed" if allowed else "nothing")


@pytest.mark.parametrize("policy", [UPLOAD, READ, WATCH, PUSH, ROLES])
def test_each_statement_allows_something_that_no_other_does(policy: Policy) -> None:
    """So no case above is allowed by chance, and no statement is one too many."""
    for statement in policy["Statement"]:
        without = policy | {"Statement": [other for other in policy["Statement"] if other is not statement]}
        assert any(
            allowed and case is policy and decide([without], action, resource, context) == "nothing"
            for _, case, action, resource, context, allowed in CASES
        ), statement["Sid"]


def test_moto_decides_alike_where_there_is_no_condition() -> None:
    compared = 0
    for _, policy, action, resource, _, _ in CASES:
        plain = policy | {"Statement": [s for s in policy["Statement"] if "Condition" not in s]}
        document = IAMPolicy({"policy_document": json.dumps(plain)})
        permitted = document.is_action_permitted(action, resource) is PermissionResult.PERMITTED
        assert permitted == (decide([plain], action, resource) == "allowed"), (action, resource)
        compared += 1
    assert compared == len(CASES)


class TestTheBoundaryOfApps:
    """What a role may is what its policy and its boundary both allow."""

    EVERYTHING: ClassVar[Policy] = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    OWN = objects_below(APPS, "apps/acme.shop.42/")

    def may(self, policy: Policy, action: str, resource: str, **context: str) -> bool:
        named = {key.replace("_", ":"): value for key, value in context.items()}
        return all(decide([each], action, resource, named) == "allowed" for each in (policy, BOUNDARY))

    @pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"])
    def test_a_role_that_were_given_everything_reaches_objects_of_apps_alone(self, action: str) -> None:
        assert self.may(self.EVERYTHING, action, f"{APPS}/apps/acme.shop.42/a")
        for resource in (f"{APPS}/other/a", f"{APPS}/apps", f"{APPS}-2/apps/a", f"{TARBALLS}/uploads/a", f"{STATE}/a"):
            assert not self.may(self.EVERYTHING, action, resource)

    @pytest.mark.parametrize(
        ("action", "resource"),
        [
            ("iam:CreateRole", ROLE),
            ("iam:PutRolePolicy", ROLE),
            ("iam:DeleteRolePermissionsBoundary", ROLE),
            ("sts:AssumeRole", WATCHERS),
            ("kms:Decrypt", KEY),
            ("eks:CreatePodIdentityAssociation", CLUSTER),
            ("s3:PutBucketPolicy", APPS),
            ("s3:DeleteBucket", APPS),
            ("s3:PutObjectAcl", f"{APPS}/apps/acme.shop.42/a"),
            ("ec2:RunInstances", "*"),
        ],
    )
    def test_and_does_nothing_else(self, action: str, resource: str) -> None:
        assert not self.may(self.EVERYTHING, action, resource)

    def test_it_lists_apps_and_not_the_whole_bucket(self) -> None:
        assert self.may(self.EVERYTHING, "s3:ListBucket", APPS, s3_prefix="apps/acme.shop.42/")
        assert not self.may(self.EVERYTHING, "s3:ListBucket", APPS)
        assert not self.may(self.EVERYTHING, "s3:ListBucket", APPS, s3_prefix="other/")

    def test_it_takes_nothing_from_an_apps_own_policy(self) -> None:
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
            assert self.may(self.OWN, action, f"{APPS}/apps/acme.shop.42/a")
            assert not self.may(self.OWN, action, f"{APPS}/apps/acme.shop.420/a")
        assert self.may(self.OWN, "s3:ListBucket", APPS, s3_prefix="apps/acme.shop.42/a")

    def test_by_irsa_nobody_hands_a_role_to_anybody(self) -> None:
        roles = policies.app_roles(IRSA, BOUNDARY_ARN)
        assert decide([roles], "iam:CreateRole", ROLE, WITHIN) == "allowed"
        assert "PassRole" not in str(roles)
        assert "eks:" not in str(roles)


class TestWithoutTls:
    POLICY = policies.tls_only(TARBALLS)

    @pytest.mark.parametrize("resource", [TARBALLS, OBJECT])
    @pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteBucketPolicy"])
    def test_nobody_may_anything(self, action: str, resource: str) -> None:
        everything: Policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
        anybody = f"arn:aws:iam::{ACCOUNT}:role/admin"
        plain, tls = {"aws:SecureTransport": "false"}, {"aws:SecureTransport": "true"}
        assert decide([everything, self.POLICY], action, resource, plain, anybody) == "denied"
        assert decide([everything, self.POLICY], action, resource, tls, anybody) == "allowed"

    def test_with_tls_the_bucket_lets_nobody_in_by_itself(self) -> None:
        found = decide([self.POLICY], "s3:GetObject", OBJECT, {"aws:SecureTransport": "true"}, "anybody")
        assert found == "nothing"

    def test_another_bucket_is_not_its_own(self) -> None:
        found = decide([self.POLICY], "s3:GetObject", f"{TARBALLS}-2/a", {"aws:SecureTransport": "false"}, "anybody")
        assert found == "nothing"


class TestTheKey:
    POLICY = policies.key_policy(PLATFORM)

    def test_the_accounts_own_policies_decide(self) -> None:
        assert decide([self.POLICY], "kms:PutKeyPolicy", KEY, {}, f"arn:aws:iam::{ACCOUNT}:root") == "allowed"

    @pytest.mark.parametrize("principal", ["arn:aws:iam::210987654321:root", "*", "s3.amazonaws.com"])
    def test_nobody_else_may_anything(self, principal: str) -> None:
        assert decide([self.POLICY], "kms:Decrypt", KEY, {}, principal) == "nothing"


class TestWhoTakesARole:
    def pod_identity(self, **changes: str) -> Context:
        tags = {
            "eks-cluster-arn": f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/main",
            "kubernetes-namespace": "builds",
            "kubernetes-service-account": "fetch",
        }
        return {f"aws:RequestTag/{name}": value for name, value in (tags | changes).items()}

    @pytest.mark.parametrize("action", ["sts:AssumeRole", "sts:TagSession"])
    def test_pods_by_their_service_account(self, action: str) -> None:
        policy, service = policies.trust_pods(PLATFORM, "builds", "fetch"), "pods.eks.amazonaws.com"
        assert decide([policy], action, "", self.pod_identity(), service) == "allowed"
        for changes in (
            {"eks-cluster-arn": f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/other"},
            {"kubernetes-namespace": "shop"},
            {"kubernetes-service-account": "default"},
        ):
            assert decide([policy], action, "", self.pod_identity(**changes), service) == "nothing"
        assert decide([policy], action, "", {}, service) == "nothing"
        assert decide([policy], action, "", self.pod_identity(), "ec2.amazonaws.com") == "nothing"

    def irsa(self, subject: str = "system:serviceaccount:builds:fetch", audience: str = "sts.amazonaws.com") -> Context:
        return {f"{IRSA.cluster_issuer}:sub": subject, f"{IRSA.cluster_issuer}:aud": audience}

    def test_pods_by_the_clusters_issuer(self) -> None:
        policy, action = policies.trust_pods(IRSA, "builds", "fetch"), "sts:AssumeRoleWithWebIdentity"
        provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{IRSA.cluster_issuer}"
        assert decide([policy], action, "", self.irsa(), provider) == "allowed"
        assert decide([policy], "sts:AssumeRole", "", self.irsa(), provider) == "nothing"
        assert decide([policy], action, "", self.irsa(), f"{provider}D") == "nothing"
        assert decide([policy], action, "", {}, provider) == "nothing"
        for subject in ("system:serviceaccount:builds:default", "system:serviceaccount:shop:fetch", "*"):
            assert decide([policy], action, "", self.irsa(subject), provider) == "nothing"
        assert decide([policy], action, "", self.irsa(audience="other"), provider) == "nothing"

    def github(self, subject: str, audience: str = "sts.amazonaws.com") -> Context:
        return {f"{policies.GITHUB}:sub": subject, f"{policies.GITHUB}:aud": audience}

    @pytest.mark.parametrize(
        ("subject", "decision"),
        [
            ("repo:acme/shop:pull_request", "allowed"),
            ("repo:acme/site:ref:refs/heads/main", "allowed"),
            ("repo:acme/shop-2:pull_request", "nothing"),
            ("repo:other/shop:pull_request", "nothing"),
            ("repo:acme/other:pull_request", "nothing"),
            ("prefix:repo:acme/shop:pull_request", "nothing"),
        ],
    )
    def test_workflows_of_github(self, subject: str, decision: str) -> None:
        policy, action = policies.trust_github(PLATFORM), "sts:AssumeRoleWithWebIdentity"
        provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{policies.GITHUB}"
        assert decide([policy], action, "", self.github(subject), provider) == decision
        assert decide([policy], action, "", self.github(subject, "other"), provider) == "nothing"
        assert decide([policy], action, "", self.github(subject), f"{provider}.example.com") == "nothing"
        assert decide([policy], "sts:AssumeRole", "", self.github(subject), provider) == "nothing"


@pytest.mark.parametrize("policy", [UPLOAD, READ, WATCH, BOUNDARY])
def test_nothing_is_given_by_a_pattern_of_actions(policy: Policy) -> None:
    for statement in policy["Statement"]:
        actions: Any = statement["Action"]
        assert "*" not in str(actions)
        assert statement["Resource"] != "*"


def test_no_policy_is_longer_than_iam_takes() -> None:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert all(len(as_json(policy)) <= 6144 for policy in (UPLOAD, READ, WATCH, PUSH, ROLES))
    many = tuple(f"acme/repository-{number:04}" for number in range(50))
    assert len(as_json(policies.trust_github(PLATFORM.model_copy(update={"uploaders": many})))) <= 2048
    PlatformInputs(account=ACCOUNT, region="eu-central-1", uploaders=many)
    with pytest.raises(ValidationError, match="name fewer"):
        PlatformInputs(account=ACCOUNT, region="eu-central-1", uploaders=(*many, *many))


def test_roles_for_apps_take_a_cluster() -> None:
    with pytest.raises(ValidationError, match="takes an EKS cluster"):
        PlatformInputs(account=ACCOUNT, region="eu-central-1", app_data_days=30)
