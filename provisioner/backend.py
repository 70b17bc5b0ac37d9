"""Where the engine keeps state, secrets and scratch files: the backend, its environment and its folders.

Below the data folder: `state` (the default backend), `work/<stack>` (a project folder, kept as long as the stack)
and `engine/<slot>` (a PULUMI_HOME for each concurrent caller: the plugin and the CLI's logs).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pulumi.automation import LocalWorkspace

from provisioner import processes
from provisioner.engine import Engine
from provisioner.errors import ReviewAppError
from provisioner.key_service import KEY_URL, KeyService
from provisioner.settings import Settings
from provisioner.stack_files import PROJECT, StackFiles
from provisioner.state_copy import require_here
from provisioner.state_store import StateStore, open_store

# `enableSecretMutable`: a changed Secret is updated in place; the provider's default is to delete it and make it
# anew, while Pods that refer to it cannot start.
# https://www.pulumi.com/registry/packages/kubernetes/api-docs/provider/
PROJECT_FILE = f"""\
name: {PROJECT}
runtime: python
config:
  kubernetes:enableConfigMapMutable:
    value: true
  kubernetes:enableSecretMutable:
    value: true
"""
"""Text of the `Pulumi.yaml` in each stack's work folder."""

# A deployment without resources, as `pulumi stack import` takes it.
_NOTHING = '{"version": 3, "deployment": {}}'

_STACK_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")

# Credentials that the state backend, the key service or a provider needs, by the start of their variables' names.
_CREDENTIALS: dict[str, tuple[str, ...]] = {
    "s3": ("AWS_",),
    "aws": ("AWS_",),
    "gs": ("GOOGLE_", "GCP_", "CLOUDSDK_"),
    "azblob": ("AZURE_", "ARM_"),
    "postgres": ("PG",),
    "awskms": ("AWS_",),
    "gcpkms": ("GOOGLE_", "GCP_", "CLOUDSDK_"),
    "azurekeyvault": ("AZURE_", "ARM_"),
    "hashivault": ("VAULT_",),
}


@contextmanager
def in_use(data_folder: Path, *, alone: bool = False) -> Generator[None]:
    """Hold a data folder during the block: beside others, or alone. The lock ends with the process, however that ends.

    Raises:
        DataFolderInUse: another process holds it.
    """
    data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_folder / "in-use.lock").open("a") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataFolderInUse(data_folder, alone=alone) from None
        yield


class DataFolderInUse(ReviewAppError):
    """Another process works with the data folder, which one of the two needs for itself."""

    reason = "DataFolderInUse"

    def __init__(self, folder: Path, *, alone: bool) -> None:
        who, remedy = ("a watcher", "stop it first") if alone else ("`reviewapp state reencrypt`", "wait for its end")
        super().__init__(f"{who} works with {folder}: {remedy}")


class Backend:
    """The state backend of one installation, and the folders that engine runs need.

    One for the whole process; safe from any thread. Making it creates the folders, and ends what a dead
    watcher left behind.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        folder = settings.data_folder.absolute()
        self.engine = engine
        self.url = settings.state_url
        self._store = open_store(self.url)
        self._work = folder / "work"
        self._homes = self.homes_of(settings)
        self._secrets_provider = settings.secrets_provider
        self._passphrase = settings.passphrase
        self._key_service = KeyService(settings.passphrase) if settings.secrets_provider == "local" else None
        for needed in (folder, self._work, self._homes, folder / "state"):
            needed.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.end_orphans()

    @staticmethod
    def homes_of(settings: Settings) -> Path:
        """Return the folder of an installation's PULUMI_HOMEs."""
        return settings.data_folder.absolute() / "engine"

    def require_here(self) -> None:
        """Go on only where the stacks are in this backend, and not on their way to it or from it.

        Raises:
            StateMoved: they have gone elsewhere, or were only in part brought here.
            StateUnreachable: the backend can't be read.
        """
        if self._store:
            require_here(self._store)

    def lacking_state(self, stacks: Iterable[str]) -> list[str]:
        """Return which of these stacks have no state that can be worked with: it is lost or damaged.

        None that have another one's: that is a human's to mend. None at all where only the CLI can read the backend.

        Raises:
            StateUnreachable: the backend can't be read.
        """
        store = self._store
        return [stack for stack in stacks if store and not StackFiles(store, stack).has_state()]

    def project(self, stack: str, slot: int) -> StackProject:
        """Return the project of a stack, with its work folder made if need be.

        Args:
            stack: the stack's name.
            slot: number of the caller; two that run engines at once have different ones.

        Raises:
            ValueError: the name is none that `stacks.naming.stack_name` gives.
        """
        _check_name(stack)
        folder = self._work / stack
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._project(stack, slot, folder, self.url, self._store)

    @contextmanager
    def passing_project(self, stack: str, slot: int, *, empty_backend: bool = False) -> Generator[StackProject]:
        """Yield a project of a stack whose folder is gone after the block.

        Args:
            stack: the stack's name.
            slot: number of the caller.
            empty_backend: whether it has an empty state backend of its own, which is gone after the block too.

        Raises:
            ValueError: the name is none that `stacks.naming.stack_name` gives.
        """
        _check_name(stack)
        # Below the work folders, where `end_orphans` finds what is left running.
        with tempfile.TemporaryDirectory(prefix=f"{stack}~", dir=self._work) as name:
            folder = Path(name)
            url, store = self.url, self._store
            if empty_backend:
                (folder / "state").mkdir()
                url = f"file://{folder / 'state'}"
                store = open_store(url)
            yield self._project(stack, slot, folder, url, store)

    def end_orphans(self) -> list[int]:
        """End the engines of ours that outlived their watcher, and plugins their engine; return their process ids."""
        return processes.end_orphans(self._work, self._homes)

    def close(self) -> None:
        """Stop the key service, when no engine runs any more."""
        if self._key_service:
            self._key_service.close()

    def _project(self, stack: str, slot: int, folder: Path, url: str, store: StateStore | None) -> StackProject:
        home = self._homes / str(slot)
        for plugin, program in self.engine.providers.items():
            _link(home / "plugins" / plugin.folder / plugin.program, program)
        project = folder / "Pulumi.yaml"
        if not project.exists() or project.read_text() != PROJECT_FILE:
            project.write_text(PROJECT_FILE)
        workspace = LocalWorkspace(
            work_dir=str(folder),
            env_vars=self._environment() | {"PULUMI_HOME": str(home), "PULUMI_BACKEND_URL": url},
            secrets_provider=KEY_URL if self._key_service else self._secrets_provider,
            pulumi_command=self.engine,
        )
        return StackProject(stack, workspace, StackFiles(store, stack) if store else None)

    def _environment(self) -> dict[str, str]:
        services = (
            *(url.partition(":")[0] for url in (self.url, self._secrets_provider)),
            *(plugin.name for plugin in self.engine.providers),
        )
        prefixes = tuple(prefix for service in services for prefix in _CREDENTIALS.get(service, ()))
        environment = {name: value for name, value in os.environ.items() if name.startswith(prefixes)}
        if self._key_service:
            environment |= self._key_service.environment
        elif self._secrets_provider == "passphrase":
            environment["PULUMI_CONFIG_PASSPHRASE"] = self._passphrase.get_secret_value()
        return environment | {
            "USER": os.environ.get("USER", PROJECT),
            # The provider's salt or key is in a file of the work folder too, and a lost folder must lose no secret.
            "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # The history has a copy of each checkpoint already.
            "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
            "PULUMI_LOG_ROTATION_MAX_AGE_DAYS": "1",
            "PULUMI_LOG_ROTATION_MAX_TOTAL_MB": "32",
        }


