"""Find a ReviewApp by what a person calls it. Needs `get` and `list` on ReviewApps, and changes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.untrusted import printable
from provisioner.errors import ReviewAppError
from provisioner.settings_sources import as_they_stand
from stacks import naming
from watcher.cluster import REVIEW_APPS, ApiRefused, Cluster, Object, section
from watcher.observation import asked_stack

_IDENTITY = re.compile(r"([^/#]+)/([^/#]+)#([0-9]+)")


class ReviewAppNotFound(ReviewAppError):
    """There is no ReviewApp of this name, or more than one."""

    reason = "ReviewAppNotFound"


def find(cluster: Cluster, name: str) -> Object:
    """Return a ReviewApp.

    Args:
        cluster: where it is.
        name: its own name, `owner/repo#pr`, or its stack's name; its own goes first.

    Raises:
        ReviewAppNotFound: there is none, or it is not clear which.
    """
    found = None if "/" in name or "#" in name else cluster.get(REVIEW_APPS, None, name)
    if found:
        return found
    asking = [item for item in review_apps(cluster) if asked_stack(item) == stack_called(name)]
    # Where two ask for one stack, one has it; the other is refused.
    holding = [item for item in asking if section(item, "status").get("stack")] if len(asking) > 1 else asking
    if len(holding) == 1:
        return holding[0]
    if asking:
        names = ", ".join(item["metadata"]["name"] for item in asking)
        raise ReviewAppNotFound(f"{printable(name)} is what more than one ReviewApp is for ({names}): name one of them")
    raise ReviewAppNotFound(f"there is no ReviewApp {printable(name)}: `reviewapp ls` lists all")


def review_apps(cluster: Cluster) -> list[Object]:
    """Return all ReviewApps, by name; errors as from `review_apps_and_version`."""
    items, _ = review_apps_and_version(cluster)
    return items


def review_apps_and_version(cluster: Cluster) -> tuple[list[Object], str]:
    """Return all ReviewApps, by name, and the version of their list, to watch from.

    Raises:
        ReviewAppError: there is no such resource.
    """
    try:
        items, version = cluster.list(REVIEW_APPS)
    except ApiRefused as error:
        if error.status == 404:
            raise ReviewAppError(
                "the cluster does not know ReviewApps: install the CRD (`reviewapp crd | kubectl apply -f -`), or see "
                "that KUBECONFIG names the right cluster"
            ) from None
        raise
    return sorted(items, key=lambda item: item["metadata"]["name"]), version


def stack_called(name: str) -> str:
    """Return the name of the stack of `owner/repo#pr`; any other text is taken for the stack's name itself."""
    found = _IDENTITY.fullmatch(name)
    return naming.stack_name(*found.groups()) if found else name


def namespaces(file: Path | None = None) -> tuple[str, str]:
    """Return the watcher's namespace and that of builds, as the settings have them, however incomplete those are.

    Raises:
        SettingsRefused: the settings file can't be read.
    """
    values = {setting.name: str(setting.value) for setting in as_they_stand(file)}
    return values["namespace"], values["build_namespace"]


def _completions(incomplete: str) -> list[tuple[str, str]]:
    """Return names that begin so, each with what it is for; none where the cluster can't be asked."""
    try:
        items = review_apps(Cluster.from_environment())
    except ReviewAppError:
        return []
    names = [(item["metadata"]["name"], section(item, "spec")) for item in items]
    return [
        (name, printable(f"{spec.get('repoOwner')}/{spec.get('repo')}#{spec.get('pr')} {spec.get('branch')}"))
        for name, spec in names
        if name.startswith(incomplete)
    ]


_APP: Any = typer.Argument(
    metavar="APP",
    help="The ReviewApp's name, as `reviewapp ls` shows it; owner/repo#pr does as well.",
    autocompletion=_completions,
    show_default=False,
)

App = Annotated[str, _APP]
"""The argument of each command that is about one review app."""

AppOrNone = Annotated[str | None, _APP]
"""The same, where something else can stand in its place."""
