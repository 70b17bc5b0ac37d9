"""An installation of the product on a cluster: CRD, namespaces, RBAC, and a watcher that runs from the checkout.

The watcher runs as a process of this machine, but as the service account that `deploy/` gives it, so
what it may do is what it may do in a Pod.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TextIO

import httpx
import yaml

from dev.console import Step, fail
from dev.paths import REPOSITORY, STATE
from stacks import naming
from watcher.cluster import NAMESPACES, Cluster

DEPLOY = REPOSITORY / "deploy"
_SERVICE_ACCOUNT = "reviewapp"
_NAMESPACE = "reviewapp-system"
_TOKEN_SECONDS = 24 * 3600
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_OTHERS_SECONDS = 1800.0
_GOING_SECONDS = 60.0
# A watcher that outlived its test would go on with the cluster, and keep the next one waiting.
DIES_WITH_US = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()
"""What a command is prefixed with, so that it is told to end when this process dies."""


@dataclasses.dataclass(frozen=True)
class WatcherCommand:
    """How a watcher is started, as often as need be.

    Attributes:
        command: program and arguments.
        environment: its whole environment.
        url: address of its health and metrics.
        log: what its log is appended to.
        lock: a descriptor that it keeps open, so that no other installation begins meanwhile.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    url: str
    log: Path
    lock: int

    @property
    def is_ready(self) -> bool:
        """Whether the watcher says that it is ready."""
        return _is_ready(self.url)

    def start(self) -> subprocess.Popen[bytes]:
        """Start it; return at once."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command, env=self.environment, stderr=log, cwd=REPOSITORY, pass_fds=(self.lock,)
            )


class Installation:
    """The product on one cluster, and where its watcher keeps state and log."""

    _lock: ClassVar[TextIO | None] = None

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self.folder = folder
        self.log = folder / "watcher.log"
        self.url = ""
        """Address of the running watcher's health and metrics."""
        folder.mkdir(parents=True, exist_ok=True)

    def install(self) -> None:
        """Apply what `deploy/` has, save the watcher's own Deployment; first wait for other installations to end."""
        self._wait_for_others()
        with Step("install the CRD, namespaces and RBAC"):
            for name in ("crd", "namespaces", "rbac", "admission"):
                _kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEPLOY / "base" / f"{name}.yaml"))
            self._take_back_other_rights()
            _kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/reviewapps.reviewtron.k8s.revelry.co")

    def _take_back_other_rights(self) -> None:
        """Delete what another version of `deploy/` gave everywhere: it would hide that this one lacks a right."""
        documents: list[Any] = list(yaml.safe_load_all((DEPLOY / "base" / "rbac.yaml").read_text()))
        ours = {document["metadata"]["name"] for document in documents}
        listed = _kubectl("get", "clusterrolebinding", "-l", "app.kubernetes.io/part-of=reviewapp", "-o", "name")
        for name in (line.partition("/")[2] for line in listed.split()):
            if name.startswith("reviewapp-") and name not in ours | {"reviewapp-bot"}:
                _kubectl("delete", "clusterrolebinding", name)

    def namespace(self, name: str, allow: str = "acme/*") -> None:
        """Make a namespace and open it to the repositories that `allow` names; wait for one of that name that is going.

        One that is there is opened all the same.
        """
        deadline = time.monotonic() + _GOING_SECONDS
        while (found := self._cluster.get(NAMESPACES, None, name)) and "deletionTimestamp" in found["metadata"]:
            if time.monotonic() > deadline:
                fail(
                    f"namespace {name} has been going for {_GOING_SECONDS:g} s", f"see `kubectl get ns {name} -o yaml`"
                )
            time.sleep(0.1)
        metadata = {"name": name, "annotations": {naming.ALLOW_ANNOTATION: allow}}
        if found is None:
            self._cluster.create(NAMESPACES, None, {"metadata": metadata})
        else:
            self._cluster.patch(NAMESPACES, None, name, {"metadata": metadata})

    def certificate(self, namespace: str, name: str) -> None:
        """Let the watcher read this Secret as the wildcard certificate."""
        manifests = (DEPLOY / "components/certificate/certificate.yaml").read_text()
        file = self.folder / "certificate.yaml"
        manifests = manifests.replace("namespace: certificates", f"namespace: {namespace}")
        file.write_text(manifests.replace("[wildcard-tls]", f"[{name}]"))
        _kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))

    @contextmanager
    def watcher(self, **settings: str) -> Generator[subprocess.Popen[bytes]]:
        """Run a watcher; end it gracefully with the block. Its log is `log`.

        Args:
            settings: settings by name, other than the environment has them.
        """
        process = self.start_watcher(**settings)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def environment(self, **settings: str) -> dict[str, str]:
        """Return this process's environment with the settings of a watcher that is started with these."""
        values = {
            "APP_DOMAIN": "review.example.com",
            "PASSPHRASE": "a passphrase for the demo only",
            "DATA_FOLDER": str(self.folder),
        } | settings
        return os.environ | {f"REVIEWAPP_{name.upper()}": value for name, value in values.items()}

    def start_watcher(self, server: str = "", host: str = "", **settings: str) -> subprocess.Popen[bytes]:
        """Start a watcher, wait until it is ready, and return its process.

        Args:
            server: as of `watcher_command`.
            host: as of `watcher_command`.
            settings: as of `watcher`.
        """
        command = self.watcher_command(server, host, **settings)
        process = command.start()
        self.url = command.url
        deadline = time.monotonic() + _START_SECONDS
        while not command.is_ready:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                fail(f"the watcher did not start:\n{_last_lines(self.log)}", f"see {self.log}")
            time.sleep(0.05)
        return process

    def watcher_command(
        self, server: str = "", host: str = "", module: str = "watcher", **settings: str
    ) -> WatcherCommand:
        """Return how a watcher is started.

        Args:
            server: where it finds the API server, if not at the cluster's own address.
            host: what it takes its machine's name to be, if not that which it has; of two watchers, each is to have its
                own then, as Pods do.
            module: what Python runs.
            settings: as of `watcher`.
        """
        environment = self.environment(**settings)
        environment["KUBECONFIG"] = str(self._kubeconfig(server, f"kubeconfig-{host}" if host else "kubeconfig"))
        port = _free_port()
        command = [*DIES_WITH_US, sys.executable, "-m", module, "watch", "--port", str(port)]
        if host:
            command = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host, *command]
        return WatcherCommand(
            tuple(command), environment, f"http://127.0.0.1:{port}", self.log, self._wait_for_others()
        )

    def _wait_for_others(self) -> int:
        """Wait until no other process works with an installation; two would bring the same ReviewApps to two states.

        Returns the descriptor of a lock, held until this process and all watchers that were given it have ended.
        """
        if Installation._lock is None:
            STATE.mkdir(parents=True, exist_ok=True)
            Installation._lock = (STATE / "watcher.lock").open("a+")
            if not _is_locked(Installation._lock):
                with Step("wait for another demo, test or benchmark to end") as step:
                    deadline = time.monotonic() + _OTHERS_SECONDS
                    while not _is_locked(Installation._lock):
                        Installation._lock.seek(0)
                        holder = Installation._lock.read().strip()
                        step.progress(f"process {holder}")
                        if time.monotonic() > deadline:
                            fail(f"process {holder} still runs, or a watcher that it started", "see whether it hangs")
                        time.sleep(0.2)
            Installation._lock.truncate(0)
            Installation._lock.write(f"{os.getpid()}\n")
            Installation._lock.flush()
        return Installation._lock.fileno()

    def _kubeconfig(self, server: str, name: str) -> Path:
        """Write a kubeconfig with a token of the watcher's service account."""
        token = _kubectl(
            "create", "token", _SERVICE_ACCOUNT, f"--namespace={_NAMESPACE}", f"--duration={_TOKEN_SECONDS}s"
        ).strip()
        document: dict[str, Any] = yaml.safe_load(_kubectl("config", "view", "--raw", "--minify", "--flatten"))
        document["users"][0]["user"] = {"token": token}
        if server:
            document["clusters"][0]["cluster"] = {"server": server}
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(document))
        return file


def _is_locked(file: TextIO) -> bool:
    """Lock a file for this process, unless another has it; return whether it is ours."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=1).is_success
    except httpx.HTTPError:
        return False


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:])


def _kubectl(*arguments: str) -> str:
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        fail(
            f"kubectl {' '.join(arguments)}: {done.stderr.strip()}",
            "see whether the cluster is up and KUBECONFIG is right",
        )
    return done.stdout
