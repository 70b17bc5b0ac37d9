"""Write container images as archives: layers from files of this machine, the same bytes for the same files.

A layer is kept, compressed, in the cache under a key of all that it is made from; an archive is put
together from layers when it is wanted. Knows nothing of what the images are for.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import io
import json
import platform
import struct
import tarfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Any

from dev.console import Step
from dev.paths import CACHE

_LAYERS = CACHE / "images"
_CREATED = "2026-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Tree:
    """The files of one layer; parents of what is put in are added as folders of root with mode 755."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[tarfile.TarInfo, Path | bytes | None]] = {}

    def folder(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        """Add a folder."""
        self._add(path, tarfile.DIRTYPE, mode, owner)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(path, tarfile.SYMTYPE, 0o777, 0).linkname = target

    def file(
        self, path: str, content: Path | bytes, mode: int = 0o644, owner: int = 0, capability: int | None = None
    ) -> None:
        """Add a file.

        Args:
            path: where it lies in the image.
            content: its bytes, or the file of this machine that has them (links are followed).
            mode: its permissions.
            owner: user and group.
            capability: number of the one capability that it gives, effective and permitted, to whoever runs it.
        """
        entry = self._add(path, tarfile.REGTYPE, mode, owner, content)
        entry.size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if capability is not None:
            entry.pax_headers = {"SCHILY.xattr.security.capability": _file_capability(capability)}

    def _add(
        self, path: str, kind: bytes, mode: int, owner: int, content: Path | bytes | None = None
    ) -> tarfile.TarInfo:
        name = path.strip("/")
        for parent in reversed(PurePosixPath(name).parents):
            if str(parent) not in (".", *self._entries):
                self.folder(str(parent))
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = kind, mode, owner, owner
        self._entries[name] = (entry, content)
        return entry

    def write(self, stream: Any) -> None:
        """Write the tree as a tar stream."""
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(self._entries):
                entry, content = self._entries[name]
                if isinstance(content, Path):
                    with content.open("rb") as file:
                        tar.addfile(entry, file)
                else:
                    tar.addfile(entry, None if content is None else io.BytesIO(content))


def _file_capability(number: int) -> str:
    """Return the extended attribute of capabilities(7), revision 2, as tarfile wants bytes: surrogate-escaped."""
    effective, revision_2 = 0x1, 0x02000000
    low, high = (1 << number) & 0xFFFFFFFF, (1 << number) >> 32
    packed = struct.pack("<IIIII", revision_2 | effective, low, 0, high, 0)
    return packed.decode("utf-8", "surrogateescape")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: for people.
        made_from: versions and digests of all that goes in; different whenever the content could be.
        fill: puts the files into a tree.
    """

    name: str
    made_from: tuple[str, ...]
    fill: Callable[[Tree], None]

    @property
    def key(self) -> str:
        """Names the layer in the cache."""
        return f"{self.name}-{_digest(_own_sources(), self.name, *self.made_from)[:12]}"

    def blob(self) -> tuple[Path, str]:
        """The compressed layer's file and the digest of what it unpacks to; made when not in the cache."""
        file = _LAYERS / f"{self.key}.tar.gz"
        note = _LAYERS / f"{self.key}.diff-id"
        if not (file.exists() and note.exists()):
            _LAYERS.mkdir(parents=True, exist_ok=True)
            with Step(f"make image layer {self.name}"):
                self._make(file, note)
        return file, note.read_text()

    def _make(self, file: Path, note: Path) -> None:
        tree = Tree()
        self.fill(tree)
        with NamedTemporaryFile(dir=_LAYERS) as plain, NamedTemporaryFile(dir=_LAYERS, delete=False) as packed:
            tree.write(plain)
            plain.seek(0)
            digest = hashlib.sha256()
            with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as compressor:
                while chunk := plain.read(1 << 20):
                    digest.update(chunk)
                    compressor.write(chunk)
        note.write_text(f"sha256:{digest.hexdigest()}")
        Path(packed.name).rename(file)


@dataclasses.dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        name: last part of its repository's name.
        version: of the program that it is made for.
        layers: lowest first.
        entrypoint, command, environment, user, folder, volumes: as in a Dockerfile.
        search: folders put before the usual ones on PATH.
    """

    name: str
    version: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    user: str = ""
    folder: str = "/"
    volumes: tuple[str, ...] = ()
    search: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """The version and a digest of the image's content: a tag never means two things. Makes missing layers."""
        return f"{self.version}-{hashlib.sha256(self._config()).hexdigest()[:12]}"

    @contextmanager
    def archive(self, reference: str) -> Generator[Path]:
        """Give the image as a `docker load` archive under that reference, for as long as the block runs."""
        config = self._config()
        names = [f"{index}.tar.gz" for index in range(len(self.layers))]
        manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": names}]
        with NamedTemporaryFile(dir=_LAYERS, suffix=".tar") as temporary:
            with tarfile.open(fileobj=temporary, mode="w") as tar:
                for name, content in (
                    ("manifest.json", json.dumps(manifest).encode()),
                    ("config.json", config),
                ):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
                for name, layer in zip(names, self.layers, strict=True):
                    tar.add(layer.blob()[0], name)
            temporary.flush()
            yield Path(temporary.name)

    def _config(self) -> bytes:
        search = ":".join([*self.search, _DEFAULT_PATH])
        content: dict[str, Any] = {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "created": _CREATED,
            "config": {
                "Env": [f"PATH={search}", *self.environment],
                "Entrypoint": list(self.entrypoint) or None,
                "Cmd": list(self.command) or None,
                "User": self.user,
                "WorkingDir": self.folder,
                "Volumes": {path: {} for path in self.volumes} or None,
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.blob()[1] for layer in self.layers]},
            "history": [{"created": _CREATED, "created_by": layer.name} for layer in self.layers],
        }
        return json.dumps(content, sort_keys=True).encode()


@functools.cache
def _own_sources() -> str:
    """Return a digest of the code that makes images: what it makes may change with it."""
    return _digest(*(file.read_text() for file in sorted(Path(__file__).parent.glob("*.py"))))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
