"""Whether the settings' passphrase or key decrypts the secrets in the state of stacks. Reads only, and keeps none."""

from __future__ import annotations

import tempfile
from pathlib import Path

from provisioner import checkpoint
from provisioner.backend import PROJECT_FILE
from provisioner.engine import Engine
from provisioner.errors import SecretsUnreadable
from provisioner.inventory import stack_names
from provisioner.settings import Settings
from provisioner.stack_files import checkpoints
from provisioner.state_store import open_store
from provisioner.workspace import environment, pulumi


def sample(settings: Settings, engine: Engine) -> str | None:
    """Return the name of a stack whose state has encrypted secrets; None if there is none.

    Raises:
        EngineError: the backend can't be read.
    """
    store = open_store(settings.state_url)
    if store is None:
        return next(iter(stack_names(settings, engine)), None)
    found = checkpoints(store)
    return next((name for name in sorted(found) if checkpoint.has_secrets(store.read(found[name]) or b"")), None)


def require_decryptable(settings: Settings, engine: Engine) -> str | None:
    """Have the engine read one stack with all its secrets; return which, or None where there is none to read.

    Raises:
        SecretsUnreadable: the passphrase or the key does not decrypt them.
        EngineError: that could not be seen.
    """
    stack = sample(settings, engine)
    if stack is None:
        return None
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "Pulumi.yaml").write_text(PROJECT_FILE)
        if not is_decryptable(Path(name), stack, settings, engine):
            raise SecretsUnreadable(stack)
    return stack


def is_decryptable(folder: Path, stack: str, settings: Settings, engine: Engine) -> bool:
    """Whether the passphrase or key of the settings alone decrypts all secrets of a stack.

    Args:
        folder: one with a project file.
        stack: the stack's name.
        settings: the installation's.
        engine: reads them.

    Raises:
        EngineError: that could not be seen.
    """
    with environment(settings) as variables:
        try:
            # What is read goes no further.
            pulumi(engine, folder, variables, stack, "stack", "export", "--show-secrets", "--stack", stack)
        except SecretsUnreadable:
            return False
    return True
