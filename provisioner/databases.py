"""From what a config asks of a database to what its stack declares, within the settings' limits. Pure."""

from __future__ import annotations

import dataclasses
import re

from pydantic import SecretStr

from provisioner.database_options import CopyFrom, ValueSource
from provisioner.database_options import Database as Asked
from provisioner.errors import Refusal, SpecRefused
from provisioner.quantities import number
from provisioner.settings import StackSettings
from stacks.database_names import CNPG_VERSION, KUBEDB_VERSIONS, database_name
from stacks.inputs import Database, DatabaseCopy

_FIELD = "spec.config.database"
_MOST_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Operators:
    """What the cluster has of the operators that run databases.

    Attributes:
        kubedb: the best API version that it serves of KubeDB's Postgres.
        kubedb_versions: the versions of PostgreSQL in KubeDB's catalogue; None where nobody has looked.
        cnpg: whether it serves CloudNativePG's Cluster.
    """

    kubedb: str | None = None
    kubedb_versions: tuple[str, ...] | None = None
    cnpg: bool = False


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of a ReviewApp's database beside its config.

    Attributes:
        operators: what the cluster serves; by default, what a cluster with all of them would.
        password: of a database that has none yet.
        ready: whether the one that was declared last, if one was, is ready with all data in it.
        attempt: which further database the ReviewApp's annotation asks for, as `naming.attempt` has it; empty for none.
    """

    operators: Operators = Operators(kubedb=KUBEDB_VERSIONS[0], cnpg=True)
    password: SecretStr = dataclasses.field(default_factory=lambda: SecretStr("not-drawn-yet"))
    ready: bool = False
    attempt: str = ""


def is_kept(asked: Asked, previous: Database | None, attempt: str) -> bool:
    """Whether the database that was declared last is the one that is asked for, and has been ready.

    Somebody who takes the annotation away, and with it the `attempt`, asks for nothing.
    """
    return (
        previous is not None
        and previous.settled
        and previous.token == (asked.reset or "")
        and attempt in {"", previous.attempt}
    )


def settle(database: Database) -> Database:
    """Return a database that was found ready: it is kept from now on, and what it was copied with is dropped."""
    # KubeDB's Pods mount their init script at each start.
    copy = database.copy_from if database.backend == "kubedb" else None
    return database.model_copy(update={"settled": True, "copy_from": copy})


def wanted_database(
    asked: Asked, app: str, settings: StackSettings, previous: Database | None, known: Known
) -> Database:
    """Return the database that a stack declares.

    One that has been ready stays as it is, whatever the config says since: its data is in it. A reset makes another.

    Args:
        asked: what the config says.
        app: the app's name.
        settings: the installation's.
        previous: what the stack declared last.
        known: what else is known.

    Raises:
        SpecRefused: the installation or the cluster does not give it.
    """
    if previous and is_kept(asked, previous, known.attempt):
        return previous
    attempt = known.attempt or (previous.attempt if previous else "")
    password = previous.password if previous else known.password
    wanted = _wanted(asked, attempt, app, settings, password, known.operators)
    return settle(wanted) if known.ready and (previous is None or previous == wanted) else wanted


def _wanted(
    asked: Asked, attempt: str, app: str, settings: StackSettings, password: SecretStr, operators: Operators
) -> Database:
    _check(asked, settings)
    backend = asked.backend
    version, api_version, image = asked.version or settings.database_version, "", ""
    if backend == "kubedb":
        api_version, version = _kubedb(asked, operators, settings.database_version)
        _require_allowed_version(version, settings)
    else:
        _require_allowed_version(version, settings)
        image = settings.postgres_image.replace("{version}", version)
        if backend == "cloudnative-pg":
            api_version, image = _cnpg(operators), settings.cnpg_image.replace("{version}", version)
    # The copy's own programs, where the operator's image is not ours to name.
    tools = image or settings.postgres_image.replace("{version}", settings.database_version)
    return Database(
        backend=backend,
        api_version=api_version,
        name=database_name(app, asked.reset or "", attempt),
        version=version,
        image=image,
        storage_size=asked.storage_size or settings.database_storage_size,
        storage_class=asked.storage_class or settings.database_storage_class,
        ephemeral=asked.ephemeral,
        extensions=asked.extensions,
        password=password,
        copy_from=_copy(asked, tools, settings),
        token=asked.reset or "",
        attempt=attempt,
    )


def _refuse(field: str, value: object, remedy: str) -> SpecRefused:
    return SpecRefused([Refusal(f"{_FIELD}.{field}" if field else _FIELD, repr(value), remedy)])


def _check(asked: Asked, settings: StackSettings) -> None:
    most = settings.database_maximum_storage_size
    if asked.storage_size and number(asked.storage_size) > number(most):
        raise _refuse(
            "storageSize", asked.storage_size, f"is more than this installation gives: ask for at most {most}"
        )
    classes = settings.database_storage_classes
    if asked.storage_class and asked.storage_class not in {*classes, settings.database_storage_class}:
        remedy = f"is not a class that this installation gives: {_choose(classes)}"
        raise _refuse("storageClass", asked.storage_class, remedy)
    allowed = settings.database_extensions
    for extension in asked.extensions:
        if allowed and extension not in allowed:
            raise _refuse("extensions", extension, f"is not one that this installation gives: {_choose(allowed)}")
    if asked.ephemeral and asked.backend == "cloudnative-pg":
        raise _refuse("ephemeral", True, "is not to be had from cloudnative-pg: remove it, or use another backend")
    if asked.extensions and asked.backend == "kubedb" and asked.copy_from is None:
        remedy = "are made by the copy with kubedb: add copyFrom, or have migrate make them"
        raise _refuse("extensions", ", ".join(asked.extensions), remedy)


def _kubedb(asked: Asked, operators: Operators, default: str) -> tuple[str, str]:
    if operators.kubedb is None:
        raise _refuse("backend", "kubedb", "is not installed in this cluster: use postgres, or install KubeDB")
    known = operators.kubedb_versions
    if known is None:
        return operators.kubedb, asked.version or default
    if asked.version is None:
        if not known:
            raise _refuse("version", "", "is missing, and KubeDB's catalogue is empty: name one that it has")
        return operators.kubedb, max(known, key=_as_numbers)
    if asked.version not in known:
        raise _refuse("version", asked.version, f"is not in KubeDB's catalogue: {_choose(known)}")
    return operators.kubedb, asked.version


def _cnpg(operators: Operators) -> str:
    if not operators.cnpg:
        remedy = "is not installed in this cluster: use postgres, or install CloudNativePG"
        raise _refuse("backend", "cloudnative-pg", remedy)
    return CNPG_VERSION


def _require_allowed_version(version: str, settings: StackSettings) -> None:
    allowed = settings.database_versions
    if allowed and version not in allowed:
        raise _refuse("version", version, f"is not one that this installation gives: {_choose(allowed)}")


def _copy(asked: Asked, image: str, settings: StackSettings) -> DatabaseCopy | None:
    copy = asked.copy_from
    if copy is None:
        return None
    sources: dict[str, ValueSource | None] = {
        "COPY_URL": copy.database_url,
        "COPY_HOST": copy.host,
        "COPY_PORT": copy.port,
        "COPY_DATABASE": copy.database,
        "COPY_USER": copy.user,
        "COPY_PASSWORD": copy.password,
    }
    texts = {
        "COPY_SCHEMA": copy.schema_name,
        "COPY_TABLES": "\n".join(copy.tables),
        "COPY_EXCLUDED_TABLES": "\n".join(copy.exclude_tables),
        "COPY_ANONYMISE": copy.anonymise or "",
        "COPY_ALLOWED_HOSTS": _allowed_hosts(copy, settings.copy_hosts),
    }
    given = {name: source.value for name, source in sources.items() if source and source.value is not None}
    given |= {name: text for name, text in texts.items() if text}
    return DatabaseCopy(
        values=given,
        references={
            name: (source.secret_ref.name, source.secret_ref.key)
            for name, source in sources.items()
            if source and source.secret_ref
        },
        image=image,
        retries=settings.database_copy_retries,
    )


def _allowed_hosts(copy: CopyFrom, rule: str) -> str:
    """Return the hosts that the copy itself holds an address of the config to, as it reads it; any if empty.

    What a Secret holds is the word of the namespace's owner, as everywhere in the rules.
    """
    source = copy.database_url or copy.host
    is_given = source is not None and source.value is not None
    return "" if rule.strip() == "*" or not is_given else " ".join(rule.replace(",", " ").lower().split())


def _as_numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall("[0-9]+", version)]


def _choose(names: tuple[str, ...]) -> str:
    if not names:
        return "it gives none"
    shown = sorted(names, key=lambda name: (_as_numbers(name), name))[-_MOST_SHOWN:]
    return f"choose from {', '.join(shown)}"
