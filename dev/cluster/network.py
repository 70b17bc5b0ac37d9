"""The network namespace that the whole node lives in: nothing leaves it, and deleting it leaves no trace."""

from __future__ import annotations

import subprocess

from dev.cluster.layout import (
    INSIDE,
    NETWORK_NAMESPACE,
    NETWORK_NAMESPACE_FILE,
    NODE_ADDRESS,
    NODE_LINK,
    SERVICE_RANGE,
)
from dev.cluster.processes import ClusterError

_SETTINGS = {"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/default/rp_filter": "0"}


def create() -> None:
    """Make the namespace with the node's address on a link of its own, reachable from nowhere else."""
    _run("ip", "netns", "add", NETWORK_NAMESPACE)
    inside = ("ip", "-n", NETWORK_NAMESPACE)
    _run(*inside, "link", "set", "lo", "up")
    # A bridge without ports: kernels without the dummy driver have it too.
    _run(*inside, "link", "add", NODE_LINK, "type", "bridge")
    _run(*inside, "address", "add", f"{NODE_ADDRESS}/32", "dev", NODE_LINK)
    _run(*inside, "link", "set", NODE_LINK, "up")
    # A connection to a Service needs a route before kube-proxy's rules see it. There is none to anything else.
    _run(*inside, "route", "add", SERVICE_RANGE, "dev", NODE_LINK)
    # /proc/sys/net shows the namespace of whoever looks: these never touch the machine's own settings.
    _run(*INSIDE, "sh", "-ec", " ; ".join(f"echo {value} > /proc/sys/{name}" for name, value in _SETTINGS.items()))


def exists() -> bool:
    """Whether there is a namespace of that name, or the file that a half-made one leaves."""
    return NETWORK_NAMESPACE_FILE.exists()


def delete() -> None:
    """Delete the namespace, if it is there; its links and rules go when the last process leaves it."""
    if exists():
        _run("ip", "netns", "delete", NETWORK_NAMESPACE)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise ClusterError(
            f"the network namespace could not be set up: `{' '.join(command)}` said: {done.stderr.strip()}"
        )
