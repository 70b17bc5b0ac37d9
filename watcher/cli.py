"""The command line, `reviewapp`: what needs the cluster, beside what `provisioner.commands` needs none for."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Annotated

import structlog
import typer

from provisioner.aws_plugin import plugins_for
from provisioner.backend import in_use
from provisioner.commands import app
from provisioner.engine import Engine
from provisioner.errors import ReviewAppError
from provisioner.settings_sources import load
from watcher import health
from watcher.adopt_command import adopt
from watcher.bot_commands import close, comment, submit
from watcher.change_commands import delete, pause, rebuild, resume
from watcher.cluster import Cluster
from watcher.doctor import doctor
from watcher.look_commands import events, logs, ls, open_app, show
from watcher.preview_command import preview
from watcher.replica import ELECTION_SECONDS, Replica
from watcher.stack_commands import workspace
from watcher.state_commands import state


def main() -> None:
    """Run the command line; every error that a user can act on is a line, and the exit code is 1."""
    _configure_logs()
    try:
        app()
    except ReviewAppError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)  # noqa: T201 - the command line's own words.
        raise SystemExit(1) from None


@app.command()
def watch(
    port: Annotated[
        int, typer.Option(help="Port of /livez, /readyz and /metrics; 0 for none.", min=0, max=65535)
    ] = 8081,
) -> None:
    """Watch ReviewApps and bring each one's stack to what it asks for, until SIGTERM or Ctrl-C.

    Of several watchers one acts at a time; the others are ready to take over.
    Settings come from the file that REVIEWAPP_SETTINGS names and from REVIEWAPP_<NAME> variables; the
    cluster is that of the Pod's service account, or of KUBECONFIG.
    """
    settings = load()
    engine = Engine(timeout_seconds=settings.engine_timeout_seconds, plugins=plugins_for(settings))
    replica = Replica(Cluster.from_environment(), Cluster.from_environment(ELECTION_SECONDS), settings, engine)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: replica.stop())
    if port:
        health.serve(replica, port)
    with in_use(settings.data_folder):
        replica.run()


_DAILY = {
    "ls": ls,
    "show": show,
    "logs": logs,
    "events": events,
    "open": open_app,
    "rebuild": rebuild,
    "pause": pause,
    "resume": resume,
    "delete": delete,
}
for _name, _command in _DAILY.items():
    app.command(_name, rich_help_panel="Review apps")(_command)
for _command in (submit, close, comment):
    app.command(rich_help_panel="For bots and CI jobs")(_command)
for _command in (preview, workspace, doctor, adopt):
    app.command()(_command)
app.add_typer(state, name="state")


def _configure_logs() -> None:
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
