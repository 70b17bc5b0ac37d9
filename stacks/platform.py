"""What an installation has in AWS, once for all its review apps: buckets, a key, repositories of images, roles.

A program of a project of its own. Nothing else imports this: the SDK of AWS takes a second, and is installed only
with the extra `aws`.
"""

from __future__ import annotations

from collections.abc import Callable

import pulumi
from pulumi_aws import Provider, ProviderDefaultTagsArgs, ecr, eks, iam, kms, s3

from stacks import platform_policies as policies
from stacks.iam_documents import Policy, as_json
from stacks.platform_inputs import APP_PREFIX, PlatformInputs

_Options = pulumi.ResourceOptions


def declare(platform: PlatformInputs) -> None:
    """Declare all of it, and what the installation's settings are to be as the stack's outputs.

    A destroy leaves what is protected: the key, and the state's bucket with all that makes it safe.
    """
    aws = Provider(
        "aws",
        region=platform.region,
        allowed_account_ids=[platform.account],
        default_tags=ProviderDefaultTagsArgs(tags={policies.TAG: platform.name}),
        # Everything depends on it.
        opts=_Options(protect=True),
    )
    options = _Options(provider=aws)
    kept = _Options(provider=aws, protect=True)
    key = kms.Key(
        "key",
        description=f"Tarballs and state of {platform.name}",
        enable_key_rotation=True,
        deletion_window_in_days=30,
        policy=as_json(policies.key_policy(platform)),
        opts=kept,
    )
    alias = kms.Alias("key", name=f"alias/{platform.name}", target_key_id=key.key_id, opts=kept)
    tarballs = _bucket(platform, "tarballs", key, options)
    _expiry(tarballs, "tarballs", platform.tarball_prefix, platform.tarball_days, 1, options)
    state = _bucket(platform, "state", key, kept, lock_days=platform.object_lock_days)
    _expiry(state, "state", "", None, platform.state_version_days, kept)
    watcher = _roles(platform, tarballs, state, key, options)
    if platform.app_data_days and watcher:
        _app_data(platform, watcher, options)
    if platform.image_repositories:
        _repositories(platform, options)
        pulumi.export("registry", platform.registry)
    pulumi.export("tarball_bucket", tarballs.bucket)
    pulumi.export("tarball_address", pulumi.Output.format("s3://{0}/{1}", tarballs.bucket, platform.tarball_prefix))
    pulumi.export("backend_url", pulumi.Output.format("s3://{0}?region={1}", state.bucket, platform.region))
    pulumi.export("secrets_provider", pulumi.Output.format("awskms://{0}?region={1}", alias.name, platform.region))


def _bucket(
    platform: PlatformInputs, use: str, key: kms.Key | None, options: _Options, lock_days: int = 0
) -> s3.Bucket:
    """Declare a bucket that is nobody's but the account's: no ACL, no CORS, no website, no request without TLS.

    Without a key of ours S3 encrypts by one of its own, to which nobody needs a right.
    """
    bucket = s3.Bucket(
        use,
        bucket=platform.bucket(use),
        force_destroy=False,
        object_lock_enabled=lock_days > 0,
        opts=options,
    )
    s3.BucketOwnershipControls(
        use,
        bucket=bucket.id,
        rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
        opts=options,
    )
    closed = s3.BucketPublicAccessBlock(
        use,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=options,
    )
    s3.BucketPolicy(
        use,
        bucket=bucket.id,
        policy=bucket.arn.apply(lambda arn: as_json(policies.tls_only(arn))),
        # S3 refuses one of the two while the other is being written.
        opts=_Options.merge(options, _Options(depends_on=[closed])),
    )
    s3.BucketServerSideEncryptionConfiguration(
        use,
        bucket=bucket.id,
        rules=[
            s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                    sse_algorithm="aws:kms" if key else "AES256", kms_master_key_id=key.arn if key else None
                ),
                bucket_key_enabled=key is not None,
            )
        ],
        opts=options,
    )
    versioning = s3.BucketVersioning(
        use,
        bucket=bucket.id,
        versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
        opts=options,
    )
    if lock_days:
        s3.BucketObjectLockConfiguration(
            use,
            bucket=bucket.id,
            rule=s3.BucketObjectLockConfigurationRuleArgs(
                default_retention=s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
                    mode="GOVERNANCE", days=lock_days
                )
            ),
            opts=_Options.merge(options, _Options(depends_on=[versioning])),
        )
    return bucket


