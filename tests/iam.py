"""Evaluates policies as IAM does, in the part of its language that ours are written in; refuses what it does not know.

A stand-in for the policy simulator, which only AWS has. Moto's own evaluation leaves conditions out; where there are
none, tests hold the two against each other; `role` makes what moto is asked as.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

Context = Mapping[str, str]
Decision = Literal["allowed", "denied", "nothing"]

_KNOWN = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


def decide(
    policies: Iterable[Mapping[str, Any]],
    action: str,
    resource: str,
    context: Context | None = None,
    principal: str | None = None,
) -> Decision:
    """Return what the policies say together: a Deny wins, and without an Allow there is nothing.

    Args:
        policies: the documents that apply to the request.
        action: as in `s3:PutObject`.
        resource: its ARN; empty for a trust policy, which is about the role that it is of.
        context: the request's keys, such as `aws:SecureTransport`, with their values.
        principal: who asks, as a statement names them; None where the policies are theirs.
    """
    found = [
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if _applies(statement, action, resource, context or {}, principal)
    ]
    return "denied" if "Deny" in found else "allowed" if "Allow" in found else "nothing"


def role(client: Callable[[str], Any], account: str, name: str, policy: Mapping[str, Any]) -> dict[str, str]:
    """Make a role that has this policy and no other, for anybody of the account; return its credentials for boto3.

    Args:
        client: gives a client of a service, as an administrator.
        account: number of the account.
        name: the role's.
        policy: the document.
    """
    trusted = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    iam = client("iam")
    iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    )
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
    arn = f"arn:aws:iam::{account}:role/{name}"
    given = client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Context, principal: str | None) -> bool:
    assert statement.keys() <= _KNOWN, f"unknown elements: {statement.keys() - _KNOWN}"
    assert statement["Effect"] in {"Allow", "Deny"}
    assert ("Principal" in statement) == (principal is not None)
    assert ("Resource" in statement) == bool(resource)
    return (
        (principal is None or _names(statement["Principal"], principal))
        and any(_like(pattern.lower(), action.lower()) for pattern in _list(statement["Action"]))
        and (not resource or any(_like(pattern, resource) for pattern in _list(statement["Resource"])))
        and all(
            _holds(operator, key, _list(values), context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _names(principals: str | Mapping[str, Any], principal: str) -> bool:
    return principals == "*" or (
        not isinstance(principals, str) and any(principal in _list(named) for named in principals.values())
    )


def _holds(operator: str, key: str, values: list[str], context: Context) -> bool:
    if operator == "Null":
        return any((key not in context) == (value == "true") for value in values)
    # A key that the request does not have matches no value, with operators that do not end in IfExists.
    return key in context and any(_OPERATORS[operator](value, context[key]) for value in values)


def _like(pattern: str, text: str) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "Bool": lambda value, actual: value.lower() == actual.lower(),
    "StringEquals": lambda value, actual: value == actual,
    "StringLike": _like,
}
