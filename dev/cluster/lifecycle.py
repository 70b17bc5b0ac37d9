"""Bring the node up, take it down, say how it is.

A node runs whole or not at all: where a part is missing or is not the one wanted, all is ended, cleaned
away and started again from the state that is kept, which takes a few seconds and has one way to go wrong.
"""

from __future__ import annotations

import dataclasses
import datetime
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from string import Template

from dev import debian
from dev.cluster import certificates, cgroups, control_plane, layout, network, node, sweep
from dev.cluster.layout import ClusterAccess
from dev.cluster.processes import ClusterError, Part, Record, end, log_tail, records, start, wait_until
from dev.console import Step, say
from dev.images.recipes import coredns
from dev.toolchain.build import build, is_built, programs_folder
from dev.toolchain.components import CONTAINERD, ETCD, KUBERNETES

_COMPLETE = layout.RUN / "complete"
_LOCK_SECONDS = 600.0
_KILL_SECONDS = 10.0
_MANIFEST = Path(__file__).with_name("coredns.yaml")


@dataclasses.dataclass(frozen=True)
class PartStatus:
    """How one part is.

    Attributes:
        name: the part.
        pid: of its process, where it runs.
        log: its log file.
    """

    name: str
    pid: int | None
    log: Path


@dataclasses.dataclass(frozen=True)
class ClusterStatus:
    """How the node is.

    Attributes:
        parts: each part that there should be.
        ready: whether all run as wanted, the API server answers, and the node is Ready.
        leftovers: whether nothing runs as wanted but something of a node is there.
    """

    parts: tuple[PartStatus, ...]
    ready: bool
    leftovers: bool


