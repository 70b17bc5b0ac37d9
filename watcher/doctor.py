"""`reviewapp doctor`: look at an installation from one end to the other, and say what is wrong and what to do."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from bot.untrusted import printable
from provisioner.commands import SettingsFile
from provisioner.engine import Engine
from provisioner.errors import SettingsRefused
from provisioner.settings import Settings, StackSettings
from watcher import installation_checks as installation
from watcher import leftover_checks as leftovers
from watcher import state_checks
from watcher.cluster import REVIEW_APPS, ApiRefused, Cluster, Object, section
from watcher.findings import Check, Finding, results, wrong
from watcher.lookup import namespaces
from watcher.parts import app_namespace

_STYLES = {"ok": "green", "wrong": "red", "unknown": "yellow"}
# So many SubjectAccessReviews for each.
_MOST_NAMESPACES = 5


def doctor(
    settings: SettingsFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Leave out what is as it should be.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Remove what is left over, after a question.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Answer each question of --fix with yes.")] = False,
) -> None:
    """Check the installation and all review apps; say what is wrong, and what to do about it.

    Nothing is changed without --fix, which removes objects and stacks that no
    ReviewApp asks for, and none that this program did not make. The exit code is
    1 if anything is wrong. What can't be seen from here (`unknown`) is not:
    settings and pulumi are the watcher's.
    """
    counts = dict.fromkeys(_STYLES, 0)
    console = Console(highlight=False, soft_wrap=True)
    for finding in _findings(Cluster.from_environment(), settings):
        counts[finding.verdict] += 1
        if quiet and finding.verdict == "ok":
            continue
        console.print(Text(f"{finding.verdict:<9}", style=_STYLES[finding.verdict]) + Text(printable(finding.what)))
        if finding.remedy:
            console.print(Text(f"{'':<9}→ {finding.remedy}"))
        if fix and finding.fix and (yes or typer.confirm(f"{'':<9}Remove it?")):
            console.print(Text(f"{'':<9}✓ {printable(finding.fix())}"))
            counts[finding.verdict] -= 1
            counts["ok"] += 1
    console.print(Text(f"{counts['wrong']} wrong, {counts['unknown']} unknown, {counts['ok']} ok"))
    if counts["wrong"]:
        raise typer.Exit(1)


def _findings(cluster: Cluster, file: Path | None) -> Iterator[Finding]:
    """Yield what is found, in an order in which each cause comes before what follows from it."""
    try:
        system, builds = namespaces(file)
    except SettingsRefused as refused:
        yield wrong(f"settings: {refused}", "")
        return
    visit = _Visit(cluster, file, system, builds)
    for what, check in visit.checks().items():
        found = list(results(what, check))
        yield from found
        if check == visit.server and any(finding.verdict != "ok" for finding in found):
            return


class _Visit:
    """One look at an installation; what one check learns, later ones use.

    Args:
        cluster: where it is.
        file: the settings file, if one is named.
        system: the watcher's namespace.
        builds: the namespace of builds.
    """

    def __init__(self, cluster: Cluster, file: Path | None, system: str, builds: str) -> None:
        self._cluster = cluster
        self._file = file
        self._system = system
        self._builds = builds
        self._settings: StackSettings | None = None
        self._engine: Engine | None = None
        self._stacks: set[str] | None = None
        self._sees_state = False

    def checks(self) -> dict[str, Check]:
        """Return the checks, by what they look at."""
        return {
            "the API server": self.server,
            "the CRD": self.crd,
            "the settings": self.settings,
            "the namespaces": self.namespaces,
            "the Secrets of the settings": self.secrets,
            "the watcher": self.watcher,
            "the watcher's rights": self.rights,
            "the engine": self.engine,
            "the state of stacks": self.state,
            "the ReviewApps": self.not_ready,
            "the journal": self.journal,
            "the objects of stacks": self.objects,
            "the backend's stacks": self.stacks,
        }

    def server(self) -> Iterator[Finding]:
        return installation.server(self._cluster)

    def crd(self) -> Iterator[Finding]:
        return installation.crd(self._cluster)

    @functools.cached_property
    def _review_apps(self) -> list[Object]:
        """All ReviewApps. Where they may not be listed, none of what is to be held against them can be looked at."""
        try:
            return self._cluster.list(REVIEW_APPS)[0]
        except ApiRefused as error:
            if error.status != 404:
                raise
            # The check of the CRD says so.
            return []

    def settings(self) -> Iterator[Finding]:
        self._settings, found = installation.settings(self._cluster, self._file, self._system)
        yield from found

    def namespaces(self) -> Iterator[Finding]:
        return installation.namespaces(self._cluster, [self._system, self._builds, *self._app_namespaces()])

    def secrets(self) -> Iterator[Finding]:
        return installation.secrets(self._cluster, self._settings) if self._settings else iter(())

    def watcher(self) -> Iterator[Finding]:
        unseen = leftovers.unseen(self._review_apps, time.time())
        return installation.watcher(self._cluster, self._system, unseen=unseen)

    def rights(self) -> Iterator[Finding]:
        living = [item for item in self._review_apps if section(item, "status").get("stack")]
        apps = sorted({namespace for item in living if (namespace := app_namespace(item))})[:_MOST_NAMESPACES]
        return installation.watcher_rights(self._cluster, self._system, self._builds, apps, self._settings)

    def engine(self) -> Iterator[Finding]:
        self._engine, found = installation.engine(self._settings, needed=isinstance(self._settings, Settings))
        yield from found

    def state(self) -> Iterator[Finding]:
        settings = self._settings if isinstance(self._settings, Settings) else None
        if unseen := state_checks.why_unseen(settings, self._engine):
            yield unseen
        elif settings and self._engine:
            self._sees_state = True
            yield from state_checks.secrets(settings, self._engine)
            yield from state_checks.checkpoints(settings)

    def not_ready(self) -> Iterator[Finding]:
        return leftovers.not_ready(self._review_apps, time.time())

    def journal(self) -> Iterator[Finding]:
        stacks, found = leftovers.journal(self._cluster, self._system, self._review_apps)
        self._stacks = stacks
        yield from found

    def objects(self) -> Iterator[Finding]:
        return leftovers.objects(self._cluster, self._system, self._known())

    def stacks(self) -> Iterator[Finding]:
        if isinstance(self._settings, Settings) and self._engine and self._sees_state:
            yield from leftovers.stacks(self._cluster, self._settings, self._engine, self._known())

    def _known(self) -> set[str]:
        return leftovers.asked_for(self._review_apps) | (self._stacks or set())

    def _app_namespaces(self) -> list[str]:
        return sorted({namespace for item in self._review_apps if (namespace := app_namespace(item))})
