"""Image layers and archives: the same bytes from the same files, and what plain archives lose is kept."""

from __future__ import annotations

import ast
import io
import json
import struct
import sys
import tarfile
from pathlib import Path
from typing import IO

import pytest

from dev.images import archive, python
from dev.images.archive import Image, Layer, Tree
from dev.paths import REPOSITORY

MODULES_OF = {"pydantic-settings": "pydantic_settings"}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_LAYERS", tmp_path / "layers")


def _written(tree: Tree) -> bytes:
    stream = io.BytesIO()
    tree.write(stream)
    return stream.getvalue()


def test_a_layer_does_not_depend_on_order_or_on_dates(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(b"x")
    one, other = Tree(), Tree()
    one.file("usr/bin/a", file, 0o755)
    one.link("bin", "usr/bin")
    file.touch()
    other.link("bin", "usr/bin")
    other.file("usr/bin/a", file, 0o755)
    assert _written(one) == _written(other)


def test_parents_are_added_once_and_keep_what_was_said_of_them() -> None:
    tree = Tree()
    tree.folder("tmp", 0o1777)
    tree.file("tmp/deep/file", b"x", owner=1000)
    with tarfile.open(fileobj=io.BytesIO(_written(tree))) as tar:
        entries = {entry.name: entry for entry in tar}
    assert list(entries) == ["tmp", "tmp/deep", "tmp/deep/file"]
    assert entries["tmp"].mode == 0o1777
    assert (entries["tmp/deep"].uid, entries["tmp/deep/file"].uid) == (0, 1000)


@pytest.mark.parametrize("number", [6, 7, 38])
def test_a_file_capability_is_in_the_archive_as_the_kernel_wants_it(number: int) -> None:
    tree = Tree()
    tree.file("usr/bin/newuidmap", b"x", 0o755, capability=number)
    written = _written(tree)
    expected = struct.pack("<IIIII", 0x02000001, (1 << number) & 0xFFFFFFFF, 0, (1 << number) >> 32, 0)
    assert b" SCHILY.xattr.security.capability=" + expected + b"\n" in written


def test_an_archive_holds_the_layers_that_its_configuration_names() -> None:
    layers = tuple(Layer(name, (), lambda tree, name=name: tree.file(name, b"x")) for name in ("one", "two"))
    image = Image("app", "1.0", layers, command=("sh",), user="1000:1000", volumes=("/data",))
    with image.archive("registry.example/app:1") as path, tarfile.open(path) as tar:
        contents = {name: tar.extractfile(name) for name in tar.getnames()}
        manifest = json.load(_present(contents["manifest.json"]))[0]
        config = json.load(_present(contents["config.json"]))
        assert manifest["RepoTags"] == ["registry.example/app:1"]
        assert len(manifest["Layers"]) == len(config["rootfs"]["diff_ids"]) == 2
        with tarfile.open(fileobj=_present(contents[manifest["Layers"][1]]), mode="r:gz") as second:
            assert second.getnames() == ["two"]
    assert config["config"]["User"] == "1000:1000"
    assert config["config"]["Volumes"] == {"/data": {}}


def _present(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def test_a_tag_changes_with_what_is_in_the_image_and_with_nothing_else() -> None:
    def image(made_from: str, content: bytes, user: str = "") -> Image:
        return Image("app", "1.0", (Layer("one", (made_from,), lambda tree: tree.file("x", content)),), user=user)

    first = image("a", b"x").tag
    assert first.startswith("1.0-")
    assert image("made otherwise", b"x").tag == first
    assert len({first, image("b", b"y").tag, image("a", b"x", "1000").tag}) == 3


def test_a_layer_is_made_once() -> None:
    made: list[Tree] = []
    layer = Layer("one", (), made.append)
    assert layer.blob() == layer.blob()
    assert len(made) == 1


def test_the_unpack_image_has_all_that_the_builder_imports() -> None:
    imported: set[str] = set()
    for file in (REPOSITORY / "builder").rglob("*.py"):
        for statement in ast.walk(ast.parse(file.read_text())):
            if isinstance(statement, ast.Import):
                imported |= {name.name.partition(".")[0] for name in statement.names}
            elif isinstance(statement, ast.ImportFrom) and statement.module:
                imported.add(statement.module.partition(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"builder"}
    installed = {MODULES_OF.get(name, name) for name in python.NEEDS}
    assert third_party <= installed | {"botocore"}
