"""The settings of what holds for every app: its user, its resources, and what it reaches and is reached from."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from provisioner.setting_types import Amount, Namespaces, Ranges, Repositories

# What is private, and what only a node knows: a cluster's Pods, Services and metadata service are in these.
_PRIVATE_RANGES = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
    *("fc00::/7", "fe80::/10"),
)


class AppSettings(BaseSettings):
    """What a platform owner decides of apps; a part of the installation's settings."""

    root_repositories: Repositories = Field(
        default=(), description="Patterns of repositories, as in acme/site-*, whose apps may run as root."
    )
    cpu_request: Amount = Field(default="25m", description="CPU that is kept free for an app.")
    cpu_limit: Amount = Field(default="2", description="CPU that an app gets at most, where its config says nothing.")
    cpu_maximum: Amount = Field(default="4", description="CPU that a config may ask for.")
    memory_request: Amount = Field(default="128Mi", description="Memory that is kept free for an app.")
    memory_limit: Amount = Field(
        default="1Gi", description="Memory that an app gets at most, where its config says nothing."
    )
    memory_maximum: Amount = Field(default="4Gi", description="Memory that a config may ask for.")
    network_policies: bool = Field(default=True, description="Whether stacks have a NetworkPolicy.")
    egress_denied_ranges: Ranges = Field(
        default=_PRIVATE_RANGES, description="Ranges of addresses that apps don't reach: the cluster's own for one."
    )
    route_namespaces: Namespaces = Field(
        default=(),
        description="Namespaces from which apps are reached: the ingress controller's. All if left out, but no app "
        "reaches another.",
    )
    operator_namespaces: Namespaces = Field(
        default=(),
        description="Namespaces from which databases of operators are reached beside their apps: the operators'. All "
        "if left out, but no app reaches another's.",
    )
