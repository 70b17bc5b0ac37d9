"""The settings of what apps have in AWS: a prefix of a bucket each, by a role each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings

from provisioner.refusals import matching

_ACCOUNT = "arn:aws[a-z-]*:{service}:{region}:[0-9]{{12}}:"
_NEEDED = "must be given beside aws_bucket"


class AwsSettings(BaseSettings):
    """What a platform owner decides of apps on AWS; a part of the installation's settings."""

    aws_bucket: (
        Annotated[str, matching("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "must be the name of an S3 bucket")] | None
    ) = Field(
        default=None,
        description="S3 bucket in which each app has a prefix of its own, by an IAM role of its own; no roles if left "
        "out.",
    )
    aws_prefix: Annotated[
        str, matching("[a-z0-9]([a-z0-9/-]{0,98}[a-z0-9])?", "must be a prefix of keys without '/' at its ends")
    ] = Field(default="apps", description="What all apps' prefixes begin with.")
    aws_cluster_arn: (
        Annotated[
            str,
            matching(
                _ACCOUNT.format(service="eks", region="[a-z0-9-]+") + "cluster/[A-Za-z0-9][A-Za-z0-9_-]{0,99}",
                "must be the ARN of an EKS cluster",
            ),
        ]
        | None
    ) = Field(
        default=None,
        validate_default=True,
        description="ARN of the EKS cluster whose Pods get the roles, by EKS Pod Identity.",
    )
    aws_cluster_issuer: Annotated[
        str, matching("([a-z0-9.-]+/[A-Za-z0-9/_-]+)?", "must be an OIDC issuer without https://, as EKS shows it")
    ] = Field(
        default="", description="The cluster's OIDC issuer, without https://: roles by IRSA, not by Pod Identity."
    )
    aws_permissions_boundary: (
        Annotated[
            str,
            matching(
                _ACCOUNT.format(service="iam", region="") + r"policy/[A-Za-z0-9_+=,.@/-]{1,512}",
                "must be the ARN of an IAM policy",
            ),
        ]
        | None
    ) = Field(
        default=None,
        validate_default=True,
        description="ARN of the policy that bounds every app's role: their permissions boundary.",
    )
    aws_role_path: Annotated[
        str, matching("(/[A-Za-z0-9_.-]{1,64}){1,5}/", "must begin and end with '/', as in /reviewapp/")
    ] = Field(default="/reviewapp/", description="Path of the roles, below which there are no others.")

    @field_validator("aws_cluster_arn", "aws_permissions_boundary")
    @classmethod
    def _goes_with_the_bucket(cls, value: str | None, info: ValidationInfo) -> str | None:
        # One that does not hold has been said.
        if value is None and info.data.get("aws_bucket"):
            raise PydanticCustomError("aws", "{remedy}", {"remedy": _NEEDED})
        return value
