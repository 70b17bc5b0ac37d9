from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from provisioner.preview.document import document
from provisioner.preview.markdown import MOST_BYTES, markdown
from provisioner.preview.model import Operation, Preview, PropertyChange, ResourceChange
from provisioner.preview.text import text
from tests.golden.preview import CASES, FOLDER, HOSTILE, renderings

MARK = "hunter2"
OPERATIONS = get_args(Operation)


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_the_golden_files_say(name: str) -> None:
    expected = {file.suffix[1:]: file.read_text() for file in FOLDER.glob(f"{name}.*")}
    # On a wanted change: `python -m tests.golden.preview`, and read the difference.
    assert renderings(CASES[name]) == expected


def test_each_golden_file_is_a_cases() -> None:
    assert {file.stem for file in FOLDER.iterdir() if file.is_file() and file.suffix != ".py"} == CASES.keys()


# Whatever somebody may write, with much of what means something to Markdown, HTML, GitHub or a terminal.
PIECES = (
    *(MARK, "`", "```", "````", "|", "\\|", "\\", "\n", "\r", "\n\n", "~~~", "> ", " ", "\x1b[2J", "\u202e", "\u2028"),
    *("</details>", "</code>", "<b>", "<!--", "-->", "@org/team", "#1", "![x](http://x)", "[x](http://x)", "&#64;"),
)
WORDS = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=12).map("".join)
VALUES = st.none() | st.booleans() | st.integers() | WORDS | st.lists(WORDS, max_size=2)
PROPERTIES = st.builds(
    PropertyChange,
    WORDS,
    st.sampled_from(["add", "update", "delete"]),
    VALUES,
    VALUES,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
KINDS = WORDS | st.sampled_from(["PersistentVolumeClaim", "Deployment"])
CHANGES = st.builds(
    ResourceChange,
    st.sampled_from(OPERATIONS),
    st.just("v1"),
    KINDS,
    WORDS,
    WORDS,
    st.lists(PROPERTIES, max_size=3).map(tuple),
)
NOTES = st.lists(WORDS, max_size=3).map(tuple)
PREVIEWS = st.builds(
    Preview,
    st.just("acme.shop.42"),
    st.booleans(),
    st.lists(CHANGES, max_size=4).map(tuple),
    st.integers(0, 9),
    NOTES,
    NOTES,
    NOTES,
)


def tokens(rendered: str) -> list[Token]:
    found: list[Token] = []
    for token in MarkdownIt("commonmark").enable("table").parse(rendered):
        found += [token, *(token.children or [])]
    return found


@given(PREVIEWS)
def test_nothing_breaks_out_of_markdown(preview: Preview) -> None:
    found = tokens(markdown(preview))
    assert {token.type for token in found} <= {
        *("paragraph_open", "paragraph_close", "inline", "text", "softbreak", "code_inline", "fence", "html_block"),
        *("strong_open", "strong_close", "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
        *("blockquote_open", "blockquote_close", "table_open", "table_close", "thead_open", "thead_close"),
        *("tbody_open", "tbody_close", "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close"),
    }
    for token in found:
        if token.type == "html_block":
            summary = token.content.removeprefix("<details>\n<summary>").removesuffix("</summary>\n")
            assert token.content == "</details>\n" or not set(summary) & set("<>&@#`\n")
        if token.type == "text":
            assert not set(token.content) & set("`@<>#\\")
    # A row for each change, and as many cells in each.
    rows = [token.type for token in found if token.type in {"tr_open", "td_open"}]
    assert rows.count("td_open") == 4 * len(preview.changes)
    assert rows.count("tr_open") == (1 + len(preview.changes) if preview.changes else 0)
    folded = [token for token in found if token.type == "fence"]
    assert len(folded) == sum(bool(change.properties) for change in preview.changes)


@given(PREVIEWS)
def test_nothing_steers_a_terminal_or_adds_a_line(preview: Preview) -> None:
    printed = text(preview).plain
    lines = printed.split("\n")
    assert all(line.isprintable() for line in lines)
    notes = len(preview.losses) + len(preview.obstacles) + len(preview.unseen) + len(preview.assumptions)
    objects = len(preview.changes) + sum(len(change.properties) for change in preview.changes)
    assert len(lines) == 1 + notes + (1 + objects if preview.changes else 0)


@given(PREVIEWS)
def test_json_says_all_of_it(preview: Preview) -> None:
    read = json.loads(json.dumps(document(preview)))
    assert sum(read["counts"].values()) == len(preview.changes) + preview.unchanged
    assert [item["name"] for item in read["changes"]] == [change.name for change in preview.changes]
    assert len(read["losesData"]) == len(preview.losses)
    assert [len(item["properties"]) for item in read["changes"]] == [len(c.properties) for c in preview.changes]


def many(objects: int, properties: int, value: str) -> Preview:
    differences = tuple(PropertyChange(f"{value}[{n}]", "update", value, value) for n in range(properties))
    changes = tuple(
        ResourceChange(
            "delete" if n % 2 else "update", "v1", "PersistentVolumeClaim", value, f"{value}-{n}", differences
        )
        for n in range(objects)
    )
    notes = tuple(f"{n} {value}" for n in range(50))
    return Preview("acme.shop.42", False, changes, 0, notes, notes, notes)


@pytest.mark.parametrize(
    "value", ["x" * 500, "𒀀" * 500, "\u202e" * 500, HOSTILE * 20], ids=["x", "wide", "escaped", "hostile"]
)
@pytest.mark.parametrize(("objects", "properties"), [(6, 120), (40, 50), (3000, 1)])
def test_it_fits_a_comment_and_says_what_was_cut(objects: int, properties: int, value: str) -> None:
    rendered = markdown(many(objects, properties, value))
    assert len(rendered.encode()) <= MOST_BYTES
    assert "Too long for a comment:" in rendered
    assert "`reviewapp preview --format json` has all." in rendered
    assert "Where a value ends in `…`" in rendered or "<details>" not in rendered
    assert rendered.count("<details>") == rendered.count("</details>")
    assert "- and 40 more" in rendered
    rows = sum(token.type == "tr_open" for token in tokens(rendered)) - 1
    assert (f"{objects - rows} more objects" in rendered) is (rows < objects)


def test_what_fits_is_whole() -> None:
    rendered = markdown(CASES["built"])
    assert "Too long" not in rendered
    assert "…" not in rendered


def test_more_differences_than_anybody_reads_are_counted() -> None:
    rendered = markdown(many(1, 120, "x"))
    assert "! and 20 more" in rendered
