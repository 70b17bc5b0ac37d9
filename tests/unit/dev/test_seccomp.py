"""The profile for rootless BuildKit, derived from a small profile of Moby's shape."""

from __future__ import annotations

from typing import Any

from dev.cluster import seccomp

MOBY: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": None},
    ],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["bpf", "mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_LT"}]},
    ],
}


def _actions(profile: dict[str, Any]) -> dict[str, list[str]]:
    actions: dict[str, list[str]] = {}
    for rule in profile["syscalls"]:
        for name in rule["names"]:
            actions.setdefault(name, []).append(rule["action"])
    return actions


def test_only_what_this_architecture_has_is_taken() -> None:
    assert "arch_prctl" in _actions(seccomp.profile(MOBY, "x86_64"))
    assert "arch_prctl" not in _actions(seccomp.profile(MOBY, "aarch64"))
    assert seccomp.profile(MOBY, "x86_64")["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]


def test_what_needs_a_capability_stays_refused_unless_it_is_wanted() -> None:
    actions = _actions(seccomp.profile(MOBY, "x86_64"))
    assert "bpf" not in actions
    assert actions["mount"] == ["SCMP_ACT_ALLOW"]


def test_no_rule_contradicts_what_is_added() -> None:
    actions = _actions(seccomp.profile(MOBY, "x86_64"))
    assert {name: actions[name] for name in seccomp.NESTED_CONTAINERS} == {
        name: ["SCMP_ACT_ALLOW"] for name in seccomp.NESTED_CONTAINERS
    }


def test_conditions_on_arguments_stay() -> None:
    rules = seccomp.profile(MOBY, "x86_64")["syscalls"]
    assert [rule["args"] for rule in rules if rule["names"] == ["socket"]] == [MOBY["syscalls"][4]["args"]]
