"""The Debian packages that the cluster and its images are made of, installed when they are missing.

Never lets a package start a service: whatever runs here is started by `dev/cluster/` and ended by it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dev.console import Step, fail

CLUSTER_PACKAGES = (
    "containernetworking-plugins",
    "docker-registry",
    "iproute2",
    "iptables",
    "kmod",
    "nftables",
    "runc",
    "util-linux",
)
"""What the node runs, or calls."""

IMAGE_PACKAGES = (
    "buildah",
    "busybox-static",
    "ca-certificates",
    "postgresql",
    "postgresql-contrib",
    "python3",
    "runc",
    "uidmap",
)
"""What `dev/images/` packs into images."""

_POLICY = Path("/usr/sbin/policy-rc.d")
_DEADLINE_SECONDS = 900


def installed_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The version of each of these packages that is installed; those that are not are left out."""
    output = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\t${Package}\t${Version}\n", *packages],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    rows = (line.split("\t") for line in output.splitlines())
    return {package: version for status, package, version in rows if status.startswith("ii")}


def install(packages: tuple[str, ...] = CLUSTER_PACKAGES + IMAGE_PACKAGES) -> None:
    """Install those of the packages that are missing; does nothing, in a few milliseconds, when none is.

    Raises:
        SystemExit: this is not Debian or one of its children, or apt-get failed.
    """
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        fail(
            "this machine has no apt-get", "run this on Debian 12 or newer, or set KUBECONFIG to a cluster of your own"
        )
    present = installed_versions(packages)
    missing = sorted({package for package in packages if package not in present})
    if not missing:
        return
    with Step(f"install Debian packages: {' '.join(missing)}") as step, _no_service_starts():
        _apt(step, "update")
        _apt(step, "install", "--yes", "--no-install-recommends", *missing)


def _apt(step: Step, *arguments: str) -> None:
    command = ["timeout", str(_DEADLINE_SECONDS), "apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    lines: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            step.progress(lines[-1])
    if process.returncode:
        tail = "\n    ".join(lines[-12:])
        fail(
            f"apt-get {arguments[0]} failed (exit {process.returncode}):\n    {tail}",
            "mend what apt-get says and run this again",
        )


@contextmanager
def _no_service_starts() -> Generator[None]:
    """Forbid packages to start services meanwhile, as policy-rc.d(8) provides for; an existing policy is kept."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
