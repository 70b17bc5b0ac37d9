"""Bring the platform's stack to what its settings say, or away: a Pulumi project of its own, with AWS's provider.

For one administrator at a time, by hand: no queue, no retries, and a lock that is left is for `pulumi cancel`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pulumi import automation

from provisioner.aws_plugin import aws_plugin
from provisioner.engine import CommandFailed, Engine
from provisioner.errors import StackNotFound
from provisioner.event_stream import EventStream
from provisioner.failures import classify
from provisioner.platform_settings import PlatformSettings

PROJECT: Final = "reviewapp-platform"
"""Name of the Pulumi project that the platform's stack belongs to."""

# A new key or role takes seconds; AWS can take minutes to delete a bucket's configuration.
_TIMEOUT_SECONDS: Final = 1800.0
_LAST_EVENT_SECONDS: Final = 5.0
_NOTHING: Final = {automation.OpType.SAME, automation.OpType.READ}

OnStep = Callable[[str, str, str], None]
"""Told of each resource that does not stay as it is: the operation, the type and the name."""


@dataclass(frozen=True)
class PlatformResult:
    """What a run did, or a preview would do.

    Attributes:
        changes: number of resources by operation, in the engine's words.
        outputs: the stack's outputs by name; after an update alone.
    """

    changes: Mapping[str, int]
    outputs: Mapping[str, Any]


class Platform:
    """The platform's stack, named as the platform is.

    Raises:
        EngineMissing: what a run needs is not there.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings
        self._engine = Engine(timeout_seconds=_TIMEOUT_SECONDS, plugins=(aws_plugin(),))

    def preview(self, on_step: OnStep) -> PlatformResult:
        """Return what `up` would do. Changes nothing but that there is an empty stack afterwards.

        Raises:
            EngineError: it did not end well.
        """
        return self._run("preview", on_step, lambda stack, on_event: stack.preview(on_event=on_event, color="never"))

    def up(self, on_step: OnStep) -> PlatformResult:
        """Make the account what the settings say.

        Raises:
            EngineError: it did not end well; call it again.
        """
        return self._run(
            "up", on_step, lambda stack, on_event: stack.up(on_event=on_event, show_secrets=False, color="never")
        )

    def destroy(self, on_step: OnStep) -> PlatformResult:
        """Delete all but what is protected: the key, and the state's bucket.

        Raises:
            EngineError: it did not end well; call it again. A bucket of tarballs that is not empty is not deleted.
        """
        return self._run(
            "destroy",
            on_step,
            lambda stack, on_event: stack.destroy(
                on_event=on_event, exclude_protected=True, show_secrets=False, color="never"
            ),
        )

    def _run(
        self,
        command: str,
        on_step: OnStep,
        action: Callable[[automation.Stack, Callable[[automation.EngineEvent], None]], Any],
    ) -> PlatformResult:
        events = EventStream()

        def on_event(event: automation.EngineEvent) -> None:
            events.add(event)
            step = event.resource_pre_event.metadata if event.resource_pre_event else None
            if step and step.op not in _NOTHING:
                on_step(step.op.value, step.type, step.urn.rpartition("::")[2])

        try:
            with self._stack() as stack:
                action(stack, on_event)
        except CommandFailed as failed:
            result = failed.result
            raise classify(self._settings.name, command, result.code, result.stderr, events.errors) from None
        events.wait(_LAST_EVENT_SECONDS)
        return PlatformResult(events.changes, events.outputs if command == "up" else {})

    @contextmanager
    def _stack(self) -> Generator[automation.Stack]:
        with tempfile.TemporaryDirectory(prefix="reviewapp-platform-") as folder:
            workspace = automation.LocalWorkspace(
                work_dir=folder,
                program=self._program,
                env_vars=self._environment(),
                secrets_provider="passphrase",
                project_settings=automation.ProjectSettings(name=PROJECT, runtime="python"),
                pulumi_command=self._engine,
            )
            yield self._select(workspace)

    def _select(self, workspace: automation.LocalWorkspace) -> automation.Stack:
        name = self._settings.name
        try:
            return automation.Stack.select(name, workspace)
        except CommandFailed as failed:
            result = failed.result
            if not isinstance(classify(name, "stack select", result.code, result.stderr, ()), StackNotFound):
                raise
        return automation.Stack.create(name, workspace)

    def _program(self) -> None:
        # Here alone: it takes a second, and is not installed everywhere.
        from stacks.platform import declare

        declare(self._settings.inputs)

    def _environment(self) -> dict[str, str]:
        url = self._settings.backend_url
        if url.startswith("file://"):
            Path(url.removeprefix("file://").partition("?")[0]).mkdir(mode=0o700, parents=True, exist_ok=True)
        home = {name: os.environ[name] for name in ("PULUMI_HOME",) if name in os.environ}
        credentials = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "PG"))}
        return (
            credentials
            | home
            | {
                "PULUMI_BACKEND_URL": url,
                # Pulumi wants one; there is no secret in this stack: credentials come from the environment each time.
                "PULUMI_CONFIG_PASSPHRASE": "",
                # The folder is new each time: the salt is in the state too.
                "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
            }
        )
