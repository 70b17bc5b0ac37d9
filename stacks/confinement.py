"""What boxes an app's Pod in: who its containers run as, what they may do and take. Pure.

Holds what the restricted Pod Security Standard asks for; an app that may run as root holds the baseline one.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import Final

from stacks.inputs import Confinement
from stacks.manifest import Manifest

# What the entry points of common images that start as root do: give files away, then become somebody else.
_ROOT_CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE", "SETGID", "SETUID")
_SCRATCH: Final = "tmp"
_SCRATCH_SIZE: Final = "1Gi"


def pod_context(confinement: Confinement | None) -> Manifest:
    """Return the `securityContext` of the Pod."""
    context: Manifest = {"seccompProfile": {"type": "RuntimeDefault"}}
    if confinement and not confinement.root:
        context["runAsNonRoot"] = True
    return context


def container_fields(confinement: Confinement | None) -> Manifest:
    """Return what stands in each container of the Pod: `securityContext`, `resources` and `volumeMounts`."""
    context: Manifest = {"allowPrivilegeEscalation": False}
    if confinement is None:
        return {"securityContext": context}
    context["capabilities"] = {"drop": ["ALL"]}
    if confinement.root:
        context["capabilities"]["add"] = list(_ROOT_CAPABILITIES)
    fields: Manifest = {
        "securityContext": context,
        "resources": {
            "requests": {"cpu": confinement.cpu_request, "memory": confinement.memory_request},
            "limits": {"cpu": confinement.cpu_limit, "memory": confinement.memory_limit},
        },
    }
    if confinement.read_only_root:
        context["readOnlyRootFilesystem"] = True
        fields["volumeMounts"] = [{"name": _SCRATCH, "mountPath": "/tmp"}]  # noqa: S108 - in a container of its own.
    return fields


def volumes(confinement: Confinement | None) -> Manifest:
    """Return the `volumes` of the Pod, as a field of its spec; nothing where there are none."""
    if confinement is None or not confinement.read_only_root:
        return {}
    return {"volumes": [{"name": _SCRATCH, "emptyDir": {"sizeLimit": _SCRATCH_SIZE}}]}
