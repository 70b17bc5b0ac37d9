"""The commands that look into one review app's stack by way of the cluster. Each is a thin skin over functions."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import SecretStr

from provisioner.backend import in_use
from provisioner.engine import Engine
from provisioner.errors import ReviewAppError
from provisioner.inventory import stack_names
from provisioner.reencryption import reencrypt
from provisioner.settings import load
from provisioner.workspace import write
from watcher import lease
from watcher.cluster import LEASES, Cluster
from watcher.journal import Entry, Journal
from watcher.lookup import App, stack_called

_POLL_SECONDS = 0.5
_OLD_VARIABLE: Final = "REVIEWAPP_OLD_PASSPHRASE"


class ReviewAppUnknown(ReviewAppError):
    """The journal has no review app of this name."""

    reason = "ReviewAppUnknown"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no review app {name!r} has a stack: name it as owner/repo#pr, by its stack or by its ReviewApp "
            "(`kubectl get reviewapps` lists them)"
        )


state = typer.Typer(no_args_is_help=True, help="Work on Pulumi's state of all stacks.")


@state.callback()
def _state() -> None:  # pyright: ignore[reportUnusedFunction] - with it, a single command keeps its name.
    pass


@state.command("reencrypt")
def reencrypt_state(
    old_passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the old passphrase; by default it is in REVIEWAPP_OLD_PASSPHRASE.")
    ] = None,
) -> None:
    """Encrypt the secrets in the state of every stack by the passphrase of the settings, in place of the old one.

    To be run while no watcher runs, where the watcher's data folder is. It can be broken off and run again.
    """
    settings = load()
    older = _old_passphrase(old_passphrase_file)
    engine = Engine(timeout_seconds=settings.engine_timeout_seconds)
    _require_no_watcher(settings.namespace)
    failed = 0
    with in_use(settings.data_folder, alone=True):
        names = stack_names(settings, engine)
        for number, (stack, outcome) in enumerate(reencrypt(names, settings, older, engine), 1):
            failed += isinstance(outcome, ReviewAppError)
            typer.echo(f"{number}/{len(names)} {stack}: {outcome}", err=isinstance(outcome, ReviewAppError))
    if failed:
        raise ReviewAppError(f"{failed} of {len(names)} stacks have their old key still: see above, and run this again")
    typer.echo(f"{len(names)} stacks are encrypted by the new passphrase, and were read back with it")


def _old_passphrase(file: Path | None) -> SecretStr:
    try:
        text = file.read_text(encoding="utf-8").strip() if file else os.environ.get(_OLD_VARIABLE, "")
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text:
        where = f"{file} can't be read or is empty" if file else f"{_OLD_VARIABLE} is not set"
        raise ReviewAppError(f"there is no old passphrase: {where}: put it there, from the Secret that has it")
    return SecretStr(text)


def _require_no_watcher(namespace: str) -> None:
    """Refuse to go on beside a watcher, where the cluster can be asked whether one leads."""
    try:
        leads = _leads(Cluster.from_environment(), namespace)
    except ReviewAppError as error:
        typer.echo(f"note: whether a watcher runs elsewhere could not be seen ({error})", err=True)
        return
    if leads:
        command = f"kubectl -n {namespace} scale deployment/reviewapp --replicas=0"
        raise ReviewAppError(f"a watcher runs in namespace {namespace}: stop it first, with `{command}`")


def _leads(cluster: Cluster, namespace: str) -> bool:
    """Whether a watcher holds the Lease: one that was killed is seen not to renew it."""
    first = cluster.get(LEASES, namespace, lease.NAME)
    if first is None or not lease.read(first).holder or lease.is_gone(lease.read(first).holder):
        return False
    deadline = time.monotonic() + lease.read(first).seconds
    while time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        now = cluster.get(LEASES, namespace, lease.NAME)
        if now is None or not lease.read(now).holder:
            return False
        if lease.read(now).version != lease.read(first).version:
            return True
    return False


def workspace(app: App, folder: Annotated[Path, typer.Argument(help="Where; made if need be.", metavar="DIR")]) -> None:
    """Write a folder in which the plain pulumi CLI works on a review app's stack.

    In a clone of this project, name the clone itself.
    """
    settings = load()
    engine = Engine(timeout_seconds=settings.engine_timeout_seconds)
    entry = find(Cluster.from_environment(), settings.namespace, app)
    notes = write(folder, entry.inputs, settings, engine)
    if entry.phase != "applied":
        notes.insert(0, f"its last update or destroy has not ended well (it is {entry.phase})")
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{folder}: stack {entry.inputs.stack}, for `reviewapp unlock` and then `pulumi`")


def find(cluster: Cluster, namespace: str, name: str) -> Entry:
    """Return what the journal says of a review app.

    Args:
        cluster: where the journal is.
        namespace: the watcher's.
        name: `owner/repo#pr`, the stack's name, or the ReviewApp's.

    Raises:
        ReviewAppUnknown: there is none of that name.
    """
    journal = Journal(cluster, namespace)
    journal.load()
    entry = journal.get(name) or journal.get(journal.holder(stack_called(name)) or "")
    if entry is None:
        raise ReviewAppUnknown(name)
    return entry
