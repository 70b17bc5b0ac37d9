"""The commands that look at review apps: ls, show, logs, events, open. Each is a thin skin over functions.

They run with the rights of whoever calls them, and change nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from provisioner.errors import ReviewAppError
from provisioner.manifest_text import as_yaml
from provisioner.review_app import Status
from watcher import parts
from watcher.build_log import kept, masked, secrets_of
from watcher.cluster import JOBS, Cluster, Object, section
from watcher.conditions import job_pods, job_state
from watcher.following import Part, changes, containers, follow_all, read
from watcher.following import parts as parts_of
from watcher.listing import short, standing_of, table
from watcher.lookup import App, find, namespaces, review_apps, review_apps_and_version
from watcher.progress import say
from watcher.showing import shown
from watcher.tables import (
    Output,
    TablePrinter,
    age,
    as_list,
    cell,
    coloured,
    log_line,
    print_document,
    print_table,
)

_HOUR = 3_600
_LOG_SECONDS = 60.0

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How it is printed.")]
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", help="How long --watch or --follow goes on, at most.", min=1)
]


def ls(
    output: OutputOption = Output.TABLE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on and show what changes.")] = False,
    timeout: Timeout = _HOUR,
) -> None:
    """List all review apps.

    READY has the reason of the condition Ready: `Ready`, or what stands in the
    way. `-o wide` says in MESSAGE what that means, and `reviewapp show` says
    all of one.
    """
    cluster = Cluster.from_environment()
    if watch:
        _watch(cluster, output, timeout)
        return
    items = review_apps(cluster)
    if output in {Output.JSON, Output.YAML}:
        print_document(as_list(items), output)
    elif items:
        print_table(*table(items, time.time(), wide=output is Output.WIDE))
    else:
        say("there are no review apps")


def show(app: App, output: OutputOption = Output.TABLE) -> None:
    """Show all of one review app: how it is and why, its commit and build, its objects and Pods.

    `-o wide` shows whole messages; `-o yaml` and `-o json` print the ReviewApp
    itself.
    """
    cluster = Cluster.from_environment()
    review_app = find(cluster, app)
    if output in {Output.JSON, Output.YAML}:
        print_document(review_app, output)
        return
    _, builds = namespaces()
    declared = parts.declared(cluster, review_app, builds)
    pods = parts.readable_pods(cluster, review_app, builds)
    for block in shown(review_app, declared, pods, time.time(), wide=output is Output.WIDE):
        if isinstance(block, str):
            typer.echo(block)
        else:
            print_table(*block)


def logs(
    app: App,
    build: Annotated[bool, typer.Option("--build", help="Of the newest build, not of the app.")] = False,
    container: Annotated[
        str | None, typer.Option("--container", "-c", help="Of this container alone. (default: all, in their order)")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is logged meanwhile.")] = False,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the run before the last restart, as after a crash.")
    ] = False,
    timeout: Timeout = _HOUR,
) -> None:
    """Print the logs of a review app, or of its newest build.

    The containers come one after the other: `migrate` before `app`; `unpack`,
    `build` and `push` with --build. Their names go to stderr, the logs alone to
    stdout. With --follow it goes on from one Pod to the next; a build's logs
    end with the build. Of a build that failed, the last lines are there when
    its Pods are gone. What Secrets hold is masked, where you may read them.
    """
    if follow and previous:
        raise typer.BadParameter("--previous is over, it can't be followed: leave one of the two out")
    cluster = Cluster.from_environment()
    review_app = find(cluster, app)
    name: str = review_app["metadata"]["name"]
    _, builds = namespaces()
    namespace = builds if build else parts.app_namespace(review_app)
    job = Status.read(review_app.get("status")).build_job_name
    if build and not job:
        raise ReviewAppError(f"{name} has no build yet: {standing_of(review_app).message}")

    def look() -> tuple[Sequence[Part], bool]:
        found = _pods(cluster, review_app, namespace or builds, job if build else None)
        state = job_state(cluster.get(JOBS, builds, job)) if build and job else "running"
        return parts_of(found, container, previous=previous), state != "running"

    pods = _pods(cluster, review_app, namespace or builds, job if build else None)
    if container and pods and container not in containers(pods):
        raise ReviewAppError(f"{name} has no container {container!a}: it has {', '.join(containers(pods))}")
    if follow:
        seen = False
        for part, lines in follow_all(cluster, look, timeout):
            seen = True
            _print(part, _masked(cluster, pods, lines) if build else lines)
        if not seen and build:
            _print_kept(find(cluster, name))
        return
    found, _ = look()
    for part in found:
        lines = read(cluster, part, _LOG_SECONDS, follow=False)
        _print(part, _masked(cluster, pods, lines) if build else lines)
    if not found and not (build and _print_kept(review_app)):
        raise ReviewAppError(_no_logs(review_app, build=build, previous=previous))


def events(app: App, output: OutputOption = Output.TABLE) -> None:
    """List the Events of a review app and of all that it has, the last ones last."""
    cluster = Cluster.from_environment()
    review_app = find(cluster, app)
    _, builds = namespaces()
    found = parts.events(cluster, review_app, builds)
    if output in {Output.JSON, Output.YAML}:
        print_document(as_list(found), output)
        return
    if not found:
        say(f"there are no Events of {review_app['metadata']['name']}: the API server keeps them for an hour")
        return
    now = time.time()
    rows = [
        [
            age(parts.last_seen(event), now),
            cell(event.get("type")),
            cell(event.get("reason")),
            cell(f"{event['involvedObject'].get('kind')}/{event['involvedObject'].get('name')}"),
            cell(event.get("message")),
        ]
        for event in found
    ]
    print_table(("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"), rows)


def open_app(app: App) -> None:
    """Print where a review app answers, and open it in the browser if there is one."""
    review_app = find(Cluster.from_environment(), app)
    url = Status.read(review_app.get("status")).url
    how = standing_of(review_app)
    if not url or not url.startswith(("http://", "https://")):
        raise ReviewAppError(f"{review_app['metadata']['name']} has no address yet: {how.message}")
    if not how.ready:
        say(f"it is not ready ({how.reason}): {how.message.partition(chr(10))[0]}")
    typer.echo(url)
    # One of a text terminal would take this one over, and there is nobody to look where this is a script.
    if sys.stdout.isatty() and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
        typer.launch(url)


def _watch(cluster: Cluster, output: Output, seconds: float) -> None:
    items, version = review_apps_and_version(cluster)
    wide = output is Output.WIDE
    news = changes(cluster, version, seconds)
    if output in {Output.JSON, Output.YAML}:
        for item in items:
            _print_one(item, output)
        for _, item in news:
            _print_one(item, output)
        return
    known = {item["metadata"]["name"]: item for item in items}
    console = Console(highlight=False)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                shown_now = sorted(known.values(), key=lambda item: item["metadata"]["name"])
                live.update(coloured(*table(shown_now, time.time(), wide=wide)), refresh=True)
                change = next(news, None)
                if change is None:
                    return
                kind, item = change
                known[item["metadata"]["name"]] = item
                if kind == "DELETED":
                    del known[item["metadata"]["name"]]
    header, rows = table(items, time.time(), wide=wide)
    printer = TablePrinter(header)
    printer.print(rows)
    last = {name: rows[number] for number, name in enumerate(known)}
    for kind, item in news:
        name = item["metadata"]["name"]
        _, (row,) = table([item], time.time(), wide=wide)
        if kind == "DELETED":
            row[header.index("STATUS")] = "gone"
        if _without_age(header, row) != _without_age(header, last.get(name, [])):
            printer.print([row])
            sys.stdout.flush()
        last[name] = row


def _without_age(header: Sequence[str], row: Sequence[str]) -> list[str]:
    return [value for name, value in zip(header, row, strict=False) if name != "AGE"]


def _print_one(item: Object, output: Output) -> None:
    typer.echo("---\n" + as_yaml(item) if output is Output.YAML else json.dumps(item), nl=output is Output.JSON)
    sys.stdout.flush()


def _pods(cluster: Cluster, review_app: Object, namespace: str, job: str | None) -> list[Object]:
    """Return the Pods of a build Job, or those of the app that are not on their way out."""
    found = parts.pods(cluster, review_app, namespace)
    if job:
        return job_pods(found, job)
    return [pod for pod in found if parts.is_of_app(pod) and "deletionTimestamp" not in pod["metadata"]]


def _masked(cluster: Cluster, pods: Sequence[Object], lines: Iterable[str]) -> Iterable[str]:
    """Yield lines without what the build's Secrets hold, as far as whoever calls may read them."""
    secrets: set[str] = set()
    for pod in pods[-1:]:
        with suppress(ReviewAppError):
            secrets = secrets_of(cluster, pod)
    return (masked(line, secrets) for line in lines)


def _print_kept(review_app: Object) -> bool:
    """Print the last lines of a failed build that its ReviewApp has; return whether there are any."""
    lines = kept(review_app)
    if lines is None:
        return False
    say("==> its Pods are gone; its last lines, as the condition Built has them")
    for line in lines.splitlines():
        typer.echo(log_line(line, terminal=sys.stdout.isatty()))
    return True


def _print(part: Part, lines: Iterable[str]) -> None:
    sys.stdout.flush()
    say(f"==> {part.title}")
    terminal = sys.stdout.isatty()
    for line in lines:
        typer.echo(log_line(line, terminal=terminal))
    sys.stdout.flush()


def _no_logs(review_app: Object, *, build: bool, previous: bool) -> str:
    name = review_app["metadata"]["name"]
    how = standing_of(review_app)
    why = how.message.partition("\n")[0]
    if previous:
        return f"no container of {name} was started again since its Pod is there: leave --previous out"
    if build:
        commit = short(section(review_app, "spec").get("commitHash"))
        return f"no container of the build of commit {commit} has started: {how.reason}: {why}"
    return f"no container of {name} has started ({how.reason}: {why}): its build's logs come with --build"
