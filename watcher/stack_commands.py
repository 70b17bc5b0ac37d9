"""`reviewapp workspace`: let the plain CLI look into one review app's stack, found by way of the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provisioner.engine import Engine
from provisioner.errors import ReviewAppError
from provisioner.settings_sources import load
from provisioner.workspace import write
from watcher.cluster import Cluster
from watcher.journal import Entry, Journal
from watcher.lookup import App, stack_called


class ReviewAppUnknown(ReviewAppError):
    """The journal has no review app of this name."""

    reason = "ReviewAppUnknown"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no review app {name!r} has a stack: name it as owner/repo#pr, by its stack or by its ReviewApp "
            "(`kubectl get reviewapps` lists them)"
        )


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