def _expiry(bucket: s3.Bucket, use: str, prefix: str, days: int | None, version_days: int, options: _Options) -> None:
    """Declare what goes by itself: objects after `days`, if any, and what is no object any more."""
    rules = [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="leftovers",
            status="Enabled",
            filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=1
            ),
            noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=version_days
            ),
            # A marker whose versions are gone.
            expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
        )
    ]
    if days is not None:
        rules.append(
            s3.BucketLifecycleConfigurationRuleArgs(
                id="expired",
                status="Enabled",
                filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=f"{prefix}/"),
                expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
            )
        )
    s3.BucketLifecycleConfiguration(use, bucket=bucket.id, rules=rules, opts=options)


def _app_data(platform: PlatformInputs, watcher: iam.Role, options: _Options) -> None:
    """Declare the bucket of apps' objects, what bounds the roles by which they reach it, and who makes these."""
    apps = _bucket(platform, "apps", None, options)
    _expiry(apps, "apps", APP_PREFIX, platform.app_data_days, 1, options)
    boundary = iam.Policy(
        "app-boundary",
        name=f"{platform.name}-app-boundary",
        policy=apps.arn.apply(lambda arn: as_json(policies.app_boundary(arn))),
        opts=options,
    )
    roles = iam.Policy(
        "app-roles",
        name=f"{platform.name}-app-roles",
        policy=boundary.arn.apply(lambda arn: as_json(policies.app_roles(platform, arn))),
        opts=options,
    )
    iam.RolePolicyAttachment("app-roles", role=watcher.name, policy_arn=roles.arn, opts=options)
    pulumi.export("aws_bucket", apps.bucket)
    pulumi.export("aws_cluster_arn", platform.cluster_arn)
    pulumi.export("aws_permissions_boundary", boundary.arn)
    pulumi.export("aws_role_path", platform.role_path)


def _roles(
    platform: PlatformInputs, tarballs: s3.Bucket, state: s3.Bucket, key: kms.Key, options: _Options
) -> iam.Role | None:
    """Declare a policy for each that works with the platform, and a role where it is known who that is.

    Returns:
        The watcher's role, if it has one.
    """
    uploader = _policy(platform, "uploader", policies.upload, tarballs, key, options)
    reader = _policy(platform, "reader", policies.read, tarballs, key, options)
    watcher = _policy(platform, "watcher", policies.state, state, key, options)
    if platform.uploaders:
        _role(platform, "uploader", policies.trust_github(platform), uploader, options)
    if not (platform.cluster or platform.cluster_issuer):
        return None
    roles: dict[str, iam.Role] = {}
    for use, policy, namespace, account in (
        ("reader", reader, platform.build_namespace, platform.build_service_account),
        ("watcher", watcher, platform.namespace, platform.service_account),
    ):
        role = _role(platform, use, policies.trust_pods(platform, namespace, account), policy, options)
        roles[use] = role
        if not platform.cluster_issuer:
            eks.PodIdentityAssociation(
                use,
                cluster_name=platform.cluster,
                namespace=namespace,
                service_account=account,
                role_arn=role.arn,
                opts=options,
            )
    return roles["watcher"]


def _policy(
    platform: PlatformInputs,
    use: str,
    policy: Callable[[PlatformInputs, str, str], Policy],
    bucket: s3.Bucket,
    key: kms.Key,
    options: _Options,
) -> iam.Policy:
    def document(arns: list[str]) -> str:
        return as_json(policy(platform, *arns))

    made = iam.Policy(
        use,
        name=f"{platform.name}-{use}",
        policy=pulumi.Output.all(bucket.arn, key.arn).apply(document),
        opts=options,
    )
    pulumi.export(f"{use}_policy_arn", made.arn)
    return made


def _role(platform: PlatformInputs, use: str, trust: Policy, policy: iam.Policy, options: _Options) -> iam.Role:
    role = iam.Role(
        use,
        name=f"{platform.name}-{use}",
        assume_role_policy=as_json(trust),
        max_session_duration=3600,
        opts=options,
    )
    iam.RolePolicyAttachment(use, role=role.name, policy_arn=policy.arn, opts=options)
    pulumi.export(f"{use}_role_arn", role.arn)
    return role


def _repositories(platform: PlatformInputs, options: _Options) -> None:
    for name in platform.image_repositories:
        repository = ecr.Repository(
            name,
            name=name,
            # The cache's tag moves with each build.
            image_tag_mutability="MUTABLE",
            image_scanning_configuration=ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            # What it holds can be built again.
            force_delete=True,
            opts=options,
        )
        ecr.LifecyclePolicy(
            name,
            repository=repository.name,
            policy=as_json(policies.image_lifecycle(platform.images_kept)),
            opts=options,
        )
    pusher = iam.Policy("pusher", name=f"{platform.name}-pusher", policy=as_json(policies.push(platform)), opts=options)
    pulumi.export("pusher_policy_arn", pusher.arn)
