"""Checks of Pulumi's state: whether it can be seen from here, worked with, and its secrets decrypted. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner import stack_files
from provisioner.decryption import require_decryptable
from provisioner.engine import Engine
from provisioner.errors import SecretsUnreadable, StateDamaged, StateTampered
from provisioner.settings import Settings
from provisioner.stack_files import StackFiles
from provisioner.state_store import open_store
from watcher.findings import Finding, ok, unknown, wrong

_ELSEWHERE = "run this where the watcher does: `kubectl -n reviewapp-system exec deploy/reviewapp -- reviewapp doctor`"
_REMADE = "a watcher makes it anew from what is there, within ten minutes: see that one runs, and its log"


def why_unseen(settings: Settings | None, engine: Engine | None) -> Finding | None:
    """Return why the state of stacks can't be seen from here; None where it can."""
    if settings is None or engine is None:
        return unknown("the state of stacks: it takes the settings and pulumi to see", _ELSEWHERE)
    if settings.backend_url is None and not (settings.data_folder / "state").is_dir():
        return unknown(f"the state of stacks: there is no {settings.data_folder / 'state'} here", _ELSEWHERE)
    return None


def secrets(settings: Settings, engine: Engine) -> Iterator[Finding]:
    """Check on one stack that the secrets in its state can be decrypted with the settings."""
    try:
        stack = require_decryptable(settings, engine)
    except SecretsUnreadable as error:
        what, _, remedy = str(error).partition(": ")
        yield wrong(f"secrets_provider: {what}", remedy)
        return
    if stack:
        yield ok(f"the secrets in the state of stacks can be decrypted: {stack} was tried")
    else:
        yield ok("there are no secrets in the state of stacks yet")


def checkpoints(settings: Settings) -> Iterator[Finding]:
    """Check that the checkpoint of each stack is one, and its own."""
    store = open_store(settings.state_url)
    if store is None:
        return
    whole = 0
    for stack in sorted(stack_files.checkpoints(store)):
        try:
            StackFiles(store, stack).require_whole()
            whole += 1
        except (StateDamaged, StateTampered) as error:
            what, _, remedy = str(error).partition(": ")
            yield wrong(what, _REMADE if isinstance(error, StateDamaged) else remedy)
    yield ok(f"{whole} stacks have a state that can be worked with")
