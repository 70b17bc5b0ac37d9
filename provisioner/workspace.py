"""Let the plain pulumi CLI work on a stack: a project folder for it, and an environment in which it can.

Writes files, and runs the CLI to encrypt what goes into them. Updates no stack, and knows no cluster: what the stack
was last asked to declare is its caller's to find.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import SecretStr

import stacks
from provisioner.backend import PROJECT_FILE
from provisioner.engine import Engine
from provisioner.errors import EngineTimeout, ReviewAppError, StateUnreachable
from provisioner.failures import classify
from provisioner.key_service import KeyService
from provisioner.manifest_text import as_yaml
from provisioner.processes import STARTER_VARIABLE
from provisioner.settings import Settings
from provisioner.stack_files import PROJECT
from stacks.inputs import StackInputs

INPUTS_KEY: Final = f"{PROJECT}:inputs"
"""Key of the stack config that `stacks/__main__.py` reads: a stack's inputs as JSON, a secret."""

_HEADER: Final = "# Written by `reviewapp workspace`.\n"
_SECONDS: Final = 60.0
# One variable holds the whole config when a language host starts the program, and Linux takes no longer one.
_LARGEST_VARIABLE: Final = 128 << 10


class FolderRefused(ReviewAppError):
    """The folder can't be a stack's workspace."""

    reason = "FolderRefused"


@contextmanager
def environment(settings: Settings, older: SecretStr | None = None) -> Generator[dict[str, str]]:
    """Yield the variables with which the CLI finds the installation's state and can read the secrets in it.

    With an `older` passphrase it can read what that one encrypts, too (`local`), or alone (`passphrase`). With the
    secrets provider `local` the keys are opened by a service of this process, so that they can be used as long as the
    block lasts.
    """
    variables = {
        "PULUMI_BACKEND_URL": settings.state_url,
        # A folder without a stack's config has the key from the state.
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # In a container a user may have no name; without one the CLI does not say or change who works on a stack.
        "USER": os.environ.get("USER", PROJECT),
    }
    if settings.state_url.startswith("postgres://"):
        # Else `stack ls` waits for ever where there are more than a few: its readers each hold a connection, and wait
        # for a second one of a pool of twice the processors.
        variables["PULUMI_DIY_BACKEND_PARALLEL"] = "1"
    if settings.secrets_provider == "local":
        with KeyService(settings.passphrase, older) as keys:
            yield variables | keys.environment
    elif settings.secrets_provider == "passphrase":
        yield variables | {"PULUMI_CONFIG_PASSPHRASE": (older or settings.passphrase).get_secret_value()}
    else:
        yield variables


def run(command: Sequence[str], settings: Settings) -> int:
    """Run a command in that environment, on this terminal; return its exit code, 128 and more for a signal.

    Raises:
        ReviewAppError: there is no such command.
    """
    with environment(settings) as variables:
        # A Ctrl-C is the command's; it comes to the whole group. A handler, since what is ignored would stay so there.
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, lambda _number, _frame: None)
        early: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _frame: early.append(number))
        try:
            process = subprocess.Popen(command, env=os.environ | variables)
        except OSError as error:
            raise ReviewAppError(f"{command[0]} can't be run ({error.strerror}): correct its name") from None
        signal.signal(signal.SIGTERM, lambda number, _frame: process.send_signal(number))
        for number in early:
            process.send_signal(number)
        code = process.wait()
    return code if code >= 0 else 128 - code


def write(folder: Path, inputs: StackInputs, settings: Settings, engine: Engine) -> list[str]:
    """Make a folder in which the plain CLI works on a stack that exists; return what is to be known of it.

    In a clone of the repository the project file stays, and the folder gets the stack's config alone. Written again,
    it has the newest inputs.

    Raises:
        FolderRefused: the folder can't be written, or is another project's.
        StackNotFound: the backend has no such stack.
        EngineError: the CLI could not encrypt the inputs.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_project(folder, settings)
    except OSError as error:
        raise FolderRefused(f"{folder} can't be written ({error.strerror}): name another folder") from None
    text = inputs.model_dump_json()
    with environment(settings) as variables:
        pulumi(engine, folder, variables, inputs.stack, "stack", "select", inputs.stack)
        pulumi(engine, folder, variables, inputs.stack, "config", "set", "--secret", INPUTS_KEY, text=text)
    if len(text.encode()) + 1024 > _LARGEST_VARIABLE:
        return ["its inputs are too large for the Python host: `pulumi preview` and `pulumi up` will not work"]
    return []


def _write_project(folder: Path, settings: Settings) -> None:
    file = folder / "Pulumi.yaml"
    if file.exists():
        text = file.read_text(encoding="utf-8", errors="replace")
        if not text.startswith(_HEADER):
            if f"\nname: {PROJECT}\n" not in f"\n{text}":
                raise FolderRefused(f"{file} is another project's: name another folder")
            return
    _write(file, _HEADER + as_yaml(_project(settings)))
    _write(folder / "README.md", _README)


def _project(settings: Settings) -> dict[str, Any]:
    """Return the project: the watcher's own, and where the program and its Python are here."""
    project: dict[str, Any] = yaml.safe_load(PROJECT_FILE)
    # Outside of a virtual environment the host takes the Python that is on PATH.
    options = {"virtualenv": sys.prefix} if sys.prefix != sys.base_prefix else {}
    project["runtime"] = {"name": project["runtime"], "options": options}
    project["main"] = str(Path(stacks.__file__).parent)
    url = settings.state_url
    # Else it is for the environment alone.
    if "@" not in url and "password" not in url:
        project["backend"] = {"url": url}
    return project


def prepare(settings: Settings, engine: Engine) -> None:
    """Have the CLI make what it needs in a new state backend; nothing, where that is there.

    Raises:
        EngineError: the backend can't be reached, or not be written.
    """
    with environment(settings) as variables, tempfile.TemporaryDirectory() as name:
        if settings.state_url.startswith("file://"):
            folder = Path(settings.state_url.removeprefix("file://").partition("?")[0])
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StateUnreachable(f"{error.strerror}: {folder}") from None
        pulumi(engine, Path(name), variables, "", "whoami")


_README: Final = """\
The stack of a review app, for the plain pulumi CLI: `reviewapp unlock` opens a shell in which it can read the secrets.
`pulumi stack`, `stack output`, `stack export`, `stack history` and `preview` look; `refresh`, `up` and `destroy` act.
The watcher does not look at what is done here until its next update: to end a review app, delete its ReviewApp.
"""


def _write(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def pulumi(
    engine: Engine, folder: Path, variables: Mapping[str, str], stack: str, *arguments: str, text: str = ""
) -> None:
    """Run the CLI in a folder, with a text on its stdin; what it writes is not kept.

    Raises:
        EngineError: it did not end well.
    """
    command = " ".join(arguments[:2])
    try:
        done = subprocess.run(
            [engine.command, "--non-interactive", *arguments],
            cwd=folder,
            env=os.environ | variables | {STARTER_VARIABLE: str(os.getpid())},
            # Not an argument: others can read those.
            input=text,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineTimeout(command, _SECONDS) from None
    if done.returncode:
        raise classify(stack, command, done.returncode, done.stderr, ())
