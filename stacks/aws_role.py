"""Register with the engine what an app has in AWS: its role, and what ties that to its service account.

Imported where a stack has a role and nowhere else: the SDK of AWS takes memory, and is not installed everywhere. It
loads its modules when they are first used, which is while this one is imported, and so by one thread.
"""

from __future__ import annotations

import pulumi
import pulumi_aws

from stacks import role as roles
from stacks.iam_documents import as_json
from stacks.inputs import Role, StackInputs

_Provider = pulumi_aws.Provider
_Role = pulumi_aws.iam.Role
_RolePolicy = pulumi_aws.iam.RolePolicy
_Association = pulumi_aws.eks.PodIdentityAssociation


def declare(inputs: StackInputs, role: Role) -> list[pulumi.Resource]:
    """Register the role and all that is its; return what there must be before Pods can use it.

    Credentials are those of the engine's environment; none gets into the state.
    """
    where = roles.cluster(role)
    aws = _Provider("aws", region=where.region, allowed_account_ids=[where.account])
    options = pulumi.ResourceOptions(provider=aws)
    made = _Role(
        f"{roles.ROLE}/{inputs.name}",
        name=role.name,
        path=role.path,
        permissions_boundary=role.permissions_boundary,
        assume_role_policy=as_json(roles.trust(inputs, role)),
        opts=options,
    )
    policy = _RolePolicy(
        f"{roles.ROLE_POLICY}/{inputs.name}",
        name=roles.POLICY_NAME,
        role=made.name,
        policy=as_json(roles.policy(role)),
        opts=options,
    )
    if role.issuer:
        return [policy]
    association = _Association(
        f"{roles.ASSOCIATION}/{inputs.name}",
        cluster_name=where.name,
        namespace=inputs.namespace,
        service_account=inputs.name,
        role_arn=made.arn,
        opts=options,
    )
    return [policy, association]
