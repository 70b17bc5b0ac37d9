"""The seccomp profiles for rootless builders: Moby's default, and the calls that make containers in a container.

Writes what runtimes read (the OCI form): Moby's file also has rules that hold for some architectures or
capabilities only, which are decided here.
"""

from __future__ import annotations

import json
import platform
from typing import Any

from dev.toolchain.modules import module_folder

PROFILE = "profiles/rootless-buildkit.json"
"""As a Pod names it in `seccompProfile.localhostProfile`."""

BUILDAH_PROFILE = "profiles/rootless-buildah.json"
"""The same for Buildah, whose steps run below a chroot."""

_MOBY = "github.com/moby/profiles/seccomp@v0.3.0"

NESTED_CONTAINERS = (
    "add_key",
    "clone",
    "clone3",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "keyctl",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "sethostname",
    "setns",
    "umount2",
    "unshare",
)
"""What rootlesskit and runc need inside a Pod, beyond Moby's default for a container without capabilities."""

_NAMES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}


def text(*further: str) -> str:
    """The profile for this machine, as JSON; with further system calls allowed."""
    moby = json.loads((module_folder(_MOBY) / "default.json").read_text())
    return json.dumps(profile(moby, platform.machine(), *further), indent=1)


def profile(moby: dict[str, Any], machine: str, *further: str) -> dict[str, Any]:
    """Derive the profile from Moby's.

    Args:
        moby: the parsed `default.json` of Moby's profiles.
        machine: as `uname -m` says.
        further: system calls to allow beside those that containers in a container need.
    """
    allowed = (*NESTED_CONTAINERS, *further)
    architecture, seccomp_architecture = _NAMES[machine]
    architectures = next(row for row in moby["archMap"] if row["architecture"] == seccomp_architecture)
    rules: list[dict[str, Any]] = []
    for rule in moby["syscalls"]:
        names = [name for name in rule["names"] if name not in allowed]
        if names and _holds(rule, architecture):
            kept = {key: rule[key] for key in ("action", "errnoRet", "args") if key in rule}
            rules.append({"names": names, **kept})
    rules.append({"names": list(allowed), "action": "SCMP_ACT_ALLOW"})
    return {
        "defaultAction": moby["defaultAction"],
        "defaultErrnoRet": moby["defaultErrnoRet"],
        "architectures": [seccomp_architecture, *(architectures["subArchitectures"] or [])],
        "syscalls": rules,
    }


def _holds(rule: dict[str, Any], architecture: str) -> bool:
    """Whether a rule holds on this architecture for a container that has none of the capabilities it names."""
    includes, excludes = rule.get("includes", {}), rule.get("excludes", {})
    if includes.get("caps") or architecture in excludes.get("arches", []):
        return False
    return not includes.get("arches") or architecture in includes["arches"]
