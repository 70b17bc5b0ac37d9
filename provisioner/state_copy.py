"""Bring the stacks of one state backend to another, or to a file: copied as they are stored, and compared.

Copies what the CLI has of each stack (checkpoint, tags, history), so that it finds in the other place what it would
find in the first, and its secrets stay encrypted as they are. Can be killed at any moment and run again. Locks, and
other projects' stacks, stay where they are. Its caller sees to it that nobody works on either.
"""

from __future__ import annotations

import datetime
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ValidationError

from provisioner import processes
from provisioner.errors import ReviewAppError, StackLocked
from provisioner.refusals import without_credentials
from provisioner.stack_files import LOCKS, PROJECT, ROOT, STACKS, StackFiles, checkpoints
from provisioner.state_store import StateSource, StateStore

MARK: Final = f"{ROOT}{PROJECT}.json"
"""Key of what says that a backend's stacks are on their way, or have gone."""
_STACK_LOCKS: Final = f"{LOCKS}organization/{PROJECT}/"
_COPIES: Final = (f"{ROOT}history/{PROJECT}/", f"{ROOT}backups/{PROJECT}/")
_ENDINGS: Final = (".json", ".pulumi-tags")
_ABOUT: Final = "about.json"
_MOST_NAMED: Final = 5

Outcome = Literal["copied", "was there already"]


class StateMoved(ReviewAppError):
    """The stacks of a backend are in another one, or were only in part brought here."""

    reason = "StateMoved"


class StateNotCopied(ReviewAppError):
    """Stacks can't be brought where they were to be brought, or are not there as they should be."""

    reason = "StateNotCopied"


class Mark(BaseModel):
    """What a backend says of itself: where its stacks went, or from where they are being brought."""

    moved_to: str = ""
    moving_from: str = ""


def mark_of(store: StateSource) -> Mark:
    """Return what a backend says of itself."""
    try:
        return Mark.model_validate_json(store.read(MARK) or b"{}")
    except ValidationError:
        return Mark()


def require_here(store: StateSource) -> None:
    """Go on only where a backend's stacks are there to be worked on.

    Raises:
        StateMoved: they have gone elsewhere, or were only in part brought here.
    """
    mark = mark_of(store)
    if mark.moved_to:
        raise StateMoved(f"the stacks were moved to {mark.moved_to}: set backend_url to that")
    if mark.moving_from:
        raise StateMoved(
            f"the stacks were not all brought here from {mark.moving_from}: run `reviewapp state migrate` again, or "
            "set backend_url to where they are"
        )


def by_stack(store: StateSource) -> dict[str, list[str]]:
    """Return the keys that a store has of each stack, by its name; its checkpoint's last."""
    wanted = checkpoints(store)
    found: dict[str, list[str]] = {stack: [] for stack in wanted}
    for prefix in (*_COPIES, STACKS):
        for key in store.keys(prefix):
            stack = _stack_of(key.removeprefix(prefix), is_folder=prefix != STACKS)
            if stack in found and not key.endswith((".tmp", ".damaged")):
                found[stack].append(key)
    return {stack: sorted(keys, key=lambda key: (key == wanted[stack], key)) for stack, keys in found.items()}


def _stack_of(name: str, *, is_folder: bool) -> str:
    if is_folder:
        return name.partition("/")[0]
    # A repository can be called as an ending is: the last one counts.
    return name[: max(name.rfind(ending) for ending in _ENDINGS)]


def require_unlocked(store: StateStore) -> None:
    """Go on only where no stack is locked by somebody who may live.

    Raises:
        StackLocked: one is.
    """
    for stack in sorted({key.removeprefix(_STACK_LOCKS).partition("/")[0] for key in store.keys(_STACK_LOCKS)}):
        owners = StackFiles(store, stack).lock_owners()
        if not all(owner and processes.is_proven_dead(owner) for owner in owners):
            raise StackLocked(stack, [owner for owner in owners if owner])


def have_gone(source: StateSource, target: StateSource, target_url: str) -> bool:
    """Whether all stacks have gone from the one to the other."""
    return mark_of(source).moved_to == without_credentials(target_url) and not mark_of(target).moving_from


def begin(source: StateStore, source_url: str, target: StateStore, target_url: str) -> None:
    """Mark the target as one that stacks are being brought to.

    Raises:
        StateNotCopied: it has stacks that are neither left from an earlier move, nor brought by one that was broken
            off; or the source has not all stacks itself.
    """
    mark, here = mark_of(target), without_credentials(source_url)
    if (gone := mark_of(source).moved_to) not in {"", without_credentials(target_url)}:
        raise StateNotCopied(f"the stacks have gone from {here} to {gone}: move them from there")
    if mark_of(source).moving_from:
        raise StateNotCopied(
            f"{here} has not all stacks itself: finish the move from {mark_of(source).moving_from} first"
        )
    if mark.moving_from not in {"", here}:
        raise StateNotCopied(f"a move from {mark.moving_from} to the same place was broken off: finish that first")
    if not mark.moving_from and not mark.moved_to and (there := by_stack(target)):
        raise StateNotCopied(
            f"{without_credentials(target_url)} has {len(there)} stacks already ({_some(there)}): name an empty one"
        )
    _write_mark(target, Mark(moving_from=here))


