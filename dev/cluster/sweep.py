"""End and remove all that a node consists of, whether it was left whole, half or long dead.

Takes the kernel's word for what is the node's: its cgroups, the mounts below its folders, its network
namespace. Never ends a process for its pid or name alone.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

from dev.cluster import cgroups, layout, network, processes
from dev.cluster.processes import ClusterError

_PATIENCE_SECONDS = 8.0
_SETTINGS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
_SETTINGS_FILE = layout.RUN / "machine-settings.json"
_LOG_LINKS = (Path("/var/log/containers"), Path("/var/log/pods"))
_CNI_RESULTS = Path("/var/lib/cni/results")


def anything_left() -> bool:
    """Whether there is something of a node: running, or left by one that was killed."""
    return (
        layout.RUN.exists()
        or network.exists()
        or any((root / layout.CGROUP).exists() for root in cgroups.hierarchies())
    )


def remember_settings() -> None:
    """Write down the machine's settings that the kubelet changes, for `sweep` to put them back."""
    values = {name: Path("/proc/sys", name).read_text().strip() for name in _SETTINGS}
    _SETTINGS_FILE.write_text(json.dumps(values))


def sweep() -> None:
    """End the node's processes, then remove its mounts, network namespace, cgroups and run folder.

    Raises:
        ClusterError: something cannot be ended or removed; nothing below a mount is ever deleted.
    """
    _end_processes()
    _unmount()
    network.delete()
    stuck = cgroups.remove()
    if stuck:
        raise ClusterError(f"cgroups of the node stay in use: {' '.join(map(str, stuck))}")
    _restore_settings()
    _remove_links()
    remove_folder(layout.RUN)


def remove_folder(folder: Path) -> None:
    """Delete a folder of the node's, never through a mount.

    Raises:
        ClusterError: something is still mounted below it.
    """
    mounted = _mounts_below(folder)
    if mounted:
        raise ClusterError(f"not deleted, for something is mounted below: {' '.join(mounted)}")
    shutil.rmtree(folder, ignore_errors=True)


def _end_processes() -> None:
    """End the kubelet, so that it restarts nothing; then Pods and all other parts; the store last."""
    records = processes.records()
    alive = {name: record.pid for name, record in records.items() if record.alive}
    store = {alive["etcd"]} if "etcd" in alive else set[int]()
    processes.end({alive["kubelet"]} if "kubelet" in alive else set(), signal.SIGTERM, _PATIENCE_SECONDS)
    processes.end(cgroups.pod_processes(), signal.SIGKILL, _PATIENCE_SECONDS)
    processes.end(set(alive.values()) - store, signal.SIGTERM, _PATIENCE_SECONDS)
    processes.end(store, signal.SIGTERM, _PATIENCE_SECONDS)
    left: set[int] = set()
    # Again, for a process may have forked between the look and the signal.
    for _ in range(5):
        left = cgroups.processes()
        if not left:
            return
        processes.end(left, signal.SIGKILL, _PATIENCE_SECONDS)
    raise ClusterError(f"processes of the node do not end: {' '.join(map(str, sorted(left)))}")


def _unmount() -> None:
    for folder in (layout.STATE, layout.RUN):
        mounted = _mounts_below(folder)
        if mounted:
            subprocess.run(["umount", "--lazy", *mounted], capture_output=True, timeout=60, check=False)


def _mounts_below(folder: Path) -> list[str]:
    """Return the mount points at or below the folder, the last mounted first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    # The kernel writes spaces and the like as octal escapes.
    decoded = [point.encode().decode("unicode_escape") for point in points]
    return [point for point in reversed(decoded) if Path(point).is_relative_to(folder)]


def _restore_settings() -> None:
    if _SETTINGS_FILE.exists():
        for name, value in json.loads(_SETTINGS_FILE.read_text()).items():
            Path("/proc/sys", name).write_text(value)


def _remove_links() -> None:
    """Remove what kubelet and network plugins leave in places that no setting moves."""
    for folder in _LOG_LINKS:
        for link in folder.glob("*"):
            if link.is_symlink() and link.readlink().is_relative_to(layout.POD_LOGS):
                link.unlink()
    for result in _CNI_RESULTS.glob(f"{layout.NETWORK_NAMESPACE}-*"):
        result.unlink()
