"""The role in AWS of one app, as documents and names, and the service account by which its Pods have it. Pure.

What AWS is asked for is registered by `stacks/aws_role.py`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from stacks import iam_documents as iam
from stacks.iam_documents import Policy
from stacks.inputs import Role, StackInputs
from stacks.manifest import Manifest, metadata

COMPONENT = "role"
"""Value of `naming.COMPONENT_LABEL` on the service account."""

POLICY_NAME = "own-objects"
"""Name of the role's inline policy."""

ROLE, ROLE_POLICY, ASSOCIATION = "Role", "RolePolicy", "PodIdentityAssociation"
"""Kinds of what is registered, as their names begin: `<kind>/<name of the app>`."""

_ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """An EKS cluster, and where it is.

    Attributes:
        partition: the part of AWS, as ARNs name it.
        region: its region.
        account: number of its account.
        name: its own name.
    """

    partition: str
    region: str
    account: str
    name: str


def cluster(role: Role) -> Cluster:
    """Return the cluster whose Pods may take a role.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelastickubernetesservice.html
    """
    _, partition, _, region, account, resource = role.cluster_arn.split(":")
    return Cluster(partition, region, account, resource.partition("/")[2])


def arn(role: Role) -> str:
    """Return a role's ARN, which AWS makes of its account, path and name."""
    where = cluster(role)
    return f"arn:{where.partition}:iam::{where.account}:role{role.path}{role.name}"


def trust(inputs: StackInputs, role: Role) -> Policy:
    """Return who may take a role: the Pods of the app's service account, in its namespace of that cluster."""
    if not role.issuer:
        return iam.trust_pod_identity(role.cluster_arn, inputs.namespace, inputs.name)
    where = cluster(role)
    provider = f"arn:{where.partition}:iam::{where.account}:oidc-provider/{role.issuer}"
    return iam.trust_service_account(provider, role.issuer, inputs.namespace, inputs.name)


def policy(role: Role) -> Policy:
    """Return what a role may: get, put and delete the objects below its prefix, and list these alone."""
    bucket = f"arn:{cluster(role).partition}:s3:::{role.bucket}"
    return objects_below(bucket, role.prefix)


def objects_below(bucket_arn: str, prefix: str) -> Policy:
    """Return the policy that gives the objects below one prefix of a bucket, which ends with '/', and no others."""
    return iam.policy(
        {
            "Sid": "OwnObjects",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": f"{bucket_arn}/{prefix}*",
        },
        # Who lists all, or what only begins alike, gives no prefix, or one that this does not fit.
        {
            "Sid": "ListOwnObjects",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket_arn,
            "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}},
        },
    )


def service_account(inputs: StackInputs, role: Role) -> Manifest:
    """Return the app's service account. Its Pods get no token for the API server by it.

    EKS gives them one for AWS beside that, which this does not turn off.
    """
    annotations = {_ROLE_ANNOTATION: arn(role)} if role.issuer else {}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(inputs, inputs.name, COMPONENT, annotations),
        "automountServiceAccountToken": False,
    }


def pod_fields(inputs: StackInputs) -> Manifest:
    """Return what makes Pods those of the service account, as fields of their spec; nothing without a role."""
    if inputs.role is None:
        return {}
    # The older name of the same field: the API server fills it, and goes by it once the other is taken away.
    return {"serviceAccountName": inputs.name, "serviceAccount": inputs.name}


def environment(inputs: StackInputs) -> list[dict[str, Any]]:
    """Return the variables that tell an app where its objects are; none without a role."""
    if inputs.role is None:
        return []
    return [
        {"name": "APP_BUCKET", "value": inputs.role.bucket},
        {"name": "APP_BUCKET_PREFIX", "value": inputs.role.prefix},
    ]
