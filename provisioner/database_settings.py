"""The settings of databases: what runs them, and what configs may ask for."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from provisioner.database_options import Size
from provisioner.setting_types import Name


class DatabaseSettings(BaseSettings):
    """What a platform owner decides of databases; a part of the installation's settings."""

    postgres_image: str = Field(
        default="docker.io/library/postgres:{version}",
        description=(
            "PostgreSQL of the backend postgres, and of copies; {version} is the database's. Laid out"
            " as docker.io/library/postgres on Debian, where the user postgres is 999."
        ),
    )
    cnpg_image: str = Field(
        default="ghcr.io/cloudnative-pg/postgresql:{version}", description="PostgreSQL of the backend cloudnative-pg."
    )
    database_version: str = Field(default="17", description="Version of a database whose config names none.")
    database_versions: tuple[str, ...] = Field(default=(), description="Versions that configs may name; any if empty.")
    database_storage_size: Size = Field(default="1Gi", description="Size of a database whose config names none.")
    database_maximum_storage_size: Size = Field(default="10Gi", description="The most that configs may ask for.")
    database_storage_class: Name | None = Field(
        default=None, description="StorageClass of databases; the cluster's default if left out."
    )
    database_storage_classes: tuple[Name, ...] = Field(default=(), description="Others that configs may name.")
    database_extensions: tuple[str, ...] = Field(
        default=(), description="Extensions that configs may name; any if empty."
    )
    database_copy_retries: int = Field(default=3, ge=0, le=10, description="How often a failed copy is tried again.")
