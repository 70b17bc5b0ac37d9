"""Archives for the tests: honest ones by tarfile, hostile ones by hand where tarfile would not write them."""

import gzip
import io
import tarfile
from collections.abc import Iterable

import zstandard


def regular(name: str, content: bytes = b"content", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = mode
    return member, content


def special(name: str, kind: bytes, target: str = "", mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    member.mode = mode
    return member, b""


def folder(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return special(name, tarfile.DIRTYPE, mode=mode)


def symbolic_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return special(name, tarfile.SYMTYPE, target)


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return special(name, tarfile.LNKTYPE, target)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return packed(members)


def packed(members: Iterable[tuple[tarfile.TarInfo, bytes]], pax_headers: dict[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", pax_headers=pax_headers) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def tar_gz(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return gzip.compress(tar(*members))


def tar_zst(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return zstandard.ZstdCompressor().compress(tar(*members))