def require_empty(target: StateSource, source: StateSource, *, replace: bool) -> None:
    """Go on only where a backup takes the place of nothing but itself, or is asked to.

    Raises:
        StateNotCopied: the target has stacks of its own.
    """
    require_here(target)
    there, wanted = by_stack(target), by_stack(source)
    others = {stack for stack, keys in there.items() if any(target.read(key) != source.read(key) for key in keys)}
    if others and not replace:
        raise StateNotCopied(
            f"the backend has {len(there)} stacks, of which {len(others)} are not as in the backup ({_some(others)}): "
            f"with --replace it gets the {len(wanted)} of the backup, and no others"
        )


def finish(source: StateStore, target: StateStore, target_url: str) -> None:
    """Mark the source as one that stacks have gone from, and the target as whole."""
    # In this order: broken off between the two, neither is worked on, and the move is finished by the next run.
    _write_mark(source, Mark(moved_to=without_credentials(target_url)))
    target.delete(MARK)


def _write_mark(store: StateStore, mark: Mark) -> None:
    store.write(MARK, mark.model_dump_json().encode())


def copy(source: StateSource, target: StateStore) -> Iterator[tuple[str, Outcome]]:
    """Bring each stack to the target, and take away there what the source has not; yield how it went with each."""
    wanted = by_stack(source)
    keys = {key for kept in wanted.values() for key in kept}
    there: set[str] = set()
    for kept in by_stack(target).values():
        there.update(kept)
        # A checkpoint first: what is left of a stack without one is no stack.
        for key in reversed(kept):
            if key not in keys:
                target.delete(key)
    for stack in sorted(wanted):
        outcome: Outcome = "was there already"
        for key in wanted[stack]:
            content = source.read(key)
            if content is not None and not (key in there and target.read(key) == content):
                target.write(key, content)
                outcome = "copied"
        yield stack, outcome


def compare(source: StateSource, target: StateSource) -> int:
    """Return how many stacks both have, when each has the same of each.

    Raises:
        StateNotCopied: they have not.
    """
    here, there = by_stack(source), by_stack(target)
    differing = {stack for stack in here.keys() | there.keys() if here.get(stack) != there.get(stack)}
    differing |= {stack for stack, keys in here.items() if any(source.read(key) != target.read(key) for key in keys)}
    if differing:
        raise StateNotCopied(
            f"{len(differing)} stacks are not the same in both places ({_some(differing)}): see that nobody works on "
            "them, and run this again"
        )
    return len(here)


def _some(stacks: dict[str, list[str]] | set[str]) -> str:
    names = sorted(stacks)
    return ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")


def back_up(source: StateSource, file: Path) -> Iterator[str]:
    """Write all stacks to a file, whole or not at all; yield each one's name when it is in it.

    Raises:
        StateNotCopied: the file can't be written.
    """
    stacks = by_stack(source)
    temporary = file.with_name(f"{file.name}.new")
    try:
        temporary.touch(mode=0o600)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            about = {
                "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "stacks": sorted(stacks),
            }
            archive.writestr(_ABOUT, json.dumps(about))
            for stack in sorted(stacks):
                for key in stacks[stack]:
                    if (content := source.read(key)) is not None:
                        archive.writestr(key, content)
                yield stack
        temporary.replace(file)
    except OSError as error:
        raise StateNotCopied(f"{file} can't be written ({error.strerror}): name another file") from None
    finally:
        temporary.unlink(missing_ok=True)


class Backup:
    """The stacks in a file that `back_up` wrote: a store that is read from.

    Raises:
        StateNotCopied: the file is none, or is damaged.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(file)
            about = json.loads(self._archive.read(_ABOUT))
            broken = self._archive.testzip()
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise StateNotCopied(f"{file} is no backup that can be read ({error}): name another one") from None
        if broken:
            raise StateNotCopied(f"{file} is damaged ({broken}): name another one")
        self.made: str = about["made"]
        """When it was made, as ISO 8601."""
        self._keys = {name for name in self._archive.namelist() if name != _ABOUT and ".." not in name.split("/")}

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that start with a prefix, sorted."""
        return sorted(key for key in self._keys if key.startswith(prefix))

    def read(self, key: str) -> bytes | None:
        """Return what is stored under a key; None if there is nothing."""
        return self._archive.read(key) if key in self._keys else None
