"""What the platform's program is a function of: `PlatformInputs`. Holds no credential, and knows no cloud's SDK."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from stacks.naming import slug


def _matching(pattern: str, remedy: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError("format", "{remedy}", {"remedy": remedy})
        return value

    return AfterValidator(check)


def _split(value: object) -> object:
    """Return a text with commas as a list: the form that a variable of the environment has."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


APP_PREFIX = "apps"
"""What the keys of all apps' objects begin with, in their bucket."""

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_LABEL = _matching(_LABEL, "must be a DNS label: at most 63 lower-case letters, digits and '-'")

GitRepositories = Annotated[
    tuple[
        Annotated[
            str, _matching("[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", "must be repositories, as in acme/shop, without patterns")
        ],
        ...,
    ],
    BeforeValidator(_split),
    Field(max_length=500),
]


def _few(repositories: tuple[str, ...]) -> tuple[str, ...]:
    # A role's trust policy has at most 2048 characters: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    if sum(len(repository) + 10 for repository in repositories) > 1600:
        remedy = (
            "are too many for one role's trust policy: name fewer, and give others the policy by a role of your own"
        )
        raise PydanticCustomError("format", "{remedy}", {"remedy": remedy})
    return repositories


class PlatformInputs(BaseModel):
    """What an installation has in one AWS account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: Annotated[str, _matching("[0-9]{12}", "must be the account's number of 12 digits, in quotes")] = Field(
        description="Number of the AWS account; with credentials of another, nothing is done."
    )
    region: Annotated[str, _matching("[a-z]{2}(-[a-z]+)+-[0-9]", "must be a region of AWS, as in eu-central-1")] = (
        Field(description="Region of AWS in which all is made.")
    )
    name: Annotated[
        str, _matching("[a-z]([a-z0-9-]{0,18}[a-z0-9])?", "must be at most 20 lower-case letters, digits and '-'")
    ] = Field(default="reviewapp", description="What the names of all that is made begin with.")
    tarball_prefix: Annotated[
        str, _matching("[a-z0-9]([a-z0-9/-]{0,98}[a-z0-9])?", "must be a prefix of keys without '/' at its ends")
    ] = Field(default="uploads", description="Prefix of the tarballs' keys: the one that may be written and read.")
    tarball_days: int = Field(default=14, ge=1, le=3650, description="Days after which a tarball is deleted.")
    state_version_days: int = Field(
        default=90, ge=1, le=3650, description="Days for which what was overwritten or deleted in the state is kept."
    )
    object_lock_days: int = Field(
        default=0,
        ge=0,
        le=3650,
        description="Days for which a version of the state can't be deleted, by object lock; 0 for none. "
        "From 0 to more, or back, the bucket is made anew, which its protection refuses.",
    )
    repositories: GitRepositories = Field(
        default=(), description="Git repositories, each of which gets an ECR repository for its images; none if empty."
    )
    images_kept: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Newest images that each ECR repository keeps; living apps need theirs.",
    )
    uploaders: Annotated[GitRepositories, AfterValidator(_few)] = Field(
        default=(), description="Repositories on GitHub whose workflows may upload tarballs, by GitHub's OIDC provider."
    )
    cluster: Annotated[str, _matching("([A-Za-z0-9][A-Za-z0-9_-]{0,99})?", "must be the name of an EKS cluster")] = (
        Field(default="", description="EKS cluster whose Pods get the roles, by EKS Pod Identity.")
    )
    cluster_issuer: Annotated[
        str, _matching("([a-z0-9.-]+/[A-Za-z0-9/_-]+)?", "must be an OIDC issuer without https://, as EKS shows it")
    ] = Field(
        default="", description="The cluster's OIDC issuer, without https://: roles by IRSA, not by Pod Identity."
    )
    namespace: Annotated[str, _DNS_LABEL] = Field(default="reviewapp-system", description="The watcher's namespace.")
    service_account: Annotated[str, _DNS_LABEL] = Field(
        default="reviewapp", description="The watcher's service account."
    )
    build_namespace: Annotated[str, _DNS_LABEL] = Field(
        default="reviewapp-builds", description="Namespace of build Jobs."
    )
    build_service_account: Annotated[str, _DNS_LABEL] = Field(
        default="default", description="Service account of what fetches tarballs there."
    )

    app_data_days: int = Field(
        default=0,
        ge=0,
        le=3650,
        description="Days after which an object of an app is deleted, whether or not the app lives; 0 for no bucket of "
        "apps' objects, and no roles for apps.",
    )

    @field_validator("app_data_days")
    @classmethod
    def _takes_a_cluster(cls, days: int, info: ValidationInfo) -> int:
        # One that does not hold has been said.
        if days and info.data.get("cluster") == "":
            remedy = "takes an EKS cluster, whose Pods get the roles: set cluster, by IRSA too"
            raise PydanticCustomError("cluster", "{remedy}", {"remedy": remedy})
        return days

    @property
    def role_path(self) -> str:
        """Path of the apps' roles, which no other role of the platform has."""
        return f"/{self.name}/"

    @property
    def partition(self) -> str:
        """The part of AWS that the region belongs to, as ARNs name it."""
        return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(self.region.rpartition("-")[0].rpartition("-")[0], "aws")

    @property
    def domain(self) -> str:
        """The domain of AWS's services there."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    @property
    def registry(self) -> str:
        """The account's registry, as the setting `registry` takes it."""
        return f"{self.account}.dkr.ecr.{self.region}.{self.domain}"

    @property
    def image_repositories(self) -> tuple[str, ...]:
        """Names of the ECR repositories: the paths at which `stacks.naming.image_reference` has images."""
        names = (repository.partition("/")[::2] for repository in self.repositories)
        return tuple(dict.fromkeys(f"{slug(owner)}/{slug(name)}" for owner, name in names))

    @property
    def cluster_arn(self) -> str:
        """The ARN of the EKS cluster."""
        return self.arn("eks", f"cluster/{self.cluster}")

    def bucket(self, use: str) -> str:
        """Return the name of a bucket: one that no other account has."""
        return f"{self.name}-{use}-{self.account}-{self.region}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something that the account has in the region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def iam_arn(self, resource: str) -> str:
        """Return the ARN of something of the account's IAM, which has no region."""
        return f"arn:{self.partition}:iam::{self.account}:{resource}"
