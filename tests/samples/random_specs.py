"""Hypothesis strategies for what ReviewApps can ask for and platform owners can set, all of it valid."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

from provisioner.settings import StackSettings

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
# What readers of YAML take for something other than text.
_TRAPS = st.sampled_from(
    ["", "y", "No", "null", "~", "012", "0o7", "1e3", "12:30", "2026-01-01", "<<", "=", "- a", "a: b"]
)
_TEXTS = _TEXT | _TRAPS
# Of a command, YAML has to hold what JSON writes as it is.
_ARGUMENTS = _TEXTS.filter(lambda text: not re.search("[\x7f-\x9f\ufeff\ufffe\uffff]", text))
_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_NAMESPACE = _LABEL.filter(lambda name: not name.startswith("kube-") and name not in {"reviewapp-system", "builds"})
_SECRET_NAME = _LABEL.filter(lambda name: not name.endswith("--tls"))
_WORD = st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True)
_VARIABLE = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
_COMMIT = st.from_regex(r"[0-9a-fA-F]{7,64}", fullmatch=True) | st.sampled_from(
    ["1234567", "12e4567", "0x12345"[2:] * 2]
)
_ADDRESS = st.from_regex(r"(https?|s3)://[a-z0-9.]{1,20}/[A-Za-z0-9._/-]{1,20}([?#][!-~]{0,20})?", fullmatch=True)


def _lists(of: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(of, max_size=3)


_ENVIRONMENT: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "secrets": _lists(_SECRET_NAME),
        "configMaps": _lists(_LABEL),
        "values": st.lists(
            st.fixed_dictionaries({"name": _VARIABLE, "value": _TEXTS | st.integers() | st.booleans()}),
            max_size=4,
            unique_by=lambda entry: entry["name"],
        ),
    },
)
_MIGRATE: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"command": _lists(_ARGUMENTS), "args": _lists(_ARGUMENTS)}
)
_CONFIG: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"namespace": _NAMESPACE, "applicationPort": st.integers(1, 65_535)},
    optional={
        "registrySecretName": _LABEL,
        "migrate": _MIGRATE,
        "env": _ENVIRONMENT,
    },
)


def specs() -> st.SearchStrategy[dict[str, Any]]:
    """The spec of a ReviewApp, as JSON has it."""
    return st.fixed_dictionaries(
        {
            "repoOwner": _WORD,
            "repo": _WORD,
            "branch": st.just("feature/new-basket"),
            "pr": st.from_regex(r"[1-9][0-9]{0,9}", fullmatch=True),
            "commitHash": _COMMIT,
            "tarballUrl": _ADDRESS,
            "config": _CONFIG,
        }
    )


def stack_settings() -> st.SearchStrategy[StackSettings]:
    """What a platform owner decides of stacks."""
    values: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {"app_domain": st.just("review.example.com"), "registry": st.just("registry.example.com:5000/apps")},
        optional={
            "registry_insecure": st.booleans(),
            "build_namespace": st.just("builds"),
            "push_secret_name": _LABEL,
            "tarball_secret_name": _LABEL,
            "s3_endpoint_url": st.just("http://s3.example.com"),
            "tls_secret": st.just("reviewapp-system/wildcard"),
            "ingress_class": _LABEL,
            "builder_seccomp_profile": st.just("profiles/buildkit.json"),
        },
    )
    return values.map(lambda given: StackSettings(**given))
