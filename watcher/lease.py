"""The Lease by which one of several watchers leads: what is in it, who holds it, and whether the holder is gone.

Pure but for `Identity.of_this_process` and `is_gone`, which look into `/proc`. Asks no API server.
https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import socket
import uuid

from provisioner import processes
from watcher.cluster import Object, section

NAME = "reviewapp"
"""Name of the Lease in the watcher's namespace."""
DURATION_SECONDS = 10
"""For how long after its last renewal nobody else takes it."""
# A holder that was written by another version, or by hand, keeps nobody waiting for longer.
_LONGEST_DURATION_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Identity:
    """One process that wants to lead.

    Attributes:
        host: the machine's name; in a cluster the Pod's.
        pid: the process.
        started: when it was started, in clock ticks since the host was.
        nonce: tells it from a process of a machine of the same name.
    """

    host: str
    pid: int
    started: int
    nonce: str

    @classmethod
    def of_this_process(cls) -> Identity:
        """Return who this is."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, processes.started_ticks(pid) or 0, uuid.uuid4().hex[:8])

    def __str__(self) -> str:
        return f"{self.host}_{self.pid}_{self.started}_{self.nonce}"


def parse(holder: str) -> Identity | None:
    """Return the identity that a Lease names; None where it is none of a watcher's."""
    parts = holder.rsplit("_", 3)
    if len(parts) != 4 or not parts[1].isdigit() or not parts[2].isdigit():
        return None
    return Identity(parts[0], int(parts[1]), int(parts[2]), parts[3])


def is_gone(holder: str) -> bool:
    """Whether a holder is a process of this host that is proven to have ended, as after a restart of a container."""
    identity = parse(holder)
    if identity is None or identity.host != socket.gethostname() or not identity.started:
        return False
    ticks = processes.started_ticks(os.getpid())
    return ticks is not None and processes.started_ticks(identity.pid) != identity.started


@dataclasses.dataclass(frozen=True)
class Record:
    """What a Lease says.

    Attributes:
        holder: who leads; empty where nobody does.
        version: the object's version, another one after each renewal.
        seconds: for how long after a renewal it is the holder's.
        terms: how often it has changed hands.
    """

    holder: str
    version: str
    seconds: float
    terms: int


def read(lease: Object) -> Record:
    """Return what a Lease says."""
    spec = section(lease, "spec")
    seconds = min(max(int(spec.get("leaseDurationSeconds") or DURATION_SECONDS), 1), _LONGEST_DURATION_SECONDS)
    return Record(
        holder=spec.get("holderIdentity") or "",
        version=lease["metadata"]["resourceVersion"],
        seconds=seconds,
        terms=int(spec.get("leaseTransitions") or 0),
    )


def held(lease: Object | None, holder: str, now: datetime.datetime) -> Object:
    """Return the Lease as its holder writes it, to take or to renew it; with the version of the one that was read."""
    spec = dict(section(lease or {}, "spec"))
    at = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if spec.get("holderIdentity") != holder:
        spec |= {
            "holderIdentity": holder,
            "acquireTime": at,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1,
        }
    spec |= {"leaseDurationSeconds": DURATION_SECONDS, "renewTime": at}
    return {"metadata": _metadata(lease), "spec": spec}


def released(lease: Object) -> Object:
    """Return the Lease as its holder leaves it: anybody may take it at once."""
    spec = section(lease, "spec") | {"holderIdentity": "", "leaseDurationSeconds": 1}
    return {"metadata": _metadata(lease), "spec": spec}


def _metadata(lease: Object | None) -> Object:
    if lease is None:
        return {"name": NAME}
    return {key: value for key, value in lease["metadata"].items() if key != "managedFields"}
