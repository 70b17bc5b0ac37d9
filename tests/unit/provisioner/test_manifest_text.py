from __future__ import annotations

import itertools
import json
import re
import subprocess
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provisioner.manifest_text import Loader, as_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# Characters that numbers, dates, booleans and YAML's own marks are made of.
NEAR_NUMBERS = st.text("0123456789+-.:_eExobyYnN~<=", max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS | NEAR_NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | NEAR_NUMBERS, inner, max_size=3),
    max_leaves=8,
)


def loaded(text: str) -> Any:
    return yaml.load(text, Loader=Loader)


@given(VALUES)
def test_what_is_written_is_read_again_as_it_was(value: Any) -> None:
    text = as_yaml(value)
    assert loaded(text) == value
    # Also by who follows another version of YAML.
    assert yaml.safe_load(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("80:80", "80:80"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("1.0", 1),
        ("0.5", 0.5),
        ("1e3", 1000),
        ("12e4567", "12e4567"),
        ("017", 15),
        ("0o17", 15),
        ("08", 8),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("+1", 1),
        ("-1", -1),
        ("1e", "1e"),
        ("0x", "0x"),
        ("18446744073709551616", 18446744073709551616),
        ("1" + "0" * 30, 1e30),
        ("y", True),
        ("OFF", False),
        ("oFF", "oFF"),
        ("~", None),
        ("", None),
        ("'y'", "y"),
        ("=", "="),
    ],
)
def test_plain_scalars_mean_what_they_mean_to_kubectl(text: str, value: object) -> None:
    document = loaded(f"key: {text}\n")
    assert json.dumps(document["key"]) == json.dumps(value)


def _is_plain(text: str) -> bool:
    try:
        return len(loaded(f"- {text}\n")) == 1 and not isinstance(loaded(text), dict | list)
    except yaml.YAMLError:
        return False


@pytest.mark.cluster
def test_kubectl_itself_reads_them_so() -> None:
    near = ("".join(letters) for length in (1, 2, 3, 4) for letters in itertools.product("08.-_eoby", repeat=length))
    # It takes `0b-0` for a number: a slip.
    scalars = [scalar for scalar in near if _is_plain(scalar) and "b-" not in scalar]
    assert len(scalars) > 5000
    # The cluster is not asked: it stands for kubectl's being here.
    header = "apiVersion: example.com/v1\nkind: Example\nmetadata: {name: a}\nvalues:\n"
    text = header + "".join(f"- {scalar}\n" for scalar in scalars)
    command = ["kubectl", "annotate", "--local", "--filename=-", "--output=json", "a=b"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=True)
    theirs = json.loads(done.stdout)["values"]
    ours = loaded(text)["values"]
    assert [(s, a, b) for s, a, b in zip(scalars, ours, theirs, strict=True) if json.dumps(a) != json.dumps(b)] == []


def test_keys_are_text() -> None:
    assert loaded("y: 1\n2: 2\n~: 3\n") == {"true": 1, "2": 2, "null": 3}


def test_equal_parts_are_written_out() -> None:
    part = {"a": ["b"]}
    assert not re.search("[&*]", as_yaml([part, part]))
