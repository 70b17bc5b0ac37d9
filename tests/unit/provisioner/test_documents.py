from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner import documents
from provisioner.documents import STDIN, Reading, read
from provisioner.manifest_text import as_yaml


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "apps.yaml"


def contents(reading: Reading) -> list[tuple[str, str, object]]:
    return [(Path(document.place).name, document.path, document.content) for document in reading.documents]


def wrong(file: Path, content: str | bytes) -> list[str]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [f"{Path(place).name}: {refusal}" for place, refusal in read(str(file)).refused]


def test_one_document(file: Path) -> None:
    file.write_text("# one\na: 1\n---\n# nothing\n---\n")
    assert contents(read(str(file))) == [("apps.yaml", "", {"a": 1})]


def test_several_documents_are_told_apart_by_line(file: Path) -> None:
    file.write_text("a: 1\n---\n\nb: 2\n")
    assert contents(read(str(file))) == [("apps.yaml:1", "", {"a": 1}), ("apps.yaml:4", "", {"b": 2})]


@pytest.mark.parametrize("kind", ["List", "ReviewAppList"])
def test_the_items_of_a_list_are_documents(file: Path, kind: str) -> None:
    file.write_text(as_yaml({"kind": kind, "items": [{"a": 1}, None]}))
    assert contents(read(str(file))) == [("apps.yaml", "items[0].", {"a": 1}), ("apps.yaml", "items[1].", None)]


def test_json(file: Path) -> None:
    file.write_text('{\n\t"a": "\\ud83d\\ude00", "b": 1.0, "c": 1e3, "d": 0.5\n}')
    assert contents(read(str(file))) == [("apps.yaml", "", {"a": "😀", "b": 1, "c": 1000, "d": 0.5})]


def test_yaml_in_braces(file: Path) -> None:
    file.write_text("{a: 1}\n---\n{b: 2}\n")
    assert contents(read(str(file))) == [("apps.yaml:1", "", {"a": 1}), ("apps.yaml:3", "", {"b": 2})]


def test_a_byte_order_mark_is_none_of_the_text(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert contents(read(str(file))) == [("apps.yaml", "", {"a": 1})]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a: 1\n")))
    assert contents(read(STDIN)) == [("standard input", "", {"a": 1})]


def test_what_comes_before_an_error_is_read(file: Path) -> None:
    assert wrong(file, "a: 1\n---\nb: [\n") == [
        "apps.yaml:4: text: is not YAML (did not find expected node content): correct it"
    ]
    assert contents(read(str(file))) == [("apps.yaml:1", "", {"a": 1})]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "apps.yaml: text: holds no object: write one"),
        ("# nothing\n", "apps.yaml: text: holds no object: write one"),
        ("kind: List\nitems: []\n", "apps.yaml: text: holds no object: write one"),
        (
            "a: 1\nb: c: d\n",
            "apps.yaml:2: text: is not YAML (mapping values are not allowed in this context): correct it",
        ),
        (b"a: 1\n\xff", "apps.yaml:2: text: is not UTF-8 text: correct its encoding"),
        ("a: \x01", "apps.yaml: text: has characters that no YAML has: remove control characters"),
        ("a: 1\nb: 2\na: 3\n", "apps.yaml:3: text: has 'a' twice: remove one"),
        ('{"a": 1, "a": 2}', "apps.yaml: text: has 'a' twice: remove one"),
        ('{"a": NaN}', "apps.yaml: text: has the number NaN, which JSON has not: put it in quotes"),
        ('{"a": 1e999}', "apps.yaml: text: has a number that is too large: put it in quotes"),
        ('{"a": ' + "9" * 5000 + "}", "apps.yaml: text: has a number that is too large: put it in quotes"),
        ("9" * 5000, "apps.yaml: text: has a number that is too large: put it in quotes"),
        ("[" * 100_000, "apps.yaml: text: is nested more than 100 levels deep: flatten it"),
        ("a: " + "[" * 200 + "]" * 200, "apps.yaml:1: text: is nested more than 100 levels deep: flatten it"),
        ("a: &a\n  <<: *a\n", "apps.yaml:1: text: has an anchor that holds itself: write it out"),
        ("a: &a [*a]\n", "apps.yaml:1: text: has an anchor that holds itself: write it out"),
        ("x" * (5 << 20), "apps.yaml: text: is larger than 4 MiB: split it"),
    ],
)
def test_what_can_not_be_read(file: Path, content: str | bytes, line: str) -> None:
    assert wrong(file, content) == [line]


def test_no_tag_makes_an_object(file: Path) -> None:
    (line,) = wrong(file, "a: !!python/object/apply:os.system [touch /tmp/owned]\n")
    assert line.startswith("apps.yaml:1: text: is not YAML (could not determine a constructor")


@pytest.mark.parametrize("merged", [False, True])
def test_a_billion_laughs_are_refused_at_once(file: Path, merged: bool) -> None:
    first = "a0: &a0 {k: v, l: v}\n" if merged else "a0: &a0 [x, x]\n"
    reference = "{{<<: [{0}, {0}]}}" if merged else "[{0}, {0}]"
    lines = [f"a{i}: &a{i} {reference.format(f'*a{i - 1}')}\n" for i in range(1, 64)]
    began = time.monotonic()
    (line,) = wrong(file, first + "".join(lines))
    assert "stands for more than 200000 values: split it" in line
    assert time.monotonic() - began < 5


def test_aliases_are_fine_where_they_stay_small(file: Path) -> None:
    file.write_text("a: &a {x: 1}\nb: {<<: *a, z: 2}\nc: *a\n")
    assert contents(read(str(file)))[0][2] == {"a": {"x": 1}, "b": {"x": 1, "z": 2}, "c": {"x": 1}}


def test_no_more_is_read_than_may_be() -> None:
    (refused,) = read("/dev/zero").refused
    assert refused[1].remedy == "is larger than 4 MiB: split it"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("nowhere.yaml", "can't be read (No such file or directory): correct the path"),
        (".", "can't be read (Is a directory): correct the path"),
        ("a\0b", "can't be read (that is no name of a file): correct the path"),
    ],
)
def test_a_file_that_is_none(name: str, remedy: str) -> None:
    ((place, refusal),) = read(name).refused
    assert (place, refusal.remedy) == (name, remedy)


@given(st.binary(max_size=200) | st.text("[]{}:-,&*!|>'\"%@`?#\n\t ay~<=", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        reading = read(STDIN)
    assert reading.documents or reading.refused
    for place, refusal in reading.refused:
        assert "\n" not in f"{place}: {refusal}"


def test_limits_fit_what_an_api_server_takes() -> None:
    # An object is at most 1.5 MiB in etcd.
    assert documents._LARGEST_BYTES > 1.5 * (1 << 20)  # pyright: ignore[reportPrivateUsage]
