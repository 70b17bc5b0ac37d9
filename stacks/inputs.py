"""What a review app's program is a function of: `StackInputs` and its parts.

Frozen, validated, and the same as JSON: inline updates, previews and the plain CLI all start from
here. Holds no behaviour beyond its own digest.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr

# SecretStr keeps values out of `repr` and logs; the JSON must carry them, or it would not be the same program.
Secret = Annotated[
    SecretStr, PlainSerializer(lambda value: value.get_secret_value(), return_type=str, when_used="json")
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceLimits(_Part):
    """How large a tarball may be."""

    compressed_bytes: int = 512 << 20
    unpacked_bytes: int = 2 << 30
    entries: int = 200_000


class BuildOptions(_Part):
    """How a source tree becomes an image; empty where the builder's own way is meant."""

    dockerfile: str = Field(default="", description="Path in the source tree.")
    context: str = Field(default="", description="Path in the source tree.")
    target: str = Field(default="", description="Stage of the Dockerfile.")
    arguments: dict[str, str] = Field(default={}, description="Build arguments; they are no secret.")
    platform: str = Field(default="", description="As in linux/amd64.")


class BuildSecret(_Part):
    """A Secret of the app's namespace that the build may use."""

    name: str
    data: dict[str, str] = Field(
        default={}, repr=False, description="Values in Base64 by their keys; empty before and after the build."
    )


class BuildResources(_Part):
    """What the build container asks for and may take, as Kubernetes writes quantities."""

    cpu_request: str = "250m"
    cpu_limit: str = "4"
    memory_request: str = "256Mi"
    memory_limit: str = "4Gi"


Builder = Literal["buildkit", "buildah", "kaniko"]
"""What makes an image of a source tree."""

BuildNetwork = Literal["default", "none"]
"""What the steps of a Dockerfile reach: what the Pod does, or nothing."""


class Build(_Part):
    """The build Job of one commit.

    It fetches `tarball_url`, unpacks it, builds its Dockerfile, and pushes the result as `image`.
    """

    job_name: str
    namespace: str
    commit: str
    attempt: str = Field(default="", description="Tells a further build of the commit from the first; part of names.")
    tarball_url: str = Field(repr=False, description="Its query can be a credential.")
    tarball_sha256: str = Field(default="", description="What the tarball's SHA-256 must be; any if empty.")
    limits: SourceLimits = SourceLimits()
    options: BuildOptions = BuildOptions()
    secrets: tuple[BuildSecret, ...] = ()
    cache_from: str = Field(
        default="", description="`<repository>@sha256:…` of the layers of an earlier build, if there are any."
    )
    cache_to: str = Field(default="", description="Where the layers of all steps are pushed, with the tag; if at all.")
    image: str = Field(description="Where the image is pushed, with its tag.")
    existing: str = Field(
        default="", description="`<repository>@sha256:…`, where the image was there already: it is not built then."
    )
    registry_insecure: bool = Field(description="Whether the registry speaks plain HTTP.")
    push_secret_name: str | None = Field(description="Secret of type dockerconfigjson, for the container that pushes.")
    tarball_secret_name: str | None = Field(description="Secret with AWS_* variables, for the container that fetches.")
    s3_endpoint_url: str | None
    unpack_image: str
    builder_image: str
    push_image: str
    builder: Builder = "buildkit"
    network: BuildNetwork = "default"
    user_namespace: bool = Field(default=False, description="Whether the Pod has a user namespace of its own.")
    resources: BuildResources = BuildResources()
    priority_class: str | None = Field(default=None, description="PriorityClass of the build Pod.")
    image_registries: tuple[str, ...] = Field(
        default=(), description="Registries, or paths in them, from which images may come; any if empty."
    )
    queue: str | None = Field(default=None, description="Kueue's queue in which the Job waits, if Kueue runs it.")
    waits: bool = Field(default=False, description="Whether it is not its turn: it has no Job yet.")
    seccomp_profile: str | None = Field(description="Localhost seccomp profile of the builder; Unconfined if None.")
    timeout_seconds: int
    retries: int


class Migrate(_Part):
    """The init container that runs before each start of the app, in the app's image and environment."""

    command: tuple[str, ...]
    arguments: tuple[str, ...]


class Confinement(_Part):
    """What an app's containers may take, and what they may be."""

    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str
    root: bool = Field(default=False, description="Whether they may run as root.")
    read_only_root: bool = Field(default=False, description="Whether their file system can't be written, but /tmp.")


class Network(_Part):
    """Whom an app's Pods may talk to, as NetworkPolicies have it."""

    denied_ranges: tuple[str, ...] = Field(description="CIDRs that they don't reach, save for DNS.")
    route_namespaces: tuple[str, ...] = Field(
        default=(), description="Namespaces that reach the app; empty: all, but no other review app."
    )
    operator_namespaces: tuple[str, ...] = Field(
        default=(), description="Namespaces that reach a database which an operator runs; empty: as above."
    )


class AdoptedSecret(_Part):
    """A Secret that another operator made, as it is."""

    name: str
    type: str
    data: dict[str, str] = Field(repr=False, description="Values in Base64 by their keys.")


class AdoptedWorkload(_Part):
    """What runs of an app that another operator made, until a commit of ours takes its place."""

    template: dict[str, Any] = Field(repr=False, description="Of the Pods, with the labels of the stack.")
    secrets: tuple[AdoptedSecret, ...] = Field(default=(), description="What that operator made for it.")


