"""How an app is reached from outside: by an Ingress, or by an HTTPRoute of the Gateway API. Pure."""

from __future__ import annotations

from typing import Final

from stacks.inputs import Gateway, StackInputs
from stacks.manifest import Manifest, metadata
from stacks.secrets import tls_secret_name

GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
GATEWAY_VERSION: Final = f"{GATEWAY_GROUP}/v1"

_COMPONENT: Final = "route"


def url(inputs: StackInputs) -> str:
    """Return the address that people open."""
    gateway = inputs.route.gateway
    scheme = gateway.scheme if gateway else "https" if inputs.route.tls else "http"
    return f"{scheme}://{inputs.route.host}"


def route(inputs: StackInputs) -> Manifest:
    """Return what leads from the app's host to its Service."""
    gateway = inputs.route.gateway
    return _http_route(inputs, gateway) if gateway else _ingress(inputs)


def _ingress(inputs: StackInputs) -> Manifest:
    backend = {"service": {"name": inputs.name, "port": {"number": 80}}}
    spec: Manifest = {
        "rules": [
            {"host": inputs.route.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        ]
    }
    if inputs.route.ingress_class:
        spec["ingressClassName"] = inputs.route.ingress_class
    if inputs.route.tls:
        spec["tls"] = [{"hosts": [inputs.route.host], "secretName": tls_secret_name(inputs)}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(inputs, inputs.name, _COMPONENT, inputs.route.annotations),
        "spec": spec,
    }


def _http_route(inputs: StackInputs, gateway: Gateway) -> Manifest:
    """Return the HTTPRoute. What the API server would fill in stands in it, so that no update finds a difference.

    https://gateway-api.sigs.k8s.io/reference/spec/#httproute
    """
    rule: Manifest = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"group": "", "kind": "Service", "name": inputs.name, "port": 80, "weight": 1}],
    }
    if gateway.noindex:
        headers = {"set": [{"name": "X-Robots-Tag", "value": "noindex"}]}
        rule["filters"] = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": headers}]
    parent = {"group": GATEWAY_GROUP, "kind": "Gateway", "namespace": gateway.namespace, "name": gateway.name}
    return {
        "apiVersion": GATEWAY_VERSION,
        "kind": "HTTPRoute",
        "metadata": metadata(inputs, inputs.name, _COMPONENT, inputs.route.annotations),
        "spec": {"parentRefs": [parent], "hostnames": [inputs.route.host], "rules": [rule]},
    }
