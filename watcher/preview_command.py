"""The command `reviewapp preview`: read what is meant, preview it in a folder that goes with the process, print."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import typer
from rich.console import Console

from provisioner import documents
from provisioner.aws_plugin import plugins_for
from provisioner.backend import Backend
from provisioner.commands import SettingsFile, refuse
from provisioner.engine import Engine
from provisioner.errors import Refusal, ReviewAppError, SpecRefused
from provisioner.preview.document import document
from provisioner.preview.markdown import markdown
from provisioner.preview.model import Preview
from provisioner.preview.text import text
from provisioner.refusals import MISSING
from provisioner.render import read
from provisioner.settings import Settings
from provisioner.settings_sources import load
from provisioner.stack import Stacks
from provisioner.warm_up import warm_up
from watcher.cluster import Cluster, Object
from watcher.lookup import AppOrNone, find
from watcher.preview import merged
from watcher.preview import preview as preview_of
from watcher.progress import console


class Format(StrEnum):
    """How a preview is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def preview(
    app: AppOrNone = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="The ReviewApp as YAML or JSON, in place of APP; - is stdin.")
    ] = None,
    commit: Annotated[str | None, typer.Option(help="Preview APP as of another commit.")] = None,
    built: Annotated[bool, typer.Option("--built", help="As if the commit's build had succeeded.")] = False,
    output: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TEXT,
    settings: SettingsFile = None,
) -> None:
    """Show what the watcher's next update does to a review app's stack, without doing it, and without its lock.

    The exit code is 0 whether there is something to change or not, 2 if the ReviewApp is refused, with a line for
    each error, and 1 if there is no preview to be had.
    It needs the watcher's settings, and what those give access to: the state, the journal, and the app's objects.
    """
    if (app is None) == (file is None) or (file and commit):
        raise typer.BadParameter("name either APP, with --commit or without, or --file")
    installation = load(settings)
    place, written = _written(file) if file else (f"ReviewApp {app}", None)
    cluster = Cluster.from_environment()
    try:
        review_app = merged(cluster, written) if written else find(cluster, app or "")
        asked, assumptions = _with_commit(review_app, commit)
        with _stacks(installation) as stacks, console.status("asking the engine"):
            found = preview_of(cluster, installation, stacks, asked, built=built)
    except SpecRefused as refused:
        refuse(f"{place}: {refusal}" for refusal in refused.refusals)
    _print(dataclasses.replace(found, assumptions=(*assumptions, *found.assumptions)), output)


def _written(file: str) -> tuple[str, Object]:
    """Return where in a file its one ReviewApp stands, and that; refuse all else."""
    reading = documents.read(file)
    if reading.refused:
        refuse(f"{place}: {refusal}" for place, refusal in reading.refused)
    only, *others = reading.documents
    if others:
        refuse([f"{others[0].place}: text: is a further object: preview one at a time"])
    try:
        read(only.content)
        return only.place, _plain(cast("dict[str, Any]", only.content))
    except SpecRefused as refused:
        refuse(f"{only.place}: {only.path}{refusal}" for refusal in refused.refusals)


def _plain(content: dict[str, Any]) -> Object:
    """Return a ReviewApp with what a preview goes by.

    Raises:
        SpecRefused: it has no name.
    """
    metadata: object = content.get("metadata")
    fields = cast("dict[str, object]", metadata) if isinstance(metadata, dict) else {}
    name, annotations = fields.get("name"), fields.get("annotations")
    if not isinstance(name, str) or not name:
        raise SpecRefused([Refusal("metadata.name", "", MISSING)])
    found = cast("dict[str, object]", annotations).items() if isinstance(annotations, dict) else ()
    texts = {key: value for key, value in found if isinstance(value, str)}
    return {"metadata": {"name": name, "annotations": texts}, "spec": content["spec"]}


def _with_commit(review_app: Object, commit: str | None) -> tuple[Object, tuple[str, ...]]:
    """Return a ReviewApp as of another commit, and what is supposed with that."""
    present = review_app["spec"].get("commitHash")
    if commit is None or commit == present:
        return review_app, ()
    note = f"config and tarball are those of commit {str(present)[:12]}: the new commit's can differ"
    return review_app | {"spec": review_app["spec"] | {"commitHash": commit}}, (note,)


@contextmanager
def _stacks(settings: Settings) -> Generator[Stacks]:
    """Yield the installation's stacks, in a data folder of our own: the watcher may be at work in its.

    Raises:
        ReviewAppError: there is no state here.
    """
    url = urlsplit(settings.state_url)
    if url.scheme == "file" and not Path(url.path).is_dir():
        raise ReviewAppError(
            f"there is no state in {url.path}: run this where the watcher keeps it, or set backend_url to where it is"
        )
    engine = Engine(timeout_seconds=settings.engine_timeout_seconds, plugins=plugins_for(settings))
    with tempfile.TemporaryDirectory(prefix="reviewapp-preview-") as folder:
        own = settings.model_copy(update={"data_folder": Path(folder), "backend_url": settings.state_url})
        warm_up(roles=settings.aws_bucket is not None)
        stacks = Stacks(Backend(own, engine))
        try:
            yield stacks
        finally:
            stacks.stop()


def _print(found: Preview, output: Format) -> None:
    if output is Format.JSON:
        typer.echo(json.dumps(document(found), indent=2, ensure_ascii=False))
    elif output is Format.MARKDOWN:
        typer.echo(markdown(found), nl=False)
    else:
        Console(highlight=False, soft_wrap=True).print(text(found))
