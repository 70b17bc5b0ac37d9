"""How an app is reached from outside: its Ingress. Pure."""

from __future__ import annotations

from stacks.inputs import StackInputs
from stacks.manifest import Manifest, metadata
from stacks.secrets import tls_secret_name


def url(inputs: StackInputs) -> str:
    """Return the address that people open."""
    return f"{'https' if inputs.route.tls else 'http'}://{inputs.route.host}"


def ingress(inputs: StackInputs) -> Manifest:
    """Return the Ingress from the app's host to its Service."""
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
        "metadata": metadata(inputs, inputs.name, "route", inputs.route.annotations),
        "spec": spec,
    }
