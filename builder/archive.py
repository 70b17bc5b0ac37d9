"""Reads tar, tar.gz and tar.zst, told apart by their content, into a tree that is safe to build from.

Decompression is bounded before it happens: neither the archive's own claims about sizes nor headers
made to fill the memory are believed. Writes nothing by itself: see `builder.tree`.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import tarfile
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from builder.errors import ArchiveError, LimitError, UnsafeEntryError, quoted
from builder.tree import Tree

_BLOCK = 512
_CHUNK = 1 << 18
# What may lie between two entries' data: headers, long names, pax records. A name takes 4 KiB, extended
# attributes 64 KiB each; more is an attempt to make the parser hold it all.
_HEADERS = 1 << 18
_GZIP = b"\x1f\x8b"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_DAMAGED = "make and upload it again"


@dataclasses.dataclass(frozen=True)
class Limits:
    """How large an archive may be: bytes as unpacked (headers included), and entries of any kind."""

    unpacked_bytes: int
    entries: int


@dataclasses.dataclass(frozen=True)
class Contents:
    """What an archive held.

    Attributes:
        root: the folder that is the source tree: the target itself, or the single folder at its top.
        entries: number of entries of any kind.
        size: bytes as unpacked, headers included.
    """

    root: Path
    entries: int
    size: int


class _Stream(io.RawIOBase):
    """A decompressed stream as tarfile wants it, which only goes forward, and only so far.

    Attributes:
        allowance: how many bytes may still be asked for before the caller has to raise it; skipping is free.
        last: the last bytes that were read.
    """

    def __init__(self, source: BinaryIO, maximum: int) -> None:
        super().__init__()
        self._source = source
        self._maximum = maximum
        self._position = 0
        self.allowance = 0
        self.last = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < self._position:
            raise ArchiveError(f"the archive's headers contradict each other: {_DAMAGED}")
        while self._position < position and self._take(min(_CHUNK, position - self._position)):
            pass
        return self._position

    def read(self, size: int = -1) -> bytes:
        # Counted by what is asked for, not by what comes: at its end a crafted archive could make tarfile
        # ask for ever.
        self.allowance -= size if size >= 0 else _HEADERS + 1
        if self.allowance < 0:
            raise ArchiveError(f"the archive has a header of more than {_HEADERS} bytes: pack it without attributes")
        pieces: list[bytes] = []
        while size > 0 and (piece := self._take(min(_CHUNK, size))):
            pieces.append(piece)
            size -= len(piece)
        self.last = b"".join(pieces)
        return self.last

    def drain(self) -> None:
        """Read to the end, so that a checksum there is looked at."""
        while self._take(_CHUNK):
            pass

    @property
    def position(self) -> int:
        """Bytes decompressed so far."""
        return self._position

    def _take(self, size: int) -> bytes:
        try:
            piece = self._source.read(size)
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise ArchiveError(f"the archive is damaged ({error}): {_DAMAGED}") from error
        self._position += len(piece)
        if self._position > self._maximum:
            raise LimitError(
                f"the archive holds more than {self._maximum} bytes unpacked: leave out what the build does not need, "
                "with .gitattributes export-ignore for example"
            )
        return piece


def unpack(source: BinaryIO, target: Path, limits: Limits) -> Contents:
    """Unpack the archive that the seekable `source` holds into `target`, an empty folder.

    A single folder at the top, as in the tarballs of GitHub, is what counts as the source tree: see
    `Contents.root`.

    Raises:
        ArchiveError: not an archive of a known kind, or a damaged one.
        UnsafeEntryError: an entry reaches outside the target, or is no file, folder or link.
        LimitError: a limit is exceeded.
        WriteError: the disk says no.
    """
    stream = _Stream(_decompressed(source), limits.unpacked_bytes)
    tree = Tree(target)
    try:
        entries = _read_entries(stream, tree, limits)
    except tarfile.TarError as error:
        raise ArchiveError(f"the archive is damaged ({error}): {_DAMAGED}") from error
    if stream.last != bytes(_BLOCK):
        # tarfile takes a broken header, and an end in between two entries, for the end of the archive.
        raise ArchiveError(f"the archive is damaged or cut off after {entries} entries: {_DAMAGED}")
    stream.drain()
    if not entries:
        raise ArchiveError("the archive holds nothing: check what was packed")
    top = tree.single_folder()
    tree.check_links(below=(top,) if top else ())
    return Contents(root=target / top if top else target, entries=entries, size=stream.position)


def _decompressed(source: BinaryIO) -> BinaryIO:
    source.seek(0)
    head = source.read(_BLOCK)
    source.seek(0)
    if not head:
        raise ArchiveError("the tarball is empty: check what was uploaded")
    if head.startswith(_GZIP):
        return cast("BinaryIO", gzip.GzipFile(fileobj=source, mode="rb"))
    if head.startswith(_ZSTANDARD):
        return cast("BinaryIO", zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True))
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if head == bytes(_BLOCK):
            return source
        raise ArchiveError(
            f"neither tar nor tar.gz nor tar.zst (it begins with the bytes {head[:4].hex(' ')}): "
            "check that the URL gives the tarball itself"
        ) from error
    return source


def _read_entries(stream: _Stream, tree: Tree, limits: Limits) -> int:
    entries = 0
    for archive, member in _members(stream):
        entries += 1
        if entries > limits.entries:
            raise LimitError(
                f"the archive holds more than {limits.entries} entries: leave out what the build does not need"
            )
        _add(archive, member, stream, tree)
    return entries


def _members(stream: _Stream) -> Generator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    archive: tarfile.TarFile | None = None
    while True:
        stream.allowance = _HEADERS
        try:
            if archive is None:
                archive = tarfile.TarFile(fileobj=stream, mode="r", errors="surrogateescape", encoding="utf-8")
            member = archive.next()
        except (ValueError, LookupError, ArithmeticError) as error:
            # What tarfile lets through when a header's fields are not what they should be.
            raise ArchiveError(f"the archive is damaged (a header makes no sense): {_DAMAGED}") from error
        if member is None:
            return
        # Else it keeps every entry that it has seen. A public attribute, which typeshed leaves out.
        archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        yield archive, member


def _add(archive: tarfile.TarFile, member: tarfile.TarInfo, stream: _Stream, tree: Tree) -> None:
    if member.issparse():
        raise UnsafeEntryError(f"entry {quoted(member.name)} is a sparse file: pack the archive without --sparse")
    if member.isdir():
        tree.add_folder(member.name, member.mode)
    elif member.isreg():
        content = archive.extractfile(member)
        if content is None:
            raise ArchiveError(f"entry {quoted(member.name)} has no content: {_DAMAGED}")
        # Its size, and what a buffered reader asks for beyond it.
        stream.allowance = member.size + _HEADERS
        tree.add_file(member.name, member.mode, member.mtime, cast("BinaryIO", content))
    elif member.issym():
        tree.add_symbolic_link(member.name, member.linkname)
    elif member.islnk():
        tree.add_hard_link(member.name, member.linkname)
    else:
        kind = {tarfile.CHRTYPE: "a character device", tarfile.BLKTYPE: "a block device", tarfile.FIFOTYPE: "a fifo"}
        raise UnsafeEntryError(
            f"entry {quoted(member.name)} is {kind.get(member.type, 'of an unknown kind')}: "
            "pack files, folders and links only"
        )
