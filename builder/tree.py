"""A folder into which untrusted entries are written, and outside of which nothing is ever touched.

Nothing is written through a link: whatever lies above an entry is a folder that this tree made
itself. So a link that points outside can do no harm while entries are written, and is found by
`check_links` before anybody else reads the tree. Knows nothing of archives.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from builder.errors import UnsafeEntryError, WriteError, quoted

_LONGEST_PATH = 2048  # PATH_MAX is 4096, and the target's own path comes on top.
_LONGEST_PART = 255  # NAME_MAX
_LONGEST_LINK = 4095  # PATH_MAX without its end mark
# No resolver follows more: Linux stops at 40 (path_resolution(7)), Go's filepath.EvalSymlinks at 255.
_MAXIMUM_HOPS = 255
_CHUNK = 1 << 18
_LATEST_TIME = 1 << 33  # The year 2242; beyond it file systems differ.

Parts = tuple[str, ...]


def entry_parts(name: str) -> Parts:
    """Return the parts of an entry's name, without `.`; empty for the root itself.

    Raises:
        UnsafeEntryError: absolute, with `..`, too long, or nothing that a file can be called.
    """
    if "\0" in name:
        raise UnsafeEntryError(f"entry {quoted(name)} has a NUL in its name: remove it from the archive")
    if name.startswith("/"):
        raise UnsafeEntryError(f"entry {quoted(name)} has an absolute name: pack the archive with relative names")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise UnsafeEntryError(f"entry {quoted(name)} has '..' in its name: pack the archive from inside its folder")
    if len(os.fsencode(name)) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_PART for part in parts):
        raise UnsafeEntryError(
            f"entry {quoted(name)} has too long a name: at most {_LONGEST_PART} bytes a part, {_LONGEST_PATH} in all"
        )
    return parts


def link_leaves(link: Parts, links: dict[Parts, str]) -> bool:
    """Return whether following `link` leads above the root, given all symbolic links below that root.

    `links` maps the parts of a link's own path to what it points to. Works on names alone, so it holds
    for every reader of the tree, however long the paths get.
    """
    place: list[str] = list(link[:-1])
    pending = links[link].split("/")[::-1]
    if links[link].startswith("/"):
        return True
    hops = 1
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not place:
                return True
            place.pop()
            continue
        place.append(part)
        target = links.get(tuple(place))
        if target is not None:
            hops += 1
            if hops > _MAXIMUM_HOPS:
                return False
            if target.startswith("/"):
                return True
            place.pop()
            pending.extend(target.split("/")[::-1])
    return False


class Tree:
    """What has been written below `root`, an empty folder that nobody else writes to.

    Every method raises UnsafeEntryError for an entry that must not be, WriteError when the disk says no.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: set[Parts] = {()}
        self._files: set[Parts] = set()
        self._links: dict[Parts, str] = {}

    def add_folder(self, name: str, mode: int) -> None:
        """Make a folder, or set the mode of one that is there."""
        parts = entry_parts(name)
        if not parts:
            return
        with self._place_for(name, parts, folder=True) as path:
            if parts not in self._folders:
                path.mkdir()
                self._folders.add(parts)
            path.chmod(mode & 0o755 | 0o700)

    def add_file(self, name: str, mode: int, modified: float, content: BinaryIO) -> None:
        """Write a file with what `content` holds. Of the mode, set-id bits and others' write bits are dropped."""
        parts = entry_parts(name)
        with self._place_for(name, parts) as path:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
                self._files.add(parts)
                while chunk := content.read(_CHUNK):
                    file.write(chunk)
                file.flush()
                os.fchmod(file.fileno(), mode & 0o755 | 0o600)
                if 0 <= modified < _LATEST_TIME:
                    os.utime(file.fileno(), (modified, modified))

    def add_symbolic_link(self, name: str, target: str) -> None:
        """Make a symbolic link. Where it may point to is only known at the end: see `check_links`."""
        parts = entry_parts(name)
        if not target or "\0" in target or len(os.fsencode(target)) > _LONGEST_LINK:
            raise UnsafeEntryError(f"entry {quoted(name)} links to {quoted(target)}, which is no path: remove it")
        with self._place_for(name, parts) as path:
            path.symlink_to(target)
            self._links[parts] = target

    def add_hard_link(self, name: str, target: str) -> None:
        """Make a further name of a file that was written before."""
        parts = entry_parts(name)
        source = entry_parts(target)
        if source not in self._files:
            raise UnsafeEntryError(
                f"entry {quoted(name)} is a hard link to {quoted(target)}, which is no file of this archive: "
                "pack the archive with the files that it links to"
            )
        if source == parts:
            return
        with self._place_for(name, parts) as path:
            os.link(self._root.joinpath(*source), path, follow_symlinks=False)
            self._files.add(parts)

    def single_folder(self) -> str | None:
        """Return the name of the top folder where that is all there is at the top, else None."""
        top = {parts[0] for parts in (*self._folders, *self._files, *self._links) if parts}
        name = top.pop() if len(top) == 1 else None
        return name if name and (name,) in self._folders else None

    def check_links(self, below: Parts = ()) -> None:
        """Check that no symbolic link leads out of the folder `below`, which is to become the whole tree.

        Raises:
            UnsafeEntryError: one does.
        """
        depth = len(below)
        links = {parts[depth:]: target for parts, target in self._links.items()}
        for parts, target in links.items():
            if link_leaves(parts, links):
                raise UnsafeEntryError(
                    f"entry {quoted('/'.join((*below, *parts)))} links to {quoted(target)}, which is outside the "
                    "archive: remove the link or make it point to a file of the source tree"
                )

    @contextlib.contextmanager
    def _place_for(self, name: str, parts: Parts, *, folder: bool = False) -> Generator[Path]:
        """Make what lies above an entry, clear its place, and give its path; translate what the disk says."""
        if not parts:
            raise UnsafeEntryError(f"entry {quoted(name)} stands for the whole tree, but is no folder: remove it")
        try:
            for depth in range(1, len(parts)):
                self._require_folder(name, parts[:depth])
            path = self._root.joinpath(*parts)
            if parts in self._folders:
                if not folder:
                    raise UnsafeEntryError(f"entry {quoted(name)} comes twice, once as a folder: keep one of them")
            elif parts in self._files or parts in self._links:
                # A later entry of the same name takes the place of the earlier, as tar itself has it.
                path.unlink()
                self._files.discard(parts)
                self._links.pop(parts, None)
            yield path
        except OSError as error:
            reason = error.strerror or type(error).__name__
            remedy = (
                "give the volume more room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "look at the volume"
            )
            raise WriteError(f"cannot write entry {quoted(name)}: {reason}: {remedy}") from error

    def _require_folder(self, name: str, parts: Parts) -> None:
        if parts in self._folders:
            return
        if parts in self._files or parts in self._links:
            raise UnsafeEntryError(
                f"entry {quoted(name)} lies below {quoted('/'.join(parts))}, which is a file or a link: "
                "pack the archive from a real source tree"
            )
        path = self._root.joinpath(*parts)
        path.mkdir()
        path.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        self._folders.add(parts)
