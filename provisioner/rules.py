"""The rules of an installation: what a platform's owner lets ReviewApps ask for. Their settings, and the check. Pure.

What only the cluster can tell (labels of Secrets, how many apps live) is checked by the watcher.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings

from provisioner.database_options import CopyFrom, ValueSource
from provisioner.errors import Refusal, SpecRefused
from provisioner.patterns import BadPattern, parse_list
from provisioner.refusals import escaped, matching
from provisioner.review_app import Spec

_HOST = re.compile(r"[\w.:-]+")
# What a connection address can name a server by beside its own host.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_SERVER_PARAMETERS = ("host", "hostaddr", "service", "servicefile")


def _patterns(text: str) -> str:
    try:
        found = parse_list(text)
    except BadPattern as bad:
        raise PydanticCustomError("pattern", "must be a list of patterns: {why}", {"why": str(bad)}) from None
    if not found:
        raise PydanticCustomError("pattern", "must have a pattern: write owner/repo, as in acme/shop or acme/site-*")
    return text


class Rules(BaseSettings):
    """What a platform's owner lets ReviewApps ask for."""

    repos: Annotated[str, AfterValidator(_patterns)] = Field(
        default="*/*",
        description="Repositories that get review apps: owner/repo, '*' for any characters in a part, commas between.",
    )
    forks: Literal["deny", "without-secrets", "allow"] = Field(
        default="deny",
        description=(
            "What a pull request from a fork gets: nothing (deny), no env.secrets, build.secrets and "
            "copyFrom (without-secrets), or all (allow)."
        ),
    )
    named_objects: Literal["any", "labelled"] = Field(
        default="any",
        description="Which Secrets and ConfigMaps of its namespace a config may name: any, or those with our label.",
    )
    copy_hosts: Annotated[
        str, matching(r"\s*[\w.*:-]+(\s*,\s*[\w.*:-]+)*\s*", "must be a list of hosts, as in *.db.example.com")
    ] = Field(
        default="*",
        description=(
            "Hosts that a copyFrom may name: '*' for any characters, commas between. What a Secret "
            "holds is its owner's word."
        ),
    )
    most_apps: int | None = Field(
        default=None, ge=1, description="How many review apps may live; no limit if left out."
    )
    most_apps_per_repo: int | None = Field(
        default=None, ge=1, description="How many of one repository may; no limit if left out."
    )
    when_full: Literal["oldest-wins", "oldest-waits"] = Field(
        default="oldest-wins",
        description=(
            "Who waits where there are more: the new ones, or the oldest, which are taken down and "
            "come back when there is room."
        ),
    )


class NotAllowed(SpecRefused):
    """The installation's rules do not give what the ReviewApp asks for."""

    reason = "NotAllowed"


class Named(NamedTuple):
    """An object of the app's namespace that a config names."""

    field: str
    kind: Literal["Secret", "ConfigMap"]
    name: str


def require_allowed(spec: Spec, rules: Rules) -> None:
    """Look whether the rules give what a ReviewApp asks for.

    Raises:
        NotAllowed: they do not; with one refusal for each field.
    """
    wrong = [*_repository(spec, rules), *_fork(spec, rules), *_copy(spec, rules)]
    if wrong:
        raise NotAllowed(wrong)


def named_objects(spec: Spec) -> list[Named]:
    """Return the Secrets and ConfigMaps that a config names, but for those of its database."""
    config = "spec.config"
    environment = spec.config.env
    found = [Named(f"{config}.env.secrets[{i}]", "Secret", name) for i, name in enumerate(environment.secrets)]
    found += [
        Named(f"{config}.env.configMaps[{i}]", "ConfigMap", name) for i, name in enumerate(environment.config_maps)
    ]
    for i, name in enumerate(spec.config.build.secrets if spec.config.build else ()):
        found.append(Named(f"{config}.build.secrets[{i}]", "Secret", name))
    if spec.config.registry_secret_name:
        found.append(Named(f"{config}.registrySecretName", "Secret", spec.config.registry_secret_name))
    return found + [
        Named(f"{field}.secretRef.name", "Secret", source.secret_ref.name)
        for field, source in _sources(spec)
        if source.secret_ref
    ]


def _repository(spec: Spec, rules: Rules) -> Iterator[Refusal]:
    if not any(pattern.takes(spec.repo_owner, spec.repo) for pattern in parse_list(rules.repos)):
        remedy = f"gets no review apps here: the setting repos is {rules.repos}"
        yield Refusal("spec.repo", f"{spec.repo_owner}/{spec.repo}", remedy)


def _fork(spec: Spec, rules: Rules) -> Iterator[Refusal]:
    if not spec.fork or rules.forks == "allow":
        return
    if rules.forks == "deny":
        yield Refusal(
            "spec.fork", "true", "pull requests from forks get no review apps here: the setting forks is deny"
        )
        return
    remedy = "is not for pull requests from forks: remove it (the setting forks is without-secrets)"
    if _copy_from(spec):
        yield Refusal("spec.config.database.copyFrom", "", remedy)
    for named in named_objects(spec):
        # The image is pulled with it by the node; nothing that runs in the app sees it. Of the copy all has been said.
        if named.kind == "Secret" and (".env." in named.field or ".build." in named.field):
            yield Refusal(named.field, repr(named.name), remedy)


def _copy(spec: Spec, rules: Rules) -> Iterator[Refusal]:
    """Check what stands in the spec. A Secret's value is the word of the namespace's owner, not the pull request's."""
    allowed = [part.strip().lower() for part in rules.copy_hosts.split(",")]
    if allowed == ["*"]:
        return
    for field, source in _sources(spec):
        kind = field.rpartition(".")[2]
        if source.value is None or kind not in {"host", "database_url"}:
            continue
        hosts = source.value.split(",") if kind == "host" else _hosts(source.value)
        if not hosts or not all(_takes(allowed, host) for host in hosts):
            # An address can hold a password.
            shown = escaped(source.value) if kind == "host" else "(not shown)"
            yield Refusal(
                field, shown, f"is no host that data may be copied from: the setting copy_hosts is {rules.copy_hosts}"
            )


def _takes(allowed: list[str], host: str) -> bool:
    # A path is a socket's, which is no host.
    return bool(_HOST.fullmatch(host)) and any(fnmatchcase(host.lower(), name) for name in allowed)


def _hosts(address: str) -> list[str]:
    """Return every server that a connection address can lead to; none where that can't be told."""
    try:
        url = urlsplit(address)
        query = parse_qs(url.query, keep_blank_values=True)
    except ValueError:
        return []
    if url.scheme not in {"postgres", "postgresql"}:
        return []
    hosts = [unquote(_without_port(part)) for part in url.netloc.rpartition("@")[2].split(",")]
    for name in _SERVER_PARAMETERS:
        hosts += [host for value in query.get(name, []) for host in value.split(",")]
    return hosts


def _without_port(host: str) -> str:
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def _copy_from(spec: Spec) -> CopyFrom | None:
    return spec.config.database.copy_from if spec.config.database else None


def _sources(spec: Spec) -> Iterator[tuple[str, ValueSource]]:
    copy_from = _copy_from(spec)
    for name, field in CopyFrom.model_fields.items():
        source = getattr(copy_from, name, None)
        if isinstance(source, ValueSource):
            yield f"spec.config.database.copyFrom.{field.alias or name}", source
