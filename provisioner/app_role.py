"""The role that an installation gives to an app in AWS. Pure."""

from __future__ import annotations

from provisioner.settings import StackSettings
from stacks import naming
from stacks.inputs import Role


def app_role(stack: str, settings: StackSettings) -> Role | None:
    """Return the role of a stack's app, and what it reaches; None where the installation gives none."""
    bucket, cluster, boundary = settings.aws_bucket, settings.aws_cluster_arn, settings.aws_permissions_boundary
    if not (bucket and cluster and boundary):
        return None
    return Role(
        # Other installations have other clusters, or other paths.
        name=naming.role_name(stack, f"{cluster} {settings.aws_role_path}"),
        path=settings.aws_role_path,
        permissions_boundary=boundary,
        cluster_arn=cluster,
        issuer=settings.aws_cluster_issuer,
        bucket=bucket,
        # A stack's name has no '/': so one app's prefix is never the beginning of another's.
        prefix=f"{settings.aws_prefix}/{stack}/",
    )
