"""Whom an app's Pods may talk to, and who may talk to them: NetworkPolicies. Pure.

They do nothing in a cluster whose network plugin does not enforce them. They add up with those of others: what a
platform owner's own policy allows besides, is allowed.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from typing import Final

from stacks import naming
from stacks.inputs import Network, StackInputs
from stacks.manifest import Manifest, metadata

_COMPONENT: Final = "network"
_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
_DNS_PORTS: Final[list[Manifest]] = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
# Where the cluster's DNS is, and the address of its cache on each node, if there is one:
# https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/
_DNS_PEERS: Final[list[Manifest]] = [
    {"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: "kube-system"}}},
    {"ipBlock": {"cidr": "169.254.20.10/32"}},
]
_EVERYWHERE: Final = ("0.0.0.0/0", "::/0")


def policies(inputs: StackInputs, network: Network) -> list[Manifest]:
    """Return the NetworkPolicies of the app's Pods."""
    return [_of_app(inputs, network)]


def _of_app(inputs: StackInputs, network: Network) -> Manifest:
    """Reached from the route; reaches DNS, its own database and what is not the cluster's."""
    return _policy(
        inputs,
        inputs.name,
        {naming.STACK_LABEL: inputs.stack, naming.COMPONENT_LABEL: "app"},
        {
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [_route(network)], "ports": [{"protocol": "TCP", "port": inputs.workload.port}]},
            ],
            "egress": [
                {"to": _DNS_PEERS, "ports": _DNS_PORTS},
                {"to": [_pods(inputs, "database")]},
                {"to": [_outside(everywhere, network.denied_ranges) for everywhere in _EVERYWHERE]},
            ],
        },
    )


def _policy(inputs: StackInputs, name: str, selected: dict[str, str], spec: Manifest) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(inputs, name, _COMPONENT),
        "spec": {"podSelector": {"matchLabels": selected}, **spec},
    }


def _route(network: Network) -> Manifest:
    if network.route_namespaces:
        names = {"key": _NAMESPACE_NAME, "operator": "In", "values": list(network.route_namespaces)}
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
