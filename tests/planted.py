"""Secrets that tests plant, and whether a text holds one in any of the forms that programs give to values."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

# https://docs.python.org/3/library/zlib.html#zlib.decompress
_GZIP = 31


def forms(secret: str) -> set[bytes]:
    """Return what a secret looks like: as it is, in JSON, quoted for addresses, and in Base64 wherever it stands."""
    plain = secret.encode()
    found = {plain, json.dumps(secret)[1:-1].encode(), json.dumps(secret, ensure_ascii=False)[1:-1].encode()}
    for safe in ("", "/"):
        quoted = quote(secret, safe=safe), quote_plus(secret, safe=safe)
        found |= {text.encode() for text in quoted} | {text.lower().encode() for text in quoted}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # Three bytes are four characters: those that share bits with what stands beside it are left out.
            first, last = -(-before * 8 // 6), (before + len(plain)) * 8 // 6
            found.add(encode(b"\0" * before + plain)[first:last])
    return found


def planted_in(content: bytes, secrets: Mapping[str, str]) -> list[str]:
    """Return the names of the secrets that a content holds."""
    # As much of it as there is, where somebody is still writing it.
    unpacked = zlib.decompressobj(_GZIP).decompress(content) if content.startswith(b"\x1f\x8b") else content
    return [name for name, secret in secrets.items() if any(form in unpacked for form in forms(secret))]


def planted_in_files(folder: Path, secrets: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return path and name of a secret for each that stands in a file below a folder."""
    files: Iterable[Path] = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [(str(path), name) for path in files for name in planted_in(path.read_bytes(), secrets)]
