"""`reviewapp platform`: what the installation has in AWS. Each command is a thin skin over `provisioner.platform`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provisioner.platform import Platform, PlatformResult
from provisioner.platform_settings import load_platform

platform = typer.Typer(
    no_args_is_help=True, help="Make what the installation has in AWS: buckets, key, roles, registry."
)

_File = Annotated[
    Path | None,
    typer.Option(
        "--settings", help="The platform's settings file, in place of what REVIEWAPP_PLATFORM_SETTINGS names."
    ),
]


@platform.command()
def preview(settings: _File = None) -> None:
    """Print what `platform up` would do."""
    _print(Platform(load_platform(settings)).preview(_step))


@platform.command()
def up(settings: _File = None) -> None:
    """Make the AWS account what the platform's settings say, and print what `reviewapp`'s own settings are to be."""
    _print(Platform(load_platform(settings)).up(_step))


@platform.command()
def destroy(
    settings: _File = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete it again, but for the key and the bucket with the review apps' state, which are kept.

    The bucket of tarballs must be empty.
    """
    loaded = load_platform(settings)
    made = Platform(loaded)
    if not yes:
        typer.confirm(f"Delete what {loaded.name} has in account {loaded.account}, {loaded.region}?", abort=True)
    _print(made.destroy(_step))


def _step(operation: str, kind: str, name: str) -> None:
    typer.echo(f"{operation} {kind} {name}", err=True)


def _print(result: PlatformResult) -> None:
    done = ", ".join(f"{count} {operation}" for operation, count in sorted(result.changes.items()) if count)
    typer.echo(done or "nothing to do", err=True)
    for name, value in sorted(result.outputs.items()):
        typer.echo(f"{name}: {value}")
