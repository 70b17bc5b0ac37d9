"""The command `reviewapp adopt`: say what there is of the older operator's for review apps, and take it over."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.commands import SettingsFile
from provisioner.errors import ReviewAppError
from provisioner.review_app import Spec, Status, parse
from provisioner.rules import require_allowed
from provisioner.settings import StackSettings
from provisioner.tenancy import require_open
from stacks import naming
from watcher.adoption import Plan, plan
from watcher.cluster import NAMESPACES, Cluster, Object, section
from watcher.installation_checks import settings as settings_of
from watcher.journal import Entry, Journal
from watcher.lookup import AppOrNone, find, namespaces, review_apps
from watcher.old_objects import look
from watcher.submission import deleting
from watcher.takeover import Takeover


def adopt(
    app: AppOrNone = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="All ReviewApps that have no stack yet.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    settings: SettingsFile = None,
) -> None:
    """Take over what the older operator has made for review apps, without a restart of an app or its database.

    What runs goes on as it runs until the next commit. Stop the older operator
    before. It can be broken off and run again. The exit code is 1 if one of them
    can't be adopted, which then is as it was.
    """
    if (app is None) != all_of_them:
        raise typer.BadParameter("name either APP or --all")
    cluster = Cluster.from_environment()
    values = _settings(cluster, settings)
    journal = Journal(cluster, values.namespace)
    journal.load()
    failed: list[str] = []
    for review_app in [find(cluster, app)] if app else review_apps(cluster):
        name = review_app["metadata"]["name"]
        try:
            done = adopt_one(cluster, values, journal, review_app, dry_run=dry_run)
        except ReviewAppError as error:
            typer.echo(f"  can't    {error}")
            done = False
        if not done:
            failed.append(name)
    if failed:
        raise ReviewAppError(f"not adopted: {', '.join(failed)}; see above")


def _settings(cluster: Cluster, file: SettingsFile) -> StackSettings:
    values, found = settings_of(cluster, file, namespaces(file)[0])
    if values is None:
        raise ReviewAppError("\n".join(f"{finding.what} {finding.remedy}".strip() for finding in found))
    return values


def adopt_one(
    cluster: Cluster, settings: StackSettings, journal: Journal, review_app: Object, *, dry_run: bool = False
) -> bool:
    """Adopt one review app, and print what comes of it; return whether it is, or with `dry_run` could be, adopted.

    Raises:
        ReviewAppError: it is not, or not wholly.
    """
    name = review_app["metadata"]["name"]
    typer.echo(name)
    spec = parse(review_app.get("spec"))
    entry = journal.get(name)
    if entry and not _is_begun(review_app, entry):
        typer.echo(f"  has the stack {entry.inputs.stack} already")
        return True
    if deleting(review_app) and not entry:
        raise ReviewAppError("it is being deleted: delete what the older operator has made for it by hand")
    where = entry.inputs.namespace if entry else spec.config.namespace
    old = look(cluster, naming.app_name(spec.repo, spec.pr), where, settings.build_namespace, settings.tls_secret)
    if entry:
        typer.echo("  was begun; is ended now" if not dry_run else "  was begun: run it without --dry-run to end it")
        takeover = Takeover(cluster, entry.inputs)
    else:
        _require_let_in(cluster, spec, settings)
        found = plan(spec, Status.read(review_app.get("status")), settings, old)
        _print(found)
        if found.obstacles:
            return False
        takeover = Takeover(cluster, found.inputs)
        if not dry_run:
            takeover.note(name, journal, settings.build_namespace)
    if not dry_run:
        takeover.label_others(old)
        takeover.take()
        takeover.tell(name)
        typer.echo("  adopted: the watcher makes it a stack")
    return True


def _is_begun(review_app: Object, entry: Entry) -> bool:
    """Whether an adoption was broken off: noted, and not told of yet."""
    told = naming.ADOPTED_ANNOTATION in section(review_app, "metadata", "annotations")
    # What a ReviewApp asks of the watcher has a build.
    by_adoption = entry.inputs.workload.adopted is not None or entry.inputs.build is None
    return entry.phase == "applying" and by_adoption and not told


def _require_let_in(cluster: Cluster, spec: Spec, settings: StackSettings) -> None:
    require_allowed(spec, settings)
    namespace = cluster.get(NAMESPACES, None, spec.config.namespace)
    require_open(spec, namespace and section(namespace, "metadata", "annotations"))


def _print(found: Plan) -> None:
    for word, lines in (
        ("takes", found.takes),
        ("changes", found.changes),
        ("leaves", found.left),
        ("can't", found.obstacles),
    ):
        for line in lines:
            typer.echo(f"  {word:<8} {line}")
