"""The policies of the platform, as JSON documents: who may do what with which of its parts.

Pure: ARNs in, documents out. tests/unit/stacks/test_platform_policies.py evaluates each statement.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

from typing import Any

from stacks import iam_documents as iam
from stacks.iam_documents import Policy
from stacks.platform_inputs import APP_PREFIX, PlatformInputs
from stacks.role import objects_below

TAG = "reviewapp"
"""Key of the tag that all that is made has; its value is the platform's name."""

GITHUB = "token.actions.githubusercontent.com"
"""The issuer of the tokens that GitHub's workflows have."""


def tls_only(bucket_arn: str) -> Policy:
    """Return a bucket's policy: nobody, whoever they are, without TLS."""
    return iam.policy(
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket_arn, f"{bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def key_policy(platform: PlatformInputs) -> Policy:
    """Return the key's policy: the account's IAM policies decide, and nobody of another account has any right.

    Without it, no policy could give a role the key, and nobody could change or delete it.
    """
    return iam.policy(
        {
            "Sid": "IamDecides",
            "Effect": "Allow",
            "Principal": {"AWS": platform.iam_arn("root")},
            "Action": "kms:*",
            "Resource": "*",
        }
    )


def upload(platform: PlatformInputs, bucket_arn: str, key_arn: str) -> Policy:
    """Return what who uploads tarballs may: put them below the prefix, and neither read, list nor delete any."""
    return iam.policy(
        {
            "Sid": "PutTarballs",
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn}/{platform.tarball_prefix}/*",
        },
        # S3 decrypts the data key again to put the parts of a large upload together:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
        _by_s3(platform, bucket_arn, key_arn, ["kms:GenerateDataKey", "kms:Decrypt"]),
    )


def read(platform: PlatformInputs, bucket_arn: str, key_arn: str) -> Policy:
    """Return what who fetches tarballs may: get those below the prefix whose keys they know."""
    return iam.policy(
        {
            "Sid": "GetTarballs",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"{bucket_arn}/{platform.tarball_prefix}/*",
        },
        _by_s3(platform, bucket_arn, key_arn, ["kms:Decrypt"]),
    )


def state(platform: PlatformInputs, bucket_arn: str, key_arn: str) -> Policy:
    """Return what the watcher may: keep Pulumi's state in its bucket, and its secrets by the key."""
    return iam.policy(
        {"Sid": "ListState", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket_arn},
        {
            "Sid": "KeepState",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": f"{bucket_arn}/*",
        },
        _by_s3(platform, bucket_arn, key_arn, ["kms:GenerateDataKey", "kms:Decrypt"]),
        {
            "Sid": "KeepSecrets",
            "Effect": "Allow",
            "Action": ["kms:Encrypt", "kms:Decrypt"],
            "Resource": key_arn,
            # Not by way of a service, which would do it for any bucket that the key encrypts.
            "Condition": {"Null": {"kms:ViaService": "true"}},
        },
    )


def push(platform: PlatformInputs) -> Policy:
    """Return what who builds may: push images to the platform's repositories, and pull what is there for the cache.

    Which those are, their tag says: a list of them would soon be longer than a policy may be.
    """
    return iam.policy(
        # AWS has no resource for it: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
        {"Sid": "LogIn", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
            "Sid": "PushAndPull",
            "Effect": "Allow",
            "Action": [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            "Resource": platform.arn("ecr", "repository/*"),
            "Condition": {"StringEquals": {f"aws:ResourceTag/{TAG}": platform.name}},
        },
    )


def app_boundary(bucket_arn: str) -> Policy:
    """Return the permissions boundary of apps' roles: whatever a role's own policy says, it reaches objects of apps."""
    return objects_below(bucket_arn, f"{APP_PREFIX}/")


def app_roles(platform: PlatformInputs, boundary_arn: str) -> Policy:
    """Return what the watcher may beside: make a role for each app, within the boundary, and give it to its Pods.

    Who may make roles could else give itself any right. What it may do with one is bounded by the path, by the boundary
    where IAM can ask for that, and by who it may be handed to.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate
    """
    roles = platform.iam_arn(f"role{platform.role_path}*")
    within = {"StringEquals": {"iam:PermissionsBoundary": boundary_arn}}
    statements: list[dict[str, Any]] = [
        # IAM has no resource for it: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
        {"Sid": "SeeWhichThereAre", "Effect": "Allow", "Action": "iam:ListRoles", "Resource": "*"},
        {
            "Sid": "MakeRolesWithinTheBoundary",
            "Effect": "Allow",
            "Action": ["iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy"],
            "Resource": roles,
            "Condition": within,
        },
        # What the provider asks before and after, and IAM knows no boundary of.
        {
            "Sid": "SeeChangeAndDeleteThem",
            "Effect": "Allow",
            "Action": [
                "iam:DeleteRole",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:ListRolePolicies",
                "iam:UpdateAssumeRolePolicy",
            ],
            "Resource": roles,
        },
    ]
    if not platform.cluster_issuer:
        statements += [
            {
                "Sid": "HandThemToPods",
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": roles,
                "Condition": {"StringEquals": {"iam:PassedToService": iam.PODS}},
            },
            {
                "Sid": "AssociateOnTheCluster",
                "Effect": "Allow",
                "Action": ["eks:CreatePodIdentityAssociation", "eks:ListPodIdentityAssociations"],
                "Resource": platform.cluster_arn,
            },
            {
                "Sid": "KeepAssociations",
                "Effect": "Allow",
                "Action": [
                    "eks:DeletePodIdentityAssociation",
                    "eks:DescribePodIdentityAssociation",
                    "eks:UpdatePodIdentityAssociation",
                ],
                "Resource": platform.arn("eks", f"podidentityassociation/{platform.cluster}/*"),
            },
        ]
    return iam.policy(*statements)


def trust_pods(platform: PlatformInputs, namespace: str, service_account: str) -> Policy:
    """Return who may take a role: the Pods of one service account of the cluster.

    By IRSA where the platform names the cluster's issuer, else by EKS Pod Identity.
    """
    if platform.cluster_issuer:
        provider = platform.iam_arn(f"oidc-provider/{platform.cluster_issuer}")
        return iam.trust_service_account(provider, platform.cluster_issuer, namespace, service_account)
    return iam.trust_pod_identity(platform.cluster_arn, namespace, service_account)


def trust_github(platform: PlatformInputs) -> Policy:
    """Return who may take the uploader's role: the workflows of the repositories that the platform names."""
    subjects = [f"repo:{repository}:*" for repository in platform.uploaders]
    return iam.policy(iam.web_identity(platform.iam_arn(f"oidc-provider/{GITHUB}"), GITHUB, {"StringLike": subjects}))


def image_lifecycle(kept: int) -> Policy:
    """Return an ECR repository's lifecycle policy, which is no policy of IAM's: what is old goes.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
    """
    untagged = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}
    every = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": kept}
    return {
        "rules": [
            {"rulePriority": 1, "description": "no tag", "selection": untagged, "action": {"type": "expire"}},
            {"rulePriority": 2, "description": "all but the newest", "selection": every, "action": {"type": "expire"}},
        ]
    }


def _by_s3(platform: PlatformInputs, bucket_arn: str, key_arn: str, actions: list[str]) -> dict[str, Any]:
    # The context is the bucket's ARN with a bucket key, and an object's without:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html
    return {
        "Sid": "EncryptByS3",
        "Effect": "Allow",
        "Action": actions,
        "Resource": key_arn,
        "Condition": {
            "StringEquals": {"kms:ViaService": f"s3.{platform.region}.{platform.domain}"},
            "StringLike": {"kms:EncryptionContext:aws:s3:arn": [bucket_arn, f"{bucket_arn}/*"]},
        },
    }