@dataclass(frozen=True)
class StackProject:
    """One stack as the CLI sees it: its name, and the work folder and environment of its runs.

    `files` is its part of the backend; None where that can be reached by the CLI alone. The methods that run the CLI
    raise what `Engine.run` does.
    """

    stack: str
    workspace: LocalWorkspace
    files: StackFiles | None

    @property
    def seems_to_exist(self) -> bool:
        """Whether this host has worked with the stack before. Only the backend knows whether it is there."""
        return (self._folder / f"Pulumi.{self.stack}.yaml").exists()

    def create(self) -> None:
        """Create the stack, empty."""
        provider = str(self.workspace.secrets_provider)
        self._run("stack", "init", self.stack, "--no-select", "--secrets-provider", provider)

    def cancel(self) -> None:
        """Remove the locks of the stack, whoever holds them."""
        self._run("cancel", "--yes", "--stack", self.stack)

    def remove_stack(self, *, forget: bool = False) -> None:
        """Remove the empty stack and its history; to `forget` is to do so whatever it has, which stays where it is."""
        # `destroy --remove` would save this run, and leave a backup of the checkpoint for ever.
        self._run("stack", "rm", "--yes", "--remove-backups", *(["--force"] if forget else []), self.stack)

    def clear(self) -> None:
        """Give the stack a state that has nothing, whatever is in its place. The backend keeps a copy of that."""
        with tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=".json") as file:
            file.write(_NOTHING)
            file.flush()
            self._run("stack", "import", "--stack", self.stack, "--file", file.name)

    def clear_pending(self) -> None:
        """Take the operations that were begun and not ended off the state; what has become of them is known."""
        with tempfile.NamedTemporaryFile("r+", dir=self._folder, suffix=".json") as file:
            self._run("stack", "export", "--stack", self.stack, "--file", file.name)
            document = json.loads(Path(file.name).read_text())
            document["deployment"].pop("pending_operations", None)
            Path(file.name).write_text(json.dumps(document))
            self._run("stack", "import", "--stack", self.stack, "--file", file.name)

    def remove_folder(self) -> None:
        """Remove the work folder, when the stack is no more, and what the CLI never removes from the backend.

        Raises:
            StateUnreachable: the latter could not be done.
        """
        if self.files:
            self.files.remove()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return Path(self.workspace.work_dir)

    def _run(self, *arguments: str) -> None:
        self.workspace.pulumi_command.run(list(arguments), self.workspace.work_dir, self.workspace.env_vars)


def _check_name(stack: str) -> None:
    if not _STACK_NAME.fullmatch(stack):
        raise ValueError(f"{stack!r} is not the name of a stack: it must match {_STACK_NAME.pattern}")


def _link(link: Path, program: Path) -> None:
    if link.is_symlink() and link.readlink() == program:
        return
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(program)
    temporary.replace(link)
