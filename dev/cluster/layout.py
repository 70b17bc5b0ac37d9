"""Where the local node lives: its addresses, its folders, its name. Holds constants and does nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

NODE_NAME = "node1"
NETWORK_NAMESPACE = "reviewapp"
NETWORK_NAMESPACE_FILE = Path("/run/netns") / NETWORK_NAMESPACE
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""Variables that name a proxy."""
INSIDE = ("nsenter", f"--net={NETWORK_NAMESPACE_FILE}", "--", "env", *(f"--unset={name}" for name in PROXIES))
"""Put before a command, this runs it in the node's network namespace, from where no proxy can be reached."""

NODE_LINK = "node0"
NODE_ADDRESS = "10.250.0.1"
POD_RANGE = "10.244.0.0/24"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_SERVICE_ADDRESS = "10.96.0.10"
API_SERVER = f"https://{NODE_ADDRESS}:6443"
REGISTRY = f"{NODE_ADDRESS}:5000"

CGROUP = "reviewapp-dev"
"""The cgroup, directly below the root of each hierarchy, that everything of the node is in."""

STATE = Path("/var/lib/reviewapp-dev")
"""What a stopped cluster keeps: etcd's data, the node's images, the registry's content, certificates, logs."""

RUN = Path("/run/reviewapp-dev")
"""What ends with the cluster: sockets, records of processes. One node per machine, whatever clone it is run from."""

LOGS = STATE / "logs"
CONFIGURATION = STATE / "configuration"
CERTIFICATES = STATE / "certificates"
KUBECONFIG = STATE / "admin.kubeconfig"
ETCD = STATE / "etcd"
KUBELET = STATE / "kubelet"
POD_LOGS = STATE / "pod-logs"
CONTAINERD = STATE / "containerd"
REGISTRY_CONTENT = STATE / "registry"
CONTAINERD_SOCKET = RUN / "containerd.sock"

LOCK = Path("/run/reviewapp-dev.lock")


@dataclasses.dataclass(frozen=True)
class ClusterAccess:
    """How to reach a running cluster.

    Attributes:
        kubeconfig: the file for `KUBECONFIG`.
        registry: host and port of an image registry that both the caller's namespace and the nodes reach.
        inside: prefix of a command that has to reach the cluster; empty where no prefix is needed.
    """

    kubeconfig: Path = KUBECONFIG
    registry: str = REGISTRY
    inside: tuple[str, ...] = INSIDE
