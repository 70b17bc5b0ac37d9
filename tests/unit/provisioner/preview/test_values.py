from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.preview.values import (
    ABSENT,
    SECRET,
    SECRET_KEY,
    UNKNOWN,
    is_secret,
    look_up,
    parse_path,
    path_order,
    shown,
)

MARKED = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "hunter2"}
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec", ("spec",)),
        ("spec.ports[0].targetPort", ("spec", "ports", 0, "targetPort")),
        ('metadata.labels["a.b/c"]', ("metadata", "labels", "a.b/c")),
        ('data["tls.crt"]', ("data", "tls.crt")),
        ('data["say \\"hi\\""].x', ("data", 'say "hi"', "x")),
        ("[1][2]", (1, 2)),
        ("", ()),
    ],
)
def test_paths_are_read_as_the_engine_writes_them(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path


def engines(path: list[str | int]) -> str:
    """Write a path as the engine does: PropertyPath.String."""
    text = ""
    for index, step in enumerate(path):
        if isinstance(step, int):
            text += f"[{step}]"
        elif all(character.isascii() and (character.isalnum() or character == "_") for character in step):
            text += f"{'.' if index else ''}{step}"
        else:
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


# A backslash is not escaped by the engine, so one before a quote can't be told apart.
STEPS = st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), min_size=1) | st.integers(0, 99)


@given(st.lists(STEPS, min_size=1, max_size=6))
def test_every_path_of_the_engines_is_read(path: list[str | int]) -> None:
    assert parse_path(engines(path)) == tuple(path)


def test_the_tenth_comes_after_the_ninth() -> None:
    paths = ["a[10]", "a[9]", "a", "a.b", "B"]
    assert sorted(paths, key=lambda text: path_order(parse_path(text))) == ["B", "a", "a[9]", "a[10]", "a.b"]


def test_look_up() -> None:
    document = {"a": [{"b": None}], "s": MARKED}
    assert look_up(document, ("a", 0, "b")) is None
    assert look_up(document, ()) == document
    for absent in [("x",), ("a", 1), ("a", "b"), ("a", 0, "b", "c"), (0,)]:
        assert look_up(document, absent) is ABSENT
    assert is_secret(look_up(document, ("s", "any", 1, "thing")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (MARKED, SECRET),
        ({"a": [MARKED, UNKNOWN_TEXT, 1, None, True]}, {"a": [SECRET, UNKNOWN, 1, None, True]}),
        ({SECRET_KEY: "abc", "b": "abc"}, {SECRET_KEY: SECRET, "b": "abc"}),
        ("https://user:hunter2@example.com/x?sig=hunter2#y", "https://…@example.com/x…"),
        ("--from=s3://key:hunter2@bucket/x, http://b/?hunter2", "--from=s3://…@bucket/x, http://b/…"),
        (["https://example.com/x"], ["https://example.com/x"]),
        ("registry.example.com/a/b@sha256:0", "registry.example.com/a/b@sha256:0"),
    ],
)
def test_what_is_shown_of_a_value(value: Any, expected: Any) -> None:
    assert shown(value) == expected
    assert "hunter2" not in str(shown(value))
