"""One review app's stack: everything that it declares, and the Pulumi program that registers it.

`manifests` is the pure half, for whoever wants to see or check what a stack is; `declare` is the
program. Both are functions of the same `StackInputs`, so they cannot differ.
"""

from __future__ import annotations

import pulumi

from stacks import build, build_secrets, database, naming, network, role, route, secrets, workload
from stacks.inputs import StackInputs
from stacks.manifest import Manifest, engine_annotations
from stacks.registration import register


def manifests(inputs: StackInputs) -> list[Manifest]:
    """Return every object that the stack declares, in the order in which they are registered."""
    objects = [secrets.environment_secret(inputs), *secrets.adopted_secrets(inputs)]
    if inputs.route.tls:
        objects.append(secrets.tls_secret(inputs, inputs.route.tls))
    if inputs.network:
        objects += network.policies(inputs, inputs.network)
    if inputs.role:
        objects.append(role.service_account(inputs, inputs.role))
    if inputs.database:
        objects += database.manifests(inputs, inputs.database)
    if inputs.build and not inputs.build.existing and not inputs.build.waits:
        objects += build_secrets.secrets(inputs, inputs.build)
        objects.append(build.job(inputs.build, inputs.labels))
    objects += [workload.deployment(inputs), workload.service(inputs), route.route(inputs)]
    for manifest in objects:
        annotations = manifest["metadata"].get("annotations", {})
        manifest["metadata"]["annotations"] = annotations | engine_annotations(inputs.stack)
    return objects


def declare(inputs: StackInputs) -> None:
    """Register every object of the stack with the engine. To be called inside a Pulumi program."""
    first_by_namespace: dict[str, list[pulumi.Resource]] = {}
    of_app = _in_aws(inputs)
    for manifest in manifests(inputs):
        there = first_by_namespace.setdefault(manifest["metadata"]["namespace"], [])
        # Pods start with what their Secrets hold then, and where their policies let them go, so those come first.
        after = there if _starts_pods(manifest) else []
        # EKS gives a role to Pods as they start.
        resource = register(manifest, [*after, *of_app] if manifest["kind"] == "Deployment" else after)
        if manifest["kind"] in {"Secret", "NetworkPolicy", "ServiceAccount"}:
            there.append(resource)
    pulumi.export("url", route.url(inputs))
    pulumi.export("image", inputs.workload.image)
    pulumi.export("commit", inputs.workload.commit)
    pulumi.export("namespace", inputs.namespace)


def _in_aws(inputs: StackInputs) -> list[pulumi.Resource]:
    """Register what the app has in AWS, if it has any; return what its Pods need of that."""
    if inputs.role is None:
        return []
    # Here alone: not everybody has the SDK of AWS, or the memory for it.
    from stacks import aws_role

    return aws_role.declare(inputs, inputs.role)


def _starts_pods(manifest: Manifest) -> bool:
    """Whether it makes Pods with what the stack's Secrets hold."""
    others = {"Secret", "Service", "ServiceAccount", "PersistentVolumeClaim", "Ingress", "HTTPRoute", "NetworkPolicy"}
    return manifest["kind"] not in others


def stack_label_selector(stack: str) -> str:
    """Return the label selector that finds every object of a stack."""
    return f"{naming.STACK_LABEL}={stack}"
