"""`config.database`: the app's own database, and whose data it starts with. Comes out of the pull request."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from provisioner.fields import Model, ObjectName, Scalar, SecretName, Text
from provisioner.refusals import matching

# As pg_dump takes it: https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS
TablePattern = Annotated[
    str,
    Field(max_length=128),
    matching(r"[A-Za-z_*][A-Za-z0-9_$*?.]*", "must be a table's name or a pattern: letters, digits, '_', '*' and '?'"),
]
Identifier = Annotated[
    str, Field(max_length=63), matching(r"[A-Za-z_][A-Za-z0-9_$-]*", "must be a name: letters, digits, '_' and '-'")
]
Size = Annotated[
    str, Field(max_length=12), matching(r"[1-9][0-9]{0,5}(Mi|Gi|Ti)", "must be a size, as in 500Mi or 10Gi")
]
Version = Annotated[
    Scalar, matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "must be a version, as in 17 or 16.4: letters, digits, '.'")
]


class SecretReference(Model):
    """A key of a Secret in the app's namespace."""

    name: SecretName = Field(description="Name of the Secret.")
    key: Annotated[str, Field(max_length=253), matching(r"[A-Za-z0-9._-]+", "must be a Secret's key")] = Field(
        description="Key in the Secret."
    )


class ValueSource(Model):
    """A value that stands here, or that a Secret in the app's namespace holds."""

    value: Scalar | None = Field(default=None, description="The value itself; everyone can read it here.")
    secret_ref: SecretReference | None = Field(default=None, description="The Secret that holds it.")

    @model_validator(mode="after")
    def _one_of_both(self) -> ValueSource:
        if (self.value is None) == (self.secret_ref is None):
            raise PydanticCustomError("one_of", "give either value or secretRef, not both and not neither")
        return self


_PARTS = ("host", "port", "database", "user", "password")


class CopyFrom(Model):
    """The database whose data the app's own one starts with."""

    # The one key that the original resource writes with an underscore.
    database_url: ValueSource | None = Field(
        default=None, alias="database_url", description="Its address, as in postgresql://user:password@host:5432/name."
    )
    host: ValueSource | None = Field(default=None, description="Or its parts: host,")
    port: ValueSource | None = Field(default=None, description="port (5432 by default),")
    database: ValueSource | None = Field(default=None, description="database,")
    user: ValueSource | None = Field(default=None, description="user (postgres by default),")
    password: ValueSource | None = Field(default=None, description="password.")
    tables: tuple[TablePattern, ...] = Field(default=(), max_length=256, description="Tables to copy; all by default.")
    exclude_tables: tuple[TablePattern, ...] = Field(default=(), max_length=256, description="Tables to leave out.")
    # Not `schema`: that is a method of pydantic's models.
    schema_name: Identifier = Field(default="public", alias="schema", description="Schema to copy.")
    anonymise: Text | None = Field(default=None, description="SQL that is run on the copy before the app sees it.")

    @model_validator(mode="after")
    def _one_source(self) -> CopyFrom:
        parts = [name for name in _PARTS if getattr(self, name)]
        if (self.database_url is None) == (not parts):
            raise PydanticCustomError("one_of", "give either database_url, or host, database, user and password")
        if self.database_url is None and self.host is None:
            raise PydanticCustomError("no_host", "names no host: add host")
        if self.database_url and self.database_url.value is not None:
            _check_url(self.database_url.value)
        return self


def _check_url(url: str) -> None:
    """Refuse what the copy could not read; that a password holds @ : / or % is no reason."""
    scheme, separator, rest = url.partition("://")
    if scheme not in {"postgres", "postgresql"} or not separator:
        message = "database_url does not parse: it must begin with postgresql:// or postgres://"
        raise PydanticCustomError("url", message)
    # What stands before the last @ may be anything.
    address = rest.rpartition("@")[2]
    try:
        found = urlsplit(f"//{address}")
        valid = bool(found.hostname) and (found.port is None or found.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise PydanticCustomError(
            "url", "database_url does not parse: it must be postgresql://user:password@host:port/database"
        )


class Database(Model):
    """The app's own database."""

    backend: Literal["postgres", "kubedb", "cloudnative-pg"] = Field(
        default="postgres", description="What runs it: postgres needs no operator, the others are operators."
    )
    version: Version | None = Field(default=None, description="Version of the server; by default the installation's.")
    storage_size: Size | None = Field(default=None, description="Size of its volume, as in 1Gi.")
    storage_class: ObjectName | None = Field(default=None, description="StorageClass of its volume.")
    ephemeral: bool = Field(default=False, strict=True, description="Whether its data may go with its Pod.")
    extensions: tuple[Identifier, ...] = Field(
        default=(), max_length=32, description="Extensions made in it before its data."
    )
    copy_from: CopyFrom | None = Field(default=None, description="The database whose data it starts with.")
    reset: Annotated[Scalar, Field(max_length=256)] | None = Field(
        default=None, description="Any text; another one makes the database anew, and copies again."
    )
