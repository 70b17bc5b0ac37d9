"""Documents of AWS's IAM: how a policy is put together, and by which of them a service account's Pods are trusted.

Pure: names and ARNs in, documents out. What they allow is for others to say.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import json
from typing import Any, Final

Policy = dict[str, Any]
"""`{"Version": …, "Statement": [{"Sid": …, "Effect": …, …}]}`."""

PODS: Final = "pods.eks.amazonaws.com"
"""The service that gives roles to Pods by EKS Pod Identity."""


def policy(*statements: dict[str, Any]) -> Policy:
    """Return a document of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def as_json(document: Policy) -> str:
    """Return the document as AWS takes it."""
    return json.dumps(document, separators=(",", ":"))


def trust_pod_identity(cluster_arn: str, namespace: str, service_account: str) -> Policy:
    """Return that the Pods of one service account of a cluster may take a role, by EKS Pod Identity.

    Its sessions carry these tags: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html
    """
    return policy(
        {
            "Sid": "PodsOfTheServiceAccount",
            "Effect": "Allow",
            "Principal": {"Service": PODS},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "aws:RequestTag/eks-cluster-arn": cluster_arn,
                    "aws:RequestTag/kubernetes-namespace": namespace,
                    "aws:RequestTag/kubernetes-service-account": service_account,
                }
            },
        }
    )


def trust_service_account(provider_arn: str, issuer: str, namespace: str, service_account: str) -> Policy:
    """Return that the same may take it, by IRSA: with a token of the cluster's OIDC issuer.

    https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
    """
    subject = f"system:serviceaccount:{namespace}:{service_account}"
    return policy(web_identity(provider_arn, issuer, {"StringEquals": subject}))


def web_identity(provider_arn: str, issuer: str, subject: dict[str, str | list[str]]) -> dict[str, Any]:
    """Return the statement by which tokens of an issuer are taken whose subject passes one operator."""
    (operator, allowed), *_ = subject.items()
    conditions: dict[str, dict[str, str | list[str]]] = {"StringEquals": {f"{issuer}:aud": "sts.amazonaws.com"}}
    conditions.setdefault(operator, {})[f"{issuer}:sub"] = allowed
    return {
        "Sid": "SubjectsOfTheIssuer",
        "Effect": "Allow",
        "Principal": {"Federated": provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": conditions,
    }
