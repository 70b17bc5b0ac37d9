"""`reviewapp state`: work on Pulumi's state of all stacks. Each command is a thin skin over functions."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import SecretStr
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from provisioner import state_copy
from provisioner.decryption import require_decryptable
from provisioner.engine import Engine
from provisioner.errors import ReviewAppError
from provisioner.inventory import stack_names
from provisioner.reencryption import reencrypt
from provisioner.refusals import without_credentials
from provisioner.settings_sources import load
from provisioner.state_copy import Backup
from provisioner.state_store import StateStore, open_store
from provisioner.workspace import prepare
from watcher.absence import no_watcher
from watcher.cluster import Cluster
from watcher.journal import Journal
from watcher.progress import console

_OLD_VARIABLE: Final = "REVIEWAPP_OLD_PASSPHRASE"

state = typer.Typer(no_args_is_help=True, help="Work on Pulumi's state of all stacks.")


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
    failed = 0
    with no_watcher(settings) as require:
        names = stack_names(settings, engine)
        for number, (stack, outcome) in enumerate(reencrypt(names, settings, older, engine), 1):
            failed += isinstance(outcome, ReviewAppError)
            typer.echo(f"{number}/{len(names)} {stack}: {outcome}", err=isinstance(outcome, ReviewAppError))
            require()
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


@state.command()
def migrate(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The backend that has the stacks, as in backend_url.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The one that is to have them: file, s3 or postgres.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be moved, and move nothing.")] = False,
) -> None:
    """Move every stack from one state backend to another, with its tags and history, and compare both.

    To be run while no watcher runs, where the watcher's data folder is. It can be broken off and run again; until
    its end the stacks are in FROM. Passwords are better in PGPASSWORD than in an address, which others can see.
    """
    settings = load()
    here, there = _store(source), _store(target)
    if source == target:
        raise ReviewAppError(f"both are {without_credentials(source)}: name another place to move to")
    if dry_run:
        stacks = state_copy.by_stack(here)
        for name in sorted(stacks):
            typer.echo(f"{name}: {len(stacks[name])} objects")
        typer.echo(f"{len(stacks)} stacks would be moved to {without_credentials(target)}")
        return
    engine = Engine(timeout_seconds=settings.engine_timeout_seconds)
    with no_watcher(settings) as require:
        if state_copy.have_gone(here, there, target):
            typer.echo(f"all stacks are in {without_credentials(target)} already: set backend_url to it")
            return
        state_copy.require_unlocked(here)
        target_settings = settings.model_copy(update={"backend_url": target})
        prepare(target_settings, engine)
        state_copy.begin(here, source, there, target)
        total = len(state_copy.by_stack(here))
        for _ in _shown("moving", total, state_copy.copy(here, there)):
            require()
        count = state_copy.compare(here, there)
        require_decryptable(target_settings, engine)
        require()
        state_copy.finish(here, there, target)
    typer.echo(
        f"{count} stacks are in {without_credentials(target)}, and were compared: set backend_url to it and start the "
        f"watcher. What is in {without_credentials(source)} still, no watcher works on: delete it when all is well"
    )


@state.command()
def backup(file: Annotated[Path, typer.Argument(help="Where to; replaced if it is there.")]) -> None:
    """Write the state of every stack to a file, also while a watcher runs.

    What is secret in it is encrypted as it is in the state: without the passphrase, or the key, it is worth nothing. It
    has no ReviewApps and no journal: those are objects of the cluster, and in its backup.
    """
    settings = load()
    source = _store(settings.state_url)
    total = len(state_copy.by_stack(source))
    for _ in _shown("backing up", total, ((stack, "copied") for stack in state_copy.back_up(source, file))):
        pass
    count = len(state_copy.by_stack(Backup(file)))
    typer.echo(f"{count} stacks are in {file}: keep it where neither the cluster nor the backend is")


@state.command()
def restore(
    file: Annotated[
        Path | None, typer.Argument(help="A file of `state backup`; none if the state was put back by other means.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of stacks that are there.")] = False,
) -> None:
    """Put the state of every stack back, and have the watcher look at each once: changes since then are caught up with.

    To be run while no watcher runs, where the watcher's data folder is. It can be broken off and run again.
    """
    settings = load()
    target = _store(settings.state_url)
    engine = Engine(timeout_seconds=settings.engine_timeout_seconds)
    with no_watcher(settings) as require:
        if file:
            source = Backup(file)
            prepare(settings, engine)
            state_copy.require_unlocked(target)
            state_copy.require_empty(target, source, replace=replace)
            total = len(state_copy.by_stack(source))
            for _ in _shown("restoring", total, state_copy.copy(source, target)):
                require()
            count = state_copy.compare(source, target)
            typer.echo(f"{count} stacks are as they were at {source.made}")
        require_decryptable(settings, engine)
        require()
        try:
            journal = Journal(Cluster.from_environment(), settings.namespace)
            journal.load()
            for entry in journal.all():
                if entry.phase == "applied":
                    # As after an update that was cut off: it is finished, whatever the state knows.
                    journal.write(dataclasses.replace(entry, phase="applying"))
        except ReviewAppError as error:
            raise ReviewAppError(
                f"the journal could not be written ({error}): run `reviewapp state restore`, without a file, where the "
                "cluster can be reached, or the watcher takes each stack for what it was last asked to be"
            ) from None
    typer.echo("start the watcher: it looks at each stack once")


def _store(url: str) -> StateStore:
    store = open_store(url)
    if store is None:
        kind = url.partition("://")[0]
        raise ReviewAppError(f"{kind}:// can't be read here, but file, s3 and postgres can: use what {kind} itself has")
    return store


def _shown(label: str, total: int, steps: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Show each step when it is done, by a bar on a terminal and by lines elsewhere; yield its stack."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[stack]}")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=total, stack="")
        for number, (stack, outcome) in enumerate(steps, 1):
            progress.update(task, advance=1, stack=stack)
            if not console.is_terminal:
                typer.echo(f"{number}/{total} {stack}: {outcome}")
            yield stack
