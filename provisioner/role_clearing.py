"""Take away what an app has in AWS and its stack's state does not know of.

AWS makes nothing twice: what an engine made that was killed before it could write that down, or what a lost state knew,
would stand in the way for ever. Touches what has exactly the app's names, and no object of its bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from provisioner.errors import ApplyRefused
from provisioner.failures import ROLE_EXISTS, refusal_of_aws
from stacks import role as roles
from stacks.inputs import Role, StackInputs
from stacks.role import ASSOCIATION, ROLE

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 15
_TRIES: Final = 4
_GONE: Final = {"NoSuchEntity", "ResourceNotFoundException"}


def clear_unknown(inputs: StackInputs, refused: ApplyRefused) -> bool:
    """Take away what stood in the way of a stack's update, if AWS said that it is there; return whether it did.

    Raises:
        ApplyRefused: AWS does not let us.
    """
    if inputs.role is None or refused.reason != ROLE_EXISTS:
        return False
    kind = refused.target.partition("/")[0]
    if kind == ASSOCIATION:
        _clear_association(inputs, inputs.role)
    elif kind == ROLE:
        _clear_role(inputs, inputs.role)
    return kind in {ASSOCIATION, ROLE}


def clear(inputs: StackInputs) -> None:
    """Take away all that a stack's app has in AWS, if anything is left of it.

    Raises:
        ApplyRefused: AWS does not let us.
    """
    if inputs.role is None:
        return
    if not inputs.role.issuer:
        _clear_association(inputs, inputs.role)
    _clear_role(inputs, inputs.role)


def _clear_association(inputs: StackInputs, role: Role) -> None:
    eks, name = _client("eks", role), roles.cluster(role).name
    target = f"{ASSOCIATION}/{inputs.name}"
    asked = {"clusterName": name, "namespace": inputs.namespace, "serviceAccount": inputs.name}
    found = _ask(target, eks.list_pod_identity_associations, **asked)
    for association in found.get("associations", []):
        _ask(
            target,
            eks.delete_pod_identity_association,
            clusterName=name,
            associationId=association["associationId"],
        )


def _clear_role(inputs: StackInputs, role: Role) -> None:
    iam, target = _client("iam", role), f"{ROLE}/{inputs.name}"
    # Asked for by name, one that is not there would be denied to whom has rights below a path: IAM can't tell its path.
    if role.name not in _ask(target, _roles_below, iam=iam, path=role.path):
        return
    _ask(target, iam.delete_role_policy, RoleName=role.name, PolicyName=roles.POLICY_NAME)
    _ask(target, iam.delete_role, RoleName=role.name)


def _roles_below(iam: Any, path: str) -> dict[str, Any]:
    pages = iam.get_paginator("list_roles").paginate(PathPrefix=path, PaginationConfig={"PageSize": 1000})
    return {role["RoleName"]: role for page in pages for role in page["Roles"]}


def _client(service: str, role: Role) -> Any:
    # Here alone, since it takes most of a second.
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
    )
    # Not the default session, which threads can't share while it makes clients.
    session: Any = boto3.Session(region_name=roles.cluster(role).region)
    return session.client(service, config=config)


def _ask(target: str, action: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    """Do something in AWS; return its answer, which is empty where there is no such thing."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return action(**arguments)
    except (BotoCoreError, ClientError) as error:
        answer: dict[str, Any] = getattr(error, "response", {})
        if answer.get("Error", {}).get("Code") in _GONE:
            return {}
        raise refusal_of_aws(target, str(error)) or ApplyRefused(
            target, "AwsFailed", str(error), "it is tried again by itself; see that AWS can be reached"
        ) from None
