"""A real one-node Kubernetes cluster on this machine, in a network namespace of its own."""

from __future__ import annotations

from dev.cluster.layout import ClusterAccess
from dev.cluster.lifecycle import ClusterStatus, PartStatus, down, status, up, why_not, without
from dev.cluster.processes import ClusterError

__all__ = ["ClusterAccess", "ClusterError", "ClusterStatus", "PartStatus", "down", "status", "up", "why_not", "without"]
