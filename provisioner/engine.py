"""Run the pulumi CLI: one checked program, a scrubbed environment, and an end to every run.

`Engine` is the Automation API's `PulumiCommand` with what that one lacks: a time limit, a way to stop, and the
result kept whole. It knows nothing of stacks, backends or what a run is for.
"""

from __future__ import annotations

import copy
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import IO

from pulumi.automation import CommandError, CommandResult, OnOutput, PulumiCommand
from semver import VersionInfo

from provisioner.errors import EngineInterrupted, EngineMissing, EngineTimeout
from provisioner.plugin import Plugin, plugin_version
from provisioner.processes import STARTER_VARIABLE

PULUMI_VERSION = "3.274.1"
PROVIDER_VERSION = version("pulumi-kubernetes")
"""The plugin's version must equal its Python package's."""

KUBERNETES = Plugin("kubernetes", PROVIDER_VERSION)
PROVIDER = KUBERNETES.program

# What a run may see of our own environment. Everything else stays here: the watcher's settings and credentials
# are none of the engine's, nor of the helpers that a kubeconfig makes it start.
_INHERITED = frozenset(
    {
        "HOME",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "LANG",
        "NO_PROXY",
        "PATH",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TMPDIR",
        "TZ",
        "USER",
        "https_proxy",
        "http_proxy",
        "no_proxy",
    }
)
# The CLI and the plugin live for half a second each. Collecting garbage less often takes 15% off their CPU time, and
# adds 8 MiB to each one's peak.
_GOGC = "400"
# The first SIGTERM cancels an update, which takes as long as the API calls in flight.
_GRACE_SECONDS = 10.0
_LONGEST_OUTPUT = 256 * 1024


class CommandFailed(CommandError):
    """A run that ended with another exit code than 0. `result` has the code (negative: a signal) and what it wrote."""

    def __init__(self, result: CommandResult) -> None:
        super().__init__(result)
        self.result = result


class Engine(PulumiCommand):
    """The pulumi CLI of the one version that this program is tested with, and its provider plugins.

    One for the whole process. Any number of threads can call `run` at once; each run is the child of the thread
    that called it, and that thread waits for it.

    Args:
        pulumi: the CLI; by default what REVIEWAPP_PULUMI names, else `pulumi` on PATH.
        timeout_seconds: the time limit of each run.
        plugins: the provider plugins that the runs need.

    Raises:
        EngineMissing: the CLI or a plugin is not there, or has another version.

    Attributes:
        providers: the programs of the plugins.
    """

    def __init__(
        self,
        pulumi: Path | None = None,
        *,
        timeout_seconds: float = 300.0,
        plugins: Sequence[Plugin] = (KUBERNETES,),
    ) -> None:
        # Not super().__init__(): it takes any newer version too, and fails with a traceback where there is none.
        self.command = str(_find_pulumi(pulumi))
        self.version = VersionInfo.parse(PULUMI_VERSION)
        self.providers = {plugin: _require_provider(plugin) for plugin in plugins}
        self._timeout_seconds = timeout_seconds
        self._begin(lambda: True)

    def within(self, may_run: Callable[[], bool]) -> Engine:
        """Return an engine of the same programs, of which nothing runs yet, and which begins a run only if it may."""
        engine = copy.copy(self)
        engine._begin(may_run)
        return engine

    def _begin(self, may_run: Callable[[], bool]) -> None:
        self._may_run = may_run
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        self._stopping = False
        self._counts = threading.local()

    @property
    def runs_of_this_thread(self) -> int:
        """How many runs the calling thread has begun so far."""
        return getattr(self._counts, "runs", 0)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        """Run the CLI and wait for its end; return what it wrote.

        The callbacks get each line after the run has ended, not during it.

        Raises:
            CommandFailed: its exit code is not 0.
            EngineMissing: it or a plugin is not where it was.
            EngineTimeout: it was ended at the time limit.
            EngineInterrupted: it was ended, or not begun, because of `stop`, or because it may not run.
        """
        command = _command_name(args)
        for program in (Path(self.command), *self.providers.values()):
            if not program.is_file():
                raise EngineMissing(f"{program} is not there any more: put it back, or restart the watcher's Pod")
        environment = {name: value for name, value in os.environ.items() if name in _INHERITED}
        environment |= {"PULUMI_AUTOMATION_API": "true", "GOGC": _GOGC, STARTER_VARIABLE: str(os.getpid())}
        environment |= additional_env
        # Files, not pipes: when this process dies, the engine can still write. It then misses its program and ends
        # the update in order, where a broken pipe would kill it and leave the lock. (A death signal would be too
        # much: cancelled at its very end, the CLI of this version waits for ever and keeps the lock.)
        with tempfile.TemporaryFile(dir=cwd) as stdout, tempfile.TemporaryFile(dir=cwd) as stderr:
            with self._lock:
                if self._stopping or not self._may_run():
                    raise EngineInterrupted(command)
                process = subprocess.Popen(
                    [self.command, "--non-interactive", *args],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=cwd,
                    env=environment,
                    # A Ctrl-C in a terminal, or its end, goes to the whole group there; it is ours to pass on.
                    start_new_session=True,
                )
                child = _Child(process)
                self._children.add(child)
            self._counts.runs = self.runs_of_this_thread + 1
            try:
                ended_by = child.wait(self._timeout_seconds)
            finally:
                with self._lock:
                    self._children.discard(child)
            result = CommandResult(_tail(stdout), _tail(stderr), process.returncode)
        for text, callback in ((result.stdout, on_output), (result.stderr, on_error)):
            if callback:
                for line in text.splitlines():
                    callback(line)
        if result.code == 0:
            return result
        if ended_by == "timeout":
            raise EngineTimeout(command, self._timeout_seconds)
        if ended_by == "stop":
            raise EngineInterrupted(command)
        raise CommandFailed(result)

    def stop(self) -> None:
        """End all runs, gracefully where they let us, and refuse new ones. Returns when none is left."""
        with self._lock:
            self._stopping = True
            children = list(self._children)
        enders = [threading.Thread(target=child.end, args=("stop",), name="engine-stop") for child in children]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()