def why_not() -> str | None:
    """Why this machine cannot run the cluster; None where it can."""
    if sys.platform != "linux":
        return f"a node needs Linux, and this is {sys.platform}"
    if os.geteuid() != 0:
        return "a node needs root, for network namespaces, mounts and cgroups"
    lacking = [name for name, bit in (("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)) if not _capabilities() >> bit & 1]
    if lacking:
        return f"a node needs {' and '.join(lacking)}, which root does not have here"
    roots = cgroups.hierarchies()
    if not roots or not all(os.access(root, os.W_OK) for root in roots):
        return "a node needs cgroups that can be written to below /sys/fs/cgroup"
    return None


def up() -> ClusterAccess:
    """Bring the cluster up, unless it is; install and build first what it needs.

    Raises:
        ClusterError: it did not come up; the text names the part and shows the end of its log.
        SystemExit: a package or a program could not be had.
    """
    reason = why_not()
    if reason is not None:
        raise ClusterError(f"{reason}; set KUBECONFIG to use a cluster of your own")
    debian.install()
    for component in (ETCD, CONTAINERD, KUBERNETES):
        build(component)
    with _lock():
        parts = _parts()
        if _is_whole(parts) and _node_is_ready():
            return ClusterAccess()
        _explain_and_clean()
        with Step("start the cluster") as step:
            _start(parts, step)
    return ClusterAccess()


def down(*, wipe: bool = False) -> None:
    """End all that `up` started, and what a killed one left; the built programs and images stay.

    Args:
        wipe: whether the state goes too: objects, the node's and the registry's images, certificates, logs.

    Raises:
        ClusterError: something could not be ended or removed.
    """
    with _lock():
        if sweep.anything_left():
            with Step("stop the cluster"):
                sweep.sweep()
        if wipe and layout.STATE.exists():
            with Step(f"delete the cluster's state, {layout.STATE}"):
                sweep.remove_folder(layout.STATE)


@contextmanager
def without(name: str) -> Generator[None]:
    """Kill one part of the running node, do the block, and start that part again; then the node is whole.

    Nobody else starts or stops the node meanwhile.

    Raises:
        ClusterError: the part did not run, or did not come up again.
    """
    with _lock():
        parts, found = _parts(), records()
        if name not in found or not found[name].alive:
            raise ClusterError(f"{name} does not run: nothing was done")
        end({found[name].pid}, signal.SIGKILL, _KILL_SECONDS)
        try:
            yield
        finally:
            begun = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
            watched = [start(parts[name], cgroups.create())]
            wait_until(parts[name], "the API server is ready", _api_server_is_ready, 90, watched)
            since = begun if name == "kubelet" else None
            wait_until(parts[name], f"the node {layout.NODE_NAME} is Ready", lambda: _node_is_ready(since), 90, watched)


def status() -> ClusterStatus:
    """How the node is, without changing anything."""
    found = records()
    parts: list[PartStatus] = []
    for name in (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "registry",
        "containerd",
        "kubelet",
        "kube-proxy",
    ):
        alive = name in found and found[name].alive
        parts.append(PartStatus(name, found[name].pid if alive else None, layout.LOGS / f"{name}.log"))
    whole = _COMPLETE.exists() and all(part.pid is not None for part in parts)
    ready = whole and is_built(KUBERNETES) and _node_is_ready()
    return ClusterStatus(tuple(parts), ready, leftovers=not ready and sweep.anything_left())


def _parts() -> dict[str, Part]:
    """Return every part as it should run, by name, in the order of their start; write their configuration."""
    certificates.ensure()
    kubernetes = programs_folder(KUBERNETES)
    parts = (
        control_plane.etcd(programs_folder(ETCD)),
        control_plane.api_server(kubernetes),
        node.containerd(programs_folder(CONTAINERD)),
        node.registry(),
        control_plane.controller_manager(kubernetes),
        control_plane.scheduler(kubernetes),
        node.kubelet(kubernetes),
        node.kube_proxy(kubernetes),
    )
    return {part.name: part for part in parts}


def _is_whole(parts: dict[str, Part]) -> bool:
    found = records()
    return _COMPLETE.exists() and all(
        name in found and found[name].alive and found[name].recipe == part.recipe for name, part in parts.items()
    )


def _explain_and_clean() -> None:
    if not sweep.anything_left():
        return
    found = records()
    dead = [record.name for record in found.values() if not record.alive]
    if not _COMPLETE.exists():
        label = "clean up after a start that was broken off"
    elif dead:
        say(f"ended without `down`: {', '.join(dead)}")
        if len(dead) < len(found):
            say(log_tail(dead[0]))
        label = "clean up what they left"
    else:
        label = "stop the running cluster: its versions or settings are not the ones wanted, or it does not answer"
    with Step(label):
        sweep.sweep()


def _start(parts: dict[str, Part], step: Step) -> None:
    layout.RUN.mkdir(mode=0o755)
    sweep.remember_settings()
    network.create()
    try:
        membership = cgroups.create()
    except OSError as error:
        raise ClusterError(f"the node's cgroups cannot be made: {error}") from error
    running: list[Record] = []

    def begin(*names: str) -> None:
        running.extend(start(parts[name], membership) for name in names)

    def wait(name: str, what: str, probe: Callable[[], bool], seconds: float) -> None:
        step.progress(what)
        wait_until(parts[name], what, probe, seconds, running)

    programs = programs_folder(CONTAINERD)
    begin("etcd", "kube-apiserver", "containerd", "registry")
    wait("containerd", "containerd takes requests", lambda: node.runtime_answers(programs), 30)
    node.load_images(programs)
    wait("kube-apiserver", "the API server is ready", _api_server_is_ready, 90)
    begun = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    begin("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    _apply_dns()
    wait("kubelet", f"the node {layout.NODE_NAME} is Ready", lambda: _node_is_ready(begun), 90)
    wait("kube-controller-manager", "namespaces have service accounts", _service_account_exists, 60)
    wait("kubelet", "the cluster's DNS answers", _dns_answers, 60)
    _COMPLETE.touch()


def _node_is_ready(since: datetime.datetime | None = None) -> bool:
    """Whether the node reports Ready, and has done so since then: a store that was kept still says what was.

    A node that is taken for running is asked with patience: being busy is no reason to start it anew.
    """
    answer = _kubectl("get", "node", layout.NODE_NAME, "--output=json", seconds=3 if since else 30)
    if answer.returncode:
        return False
    for condition in json.loads(answer.stdout)["status"].get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return since is None or datetime.datetime.fromisoformat(condition["lastHeartbeatTime"]) >= since
    return False


def _api_server_is_ready() -> bool:
    return _kubectl("get", "--raw=/readyz").returncode == 0


def _service_account_exists() -> bool:
    return _kubectl("get", "serviceaccount", "default", "--namespace=default").returncode == 0


def _dns_answers() -> bool:
    """Whether a name is found through the DNS Service: kube-proxy, the Pod network and CoreDNS all work."""
    name = "kubernetes.default.svc.cluster.local"
    command = [*layout.INSIDE, "timeout", "2", "busybox", "nslookup", name, layout.DNS_SERVICE_ADDRESS]
    return (
        layout.API_SERVICE_ADDRESS
        in subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout
    )


def _apply_dns() -> None:
    filled = Template(_MANIFEST.read_text()).substitute(
        image=node.image_reference(coredns()), address=layout.DNS_SERVICE_ADDRESS
    )
    how = ("--server-side", "--force-conflicts", "--field-manager=reviewapp-dev")
    done = _kubectl("apply", *how, "--filename=-", given=filled, seconds=30)
    if done.returncode:
        raise ClusterError(f"the API server did not take the DNS server's objects: {done.stderr.strip()}")


def _kubectl(*arguments: str, given: str | None = None, seconds: int = 3) -> subprocess.CompletedProcess[str]:
    program = str(programs_folder(KUBERNETES) / "kubectl")
    settings = (f"--kubeconfig={layout.KUBECONFIG}", f"--request-timeout={seconds}s")
    command = [*layout.INSIDE, program, *settings, *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


def _capabilities() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return int(line.split()[1], 16)


@contextmanager
def _lock() -> Generator[None]:
    """Hold the machine's only node, so that two starts or stops do not meet."""
    deadline = time.monotonic() + _LOCK_SECONDS
    told = False
    with layout.LOCK.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"another start or stop has held {layout.LOCK} for {_LOCK_SECONDS:g} s"
                    ) from None
                if not told:
                    told = True
                    say("waiting for another start or stop of the cluster to end")
                time.sleep(0.2)
        yield
