"""What the parts of a database are called, by its backend. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stacks import naming
from stacks.inputs import Database

COMPONENT: Final = "database"
"""Value of `naming.COMPONENT_LABEL` on what is the database's."""

COPY_COMPONENT: Final = "database-copy"
"""Value of `naming.COMPONENT_LABEL` on what copies data into it."""

PORT: Final = 5432

USER: Final = 999
"""Uid and gid of `postgres` in the official images, on Debian: https://github.com/docker-library/postgres."""

KUBEDB_VERSIONS: Final = ("kubedb.com/v1", "kubedb.com/v1alpha2", "kubedb.com/v1alpha1")
"""The API versions of KubeDB's Postgres, best first."""

CNPG_VERSION: Final = "postgresql.cnpg.io/v1"

_OWNERS: Final[Mapping[str, str]] = {"postgres": "app", "kubedb": "postgres", "cloudnative-pg": "app"}
_DATABASES: Final[Mapping[str, str]] = {"postgres": "app", "kubedb": "postgres", "cloudnative-pg": "app"}


def database_name(app: str, token: str, attempt: str = "") -> str:
    """Return the name of an app's database; each reset has another one, so that nothing of the last is met."""
    asked = "\n".join([token, attempt]) if attempt else token
    return naming.part_name(app, f"db-{naming.attempt(asked)}" if asked else "db")


def auth_secret_name(database: Database) -> str:
    """Return the name of the Secret with the database's user and password."""
    return f"{database.name}-auth"


def copy_secret_name(database: Database) -> str:
    """Return the name of the Secret with what the copy is told, for KubeDB with the script too."""
    return f"{database.name}-copy"


def host(database: Database) -> str:
    """Return the name of the Service that leads to the database."""
    return f"{database.name}-rw" if database.backend == "cloudnative-pg" else database.name


def user(database: Database) -> str:
    """Return whom the app is in its database."""
    return _OWNERS[database.backend]


def own_name(database: Database) -> str:
    """Return the name of the database in the server."""
    return _DATABASES[database.backend]


def auth_keys(database: Database) -> tuple[str, str]:
    """Return the keys of user and password in the Secret, as the operator reads them."""
    if database.api_version == "kubedb.com/v1alpha1":
        return "POSTGRES_USER", "POSTGRES_PASSWORD"
    return "username", "password"