class _Child:
    """One running CLI and its way to the end: SIGTERM, some patience, SIGKILL."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._gone = threading.Event()
        self._ended_by: str | None = None

    def wait(self, timeout_seconds: float) -> str | None:
        """Wait for the end; return what ended the run early (`timeout` or `stop`), or None.

        For the thread that started the run. When an exception interrupts it, the run has ended before it goes on.
        """
        # A thread keeps the time, since Popen.wait() with a time limit polls, and so adds up to 50 ms to each run.
        threading.Thread(target=self._watch, args=(timeout_seconds,), name="engine-time-limit", daemon=True).start()
        try:
            self._process.wait()
        finally:
            if self._process.returncode is None:
                self._cancel("stop")
                try:
                    self._process.wait(_GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            self._gone.set()
        return self._ended_by

    def end(self, reason: str) -> None:
        """End the run and return when it is gone. For any other thread."""
        self._cancel(reason)
        if not self._gone.wait(_GRACE_SECONDS):
            self._process.kill()
            self._gone.wait(_GRACE_SECONDS)

    def _cancel(self, reason: str) -> None:
        # A second SIGTERM would make the engine exit at once and leave its lock.
        if self._ended_by is None and self._process.poll() is None:
            self._ended_by = reason
            self._process.send_signal(signal.SIGTERM)

    def _watch(self, timeout_seconds: float) -> None:
        if not self._gone.wait(timeout_seconds):
            self.end("timeout")


def _find_pulumi(path: Path | None) -> Path:
    named = path or os.environ.get("REVIEWAPP_PULUMI")
    found = shutil.which(named or "pulumi")
    remedy = f"install pulumi {PULUMI_VERSION} and put it on PATH, or name it in REVIEWAPP_PULUMI"
    if found is None:
        raise EngineMissing(f"{named or 'pulumi'} was not found: {remedy}")
    environment = {name: value for name, value in os.environ.items() if name in _INHERITED}
    try:
        answer = subprocess.run(
            [found, "version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env=environment | {"PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineMissing(f"`{found} version` failed ({error}): {remedy}") from None
    actual = answer.stdout.strip().removeprefix("v")
    if actual != PULUMI_VERSION:
        raise EngineMissing(f"{found} is version {actual or 'unknown'}, and {PULUMI_VERSION} is needed: {remedy}")
    return Path(found).resolve()


def _require_provider(plugin: Plugin) -> Path:
    found = plugin.find()
    remedy = (
        f"install version {plugin.version} with `pulumi plugin install resource {plugin.name} {plugin.version}`, "
        "or put it on PATH"
    )
    if found is None:
        raise EngineMissing(f"{plugin.program} was not found on PATH, nor as {plugin.installed}: {remedy}")
    actual = plugin_version(found)
    if actual != plugin.version:
        raise EngineMissing(f"{found} is version {actual or 'unknown'}, and {plugin.version} is needed: {remedy}")
    return found.resolve()


def _command_name(args: list[str]) -> str:
    words: list[str] = []
    for word in args:
        if word.startswith("-"):
            break
        words.append(word)
    return " ".join(words[:2] if words[:1] == ["stack"] else words[:1])


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_OUTPUT))
    return file.read().decode(errors="replace").rstrip()
