"""Whom the Pods of an app and of its database may talk to, and who may talk to them: NetworkPolicies. Pure.

They do nothing in a cluster whose network plugin does not enforce them. They add up with those of others: what a
platform owner's own policy allows besides, is allowed.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from typing import Final

from stacks import naming
from stacks.database_names import COMPONENT as DATABASE
from stacks.database_names import COPY_COMPONENT, PORT
from stacks.inputs import Database, Network, StackInputs
from stacks.manifest import Manifest, metadata

_COMPONENT: Final = "network"
_APP: Final = "app"
_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
_DNS_PORTS: Final[list[Manifest]] = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
# Where the cluster's DNS is, and the address of its cache on each node, if there is one:
# https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/
_DNS_PEERS: Final[list[Manifest]] = [
    {"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: "kube-system"}}},
    {"ipBlock": {"cidr": "169.254.20.10/32"}},
]
# EKS's agent on each node, which hands Pods the credentials of their role:
# https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
_IDENTITY_PEERS: Final[list[Manifest]] = [
    {"ipBlock": {"cidr": "169.254.170.23/32"}},
    {"ipBlock": {"cidr": "fd00:ec2::23/128"}},
]
_IDENTITY_PORTS: Final[list[Manifest]] = [{"protocol": "TCP", "port": 80}]
_EVERYWHERE: Final = ("0.0.0.0/0", "::/0")


def policies(inputs: StackInputs, network: Network) -> list[Manifest]:
    """Return the NetworkPolicies of the app's Pods, and of its database's if it has one."""
    of_database = [_of_database(inputs, network, inputs.database)] if inputs.database else []
    return [_of_app(inputs, network), *of_database]


def _of_app(inputs: StackInputs, network: Network) -> Manifest:
    """Reached from the route; reaches DNS, its own database, its role and what is not the cluster's."""
    by_agent = inputs.role is not None and not inputs.role.issuer
    identity: list[Manifest] = [{"to": _IDENTITY_PEERS, "ports": _IDENTITY_PORTS}] if by_agent else []
    return _policy(
        inputs,
        inputs.name,
        {naming.STACK_LABEL: inputs.stack, naming.COMPONENT_LABEL: _APP},
        {
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [_from(network.route_namespaces)],
                    "ports": [{"protocol": "TCP", "port": inputs.workload.port}],
                },
            ],
            "egress": [
                {"to": _DNS_PEERS, "ports": _DNS_PORTS},
                {"to": [_pods(inputs, DATABASE)]},
                *identity,
                {"to": [_outside(everywhere, network.denied_ranges) for everywhere in _EVERYWHERE]},
            ],
        },
    )


def _of_database(inputs: StackInputs, network: Network, database: Database) -> Manifest:
    """Reached from its app and from what copies into it; reaches nothing, where no operator runs it.

    The app is a superuser there and so can run programs: they must not reach what the app itself does not. What an
    operator runs is reached from the operator, on ports of its own, and reaches the API server, whose address no policy
    knows; KubeDB's reaches the source of the copy too. So these are not held back.
    https://cloudnative-pg.io/documentation/current/networking/
    """
    clients: Manifest = {
        "from": [_pods(inputs, component) for component in (_APP, COPY_COMPONENT)],
        "ports": [{"protocol": "TCP", "port": PORT}],
    }
    selected = {naming.STACK_LABEL: inputs.stack, naming.COMPONENT_LABEL: DATABASE}
    if database.backend == "postgres":
        rules: Manifest = {"policyTypes": ["Ingress", "Egress"], "ingress": [clients], "egress": []}
    else:
        rules = {"policyTypes": ["Ingress"], "ingress": [clients, {"from": [_from(network.operator_namespaces)]}]}
    return _policy(inputs, database.name, selected, rules)


def _policy(inputs: StackInputs, name: str, selected: dict[str, str], spec: Manifest) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(inputs, name, _COMPONENT),
        "spec": {"podSelector": {"matchLabels": selected}, **spec},
    }


def _from(namespaces: tuple[str, ...]) -> Manifest:
    """Return who is meant by these namespaces: their Pods; without any, all Pods that are of no review app."""
    if namespaces:
        names = {"key": _NAMESPACE_NAME, "operator": "In", "values": list(namespaces)}
        return {"namespaceSelector": {"matchExpressions": [names]}}
    others = {"key": naming.STACK_LABEL, "operator": "DoesNotExist"}
    return {"namespaceSelector": {}, "podSelector": {"matchExpressions": [others]}}


def _pods(inputs: StackInputs, component: str) -> Manifest:
    return {
        "podSelector": {"matchLabels": {naming.STACK_LABEL: inputs.stack, naming.COMPONENT_LABEL: component}},
    }


def _outside(everywhere: str, denied_ranges: tuple[str, ...]) -> Manifest:
    version = ipaddress.ip_network(everywhere).version
    denied = [each for each in denied_ranges if ipaddress.ip_network(each).version == version]
    return {"ipBlock": {"cidr": everywhere, **({"except": denied} if denied else {})}}