class AdoptedDatabase(_Part):
    """A database that another operator asked for, as long as it lives."""

    spec: dict[str, Any] = Field(repr=False, description="Of its object.")
    secrets: tuple[AdoptedSecret, ...] = Field(default=(), description="What that operator made for it.")


class Workload(_Part):
    """The Deployment and its Service."""

    image: str = Field(description="What runs: by digest, or by the tag where the digest could not be had.")
    tag: str = Field(default="", description="Where `image` was pushed, with its tag; empty where `image` says it.")
    cache: str = Field(default="", description="`<repository>@sha256:…` of the layers of its build, where it is known.")
    commit: str = Field(description="The commit that `image` was built from.")
    replicas: int = Field(description="1 once an image of the app has been built, whether or not it is paused.")
    paused: bool = Field(default=False, description="Whether no Pod of the app runs for the time being.")
    port: int
    pull_secret_name: str | None
    migrate: Migrate | None
    environment: dict[str, str] = Field(
        repr=False, description="Values of the app's config; they go by the env Secret."
    )
    secret_names: tuple[str, ...]
    config_map_names: tuple[str, ...]
    confinement: Confinement | None = Field(default=None, description="None: as it was before there was any.")
    port_name: str = Field(default="http", description="Of the Service's port; while it changes, nothing answers.")
    adopted: AdoptedWorkload | None = Field(default=None, description="None: what runs, or is to run, is ours.")

    @property
    def built_as(self) -> str:
        """Where `image` was pushed, with its tag."""
        return self.tag or self.image


class Gateway(_Part):
    """The Gateway that routes attach to."""

    namespace: str
    name: str
    scheme: Literal["http", "https"] = Field(description="How it is reached; its listeners have the certificate.")
    noindex: bool = Field(description="Whether each answer asks search engines to leave it out.")


class Route(_Part):
    """How the app is reached from outside."""

    host: str = Field(description="`<repo>-<pr>.<app domain>`; the app sees it as APP_DOMAIN.")
    gateway: Gateway | None = Field(default=None, description="None: by an Ingress.")
    ingress_class: str | None
    tls: TLS | None
    annotations: dict[str, str] = Field(default={}, description="Further ones, of the Ingress or HTTPRoute.")


class TLS(_Part):
    """Certificate and key of the wildcard domain, copied to the app's namespace; both PEM text."""

    certificate: Secret
    key: Secret


class DatabaseCopy(_Part):
    """What a database starts with, by the variables of `stacks/database_copy.sh`."""

    values: dict[str, str] = Field(
        repr=False, description="Values that the config gives; they go by a Secret of the stack."
    )
    references: dict[str, tuple[str, str]] = Field(description="Name and key of Secrets in the app's namespace.")
    image: str = Field(description="Has pg_dump, pg_restore and psql.")
    retries: int


class Database(_Part):
    """The app's own database; it stays as it was first made, until a reset makes another."""

    backend: Literal["postgres", "kubedb", "cloudnative-pg"]
    api_version: str = Field(default="", description="Of the operator's kind; empty where there is no operator.")
    name: str
    version: str
    image: str = Field(default="", description="What runs it, where we say so and not the operator.")
    storage_size: str
    storage_class: str | None = Field(description="The cluster's own if None.")
    ephemeral: bool = False
    extensions: tuple[str, ...] = ()
    password: Secret = Field(description="Letters and digits alone.")
    copy_from: DatabaseCopy | None = None
    token: str = Field(default="", description="The reset of the config that it was made by.")
    attempt: str = Field(default="", description="The same of the annotation, as letters; part of names.")
    settled: bool = Field(default=False, description="Whether it has been ready, all data copied; then the app runs.")
    adopted: AdoptedDatabase | None = Field(default=None, description="None: we asked for it.")


class OwnNamespace(_Part):
    """The namespace that an app has for itself, and what bounds it."""

    home: str = Field(description="The namespace that the config names; what the config names is copied from there.")
    pod_security: Literal["baseline", "restricted"] = Field(description="The Pod Security Standard that holds there.")
    quota: dict[str, str] = Field(description="What all its Pods and claims may take, as a ResourceQuota has it.")
    defaults: Confinement = Field(description="What a container there takes that says nothing of it.")
    denies: bool = Field(default=True, description="Whether Pods that no other NetworkPolicy selects reach nothing.")


class Role(_Part):
    """The role in AWS that an app's Pods have by their service account, and what it reaches: a prefix of a bucket."""

    name: str
    path: str = Field(description="Begins and ends with '/'; only roles of apps are below it.")
    permissions_boundary: str = Field(description="ARN of the policy that bounds it, whatever its own says.")
    cluster_arn: str = Field(description="The EKS cluster whose Pods may take it.")
    issuer: str = Field(default="", description="Its OIDC issuer, without https://: by IRSA, not EKS Pod Identity.")
    bucket: str
    prefix: str = Field(description="What the keys of all the app's objects begin with; ends with '/'.")


class StackInputs(_Part):
    """Everything that one review app's stack declares."""

    stack: str = Field(description="Name of the Pulumi stack, and field manager of all its objects.")
    name: str = Field(description="`<repo>-<pr>`: name of the Deployment, the Service and the route.")
    namespace: str
    labels: dict[str, str]
    workload: Workload
    route: Route
    build: Build | None
    database: Database | None = None
    network: Network | None = Field(default=None, description="None: no NetworkPolicy.")
    own_namespace: OwnNamespace | None = Field(default=None, description="None: it shares `namespace` with others.")

    role: Role | None = Field(default=None, description="None: the app has no service account of its own.")

    def digest(self) -> str:
        """Return a digest that is equal for equal inputs. It covers the secrets: keep it where those may be."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
