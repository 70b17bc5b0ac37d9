"""Re-encrypt the stacks' secrets after the passphrase has changed, one stack after the other.

Can be killed at any moment and run again: a stack's state is, at each of them, readable with one of the two
passphrases, and what is done is found to be done. Works on a state that no watcher works on.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from provisioner import processes
from provisioner.backend import PROJECT_FILE
from provisioner.decryption import is_decryptable
from provisioner.engine import Engine
from provisioner.errors import ReviewAppError, SecretsUnreadable, StackLocked
from provisioner.key_service import KEY_URL
from provisioner.settings import Settings
from provisioner.workspace import environment, pulumi

Outcome = Literal["re-encrypted", "was so already"]

# An engine whose key service went with a process that was killed ends by itself.
_LOCKED_SECONDS = 15.0
_POLL_SECONDS = 0.5


class NoPassphrase(ReviewAppError):
    """The installation's secrets are not encrypted by a passphrase."""

    reason = "NoPassphrase"

    def __init__(self, provider: str) -> None:
        super().__init__(
            f"secrets_provider is {provider.partition(':')[0]}, which keeps the key itself: rotate it there"
        )


def reencrypt(
    stacks: list[str], settings: Settings, older: SecretStr, engine: Engine
) -> Iterator[tuple[str, Outcome | ReviewAppError]]:
    """Encrypt each stack's secrets by the settings' passphrase in place of an older one; yield how it went.

    What it yields as done has been read back with the new passphrase alone. One stack that fails keeps no other back.

    Raises:
        NoPassphrase: another secrets provider than `local` or `passphrase` encrypts them.
    """
    if settings.secrets_provider not in {"local", "passphrase"}:
        raise NoPassphrase(settings.secrets_provider)
    data, work = settings.data_folder.absolute(), settings.data_folder.absolute() / "work"
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Of a run that was killed, one can go on, or wait for a key service that is no more.
    processes.end_orphans(work, data / "engine")
    for stack in stacks:
        # Not its work folder: with a lost one all that counts is in the state. But beside it, where orphans are found.
        with tempfile.TemporaryDirectory(prefix=f"{stack}~", dir=work) as name:
            folder = Path(name)
            (folder / "Pulumi.yaml").write_text(PROJECT_FILE)
            try:
                yield stack, _reencrypt(folder, stack, settings, older, engine)
            except ReviewAppError as error:
                yield stack, error


def _reencrypt(folder: Path, stack: str, settings: Settings, older: SecretStr, engine: Engine) -> Outcome:
    if settings.secrets_provider == "local" and is_decryptable(folder, stack, settings, engine):
        _forget_key(stack, settings)
        return "was so already"
    provider = KEY_URL if settings.secrets_provider == "local" else settings.secrets_provider
    deadline = time.monotonic() + _LOCKED_SECONDS
    with environment(settings, older) as variables:
        while True:
            try:
                # For `passphrase`, which reads the new one from its stdin.
                text = settings.passphrase.get_secret_value() + "\n"
                arguments = ("stack", "change-secrets-provider", provider, "--stack", stack)
                pulumi(engine, folder, variables, stack, *arguments, text=text)
                break
            except SecretsUnreadable:
                if not is_decryptable(folder, stack, settings, engine):
                    raise
                _forget_key(stack, settings)
                return "was so already"
            except StackLocked as locked:
                if locked.owners and all(processes.is_proven_dead(owner) for owner in locked.owners):
                    pulumi(engine, folder, variables, stack, "cancel", "--yes", "--stack", stack)
                elif time.monotonic() > deadline or any(one.host != socket.gethostname() for one in locked.owners):
                    raise
                else:
                    time.sleep(_POLL_SECONDS)
    if not is_decryptable(folder, stack, settings, engine):
        raise SecretsUnreadable(stack)
    _forget_key(stack, settings)
    return "re-encrypted"


def _forget_key(stack: str, settings: Settings) -> None:
    """Remove the old key from a watcher's work folder, if there is one: the next update takes the state's."""
    (settings.data_folder.absolute() / "work" / stack / f"Pulumi.{stack}.yaml").unlink(missing_ok=True)
