"""The cluster that the demo, the tests and the benchmarks run on, ready to use.

With KUBECONFIG set it is that one; it needs a registry that it can pull from and its Pods can push to,
named in REVIEWAPP_REGISTRY. Otherwise it is the local one, brought up if need be.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
from typing import NoReturn

from dev import cluster, debian
from dev.cluster.layout import PROXIES
from dev.cluster.seccomp import BUILDAH_PROFILE, PROFILE
from dev.console import fail
from dev.images.publish import publish
from dev.toolchain.build import build
from dev.toolchain.components import CRANE, KUBERNETES
from dev.toolchain.engine import engine

BASE_IMAGE = "REVIEWAPP_DEV_BASE_IMAGE"
"""Variable that names the image which sample apps are built on."""

NO_CLUSTER = "REVIEWAPP_DEV_NO_CLUSTER"
"""Variable that says why there is no cluster for the tests."""

OUTSIDE = "REVIEWAPP_DEV_OUTSIDE"
"""Variable with the prefix of a command that has to reach package registries, quoted for a shell."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Where to run a program that works with the cluster.

    Attributes:
        environment: the program's environment: KUBECONFIG, PATH with the engine, and the settings
            (`REVIEWAPP_…`) that this cluster asks for.
        inside: what a command is prefixed with, so that it reaches the cluster; empty where any does.
    """

    environment: dict[str, str]
    inside: tuple[str, ...]

    def run(self, *command: str) -> NoReturn:
        """Go on as another program there; `OUTSIDE` of its environment leads commands back to where we are."""
        argv = [*self.inside, *command]
        os.execvpe(argv[0], argv, self.environment | {OUTSIDE: shlex.join(_way_back() if self.inside else ())})


def _way_back() -> tuple[str, ...]:
    """Return a prefix that runs a command in this network namespace, for as long as this process lives."""
    file = os.open("/proc/self/ns/net", os.O_RDONLY)
    os.set_inheritable(file, True)
    variables = [f"{name}={os.environ[name]}" for name in PROXIES if name in os.environ]
    # There, the local cluster is the one that no KUBECONFIG names.
    return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{file}", "--", "env", "--unset=KUBECONFIG", *variables)


def foreign() -> bool:
    """Whether the cluster is one that was here before us."""
    return bool(os.environ.get("KUBECONFIG"))


def registry() -> tuple[str, tuple[str, ...]]:
    """Return the cluster's registry, and the prefix of a command that reaches it.

    Raises:
        SystemExit: it is a foreign cluster's, and nobody says which.
    """
    if not foreign():
        return cluster.ClusterAccess.registry, cluster.ClusterAccess.inside
    given = os.environ.get("REVIEWAPP_REGISTRY")
    if not given:
        fail(
            "KUBECONFIG is set, but not REVIEWAPP_REGISTRY",
            "name a registry that the cluster pulls from and its Pods may push to, as host[:port][/path]; "
            "or unset KUBECONFIG, and a local cluster is brought up",
        )
    return given, ()


def prepare() -> Target:
    """Bring everything up that is missing, and say where to run."""
    folders = engine()
    host, inside = registry()
    if foreign():
        settings: dict[str, str] = {}
        kubeconfig = os.environ["KUBECONFIG"]
        if shutil.which("kubectl") is None:
            folders.append(build(KUBERNETES))
    else:
        debian.install()
        kubeconfig = str(cluster.up().kubeconfig)
        settings = {
            "REVIEWAPP_REGISTRY_INSECURE": "true",
            "REVIEWAPP_BUILDER_SECCOMP_PROFILE": PROFILE,
            "REVIEWAPP_BUILDAH_SECCOMP_PROFILE": BUILDAH_PROFILE,
        }
        folders.append(build(KUBERNETES))
    images = publish(host, inside)
    folders.append(build(CRANE))
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
    return Target(
        environment=os.environ
        | settings
        | {
            "KUBECONFIG": kubeconfig,
            "PATH": path,
            "REVIEWAPP_REGISTRY": host,
            "REVIEWAPP_UNPACK_IMAGE": images["unpack"],
            "REVIEWAPP_BUILDER_IMAGE": images["buildkit"],
            "REVIEWAPP_BUILDAH_IMAGE": images["buildah"],
            "REVIEWAPP_PUSH_IMAGE": images["crane"],
            "REVIEWAPP_POSTGRES_IMAGE": images["postgres"],
            "REVIEWAPP_CNPG_IMAGE": images["postgres"],
            "REVIEWAPP_DATABASE_VERSION": images["postgres"].rpartition(":")[2].partition("-")[0],
            BASE_IMAGE: images["busybox"],
        },
        inside=inside,
    )
