"""Hostile text in terminals, CI logs and comments. Markdown is read by a real parser of CommonMark and of tables."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.untrusted import code, code_block, logged, markdown, printable

# Pieces that mean something to a terminal, a runner, a forge or Markdown, glued to each other and to any text.
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    "```",
                    "````",
                    "~~~",
                    "`",
                    "``",
                    "\n",
                    "\r",
                    "\r\n",
                    "\n\n",
                    "|",
                    "\\",
                    "\\|",
                    "    ",
                    "\t",
                    "> ",
                    ">>>",
                ),
                *("@somebody", "@", "a@b", "&#64;somebody", "&#x40;x", "&commat;x", "#1", "!2", "acme/shop#3"),
                *(
                    "<b>",
                    "</b>",
                    "<details>",
                    "</details>",
                    "<!--",
                    "-->",
                    "<!-- reviewapp: x -->",
                    "<script>",
                    "<?",
                    "<![CDATA[",
                ),
                *("![i](http://h/i.png)", "[a](javascript:x)", "http://h", "/close", "/merge now", "\n/merge"),
                *("::add-mask::x", " ::set-output name=a::b", "##[set-output name=a;]b", "##[error]"),
                *(
                    "\x1b[31m",
                    "\x1b]0;title\x07",
                    "\x1b]8;;http://h\x1b\\",
                    "\x1b",
                    "\x9b31m",
                    "\x00",
                    "\x08",
                    "\u202e",
                    "\u2028",
                    "\x85",
                ),
            ]
        ),
        st.text(max_size=8),
    ),
    max_size=12,
).map("".join)

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")


def tokens(text: str) -> list[Token]:
    """Return every token of a text, those inside paragraphs and cells too."""
    found: list[Token] = []
    for token in PARSER.parse(text):
        found += [token, *(token.children or [])]
    return found


def content(text: str) -> set[str]:
    """Return the kinds of what a text holds."""
    return {token.type for token in tokens(text)}


@given(PIECES)
def test_what_is_printed_steers_no_terminal(text: str) -> None:
    shown = printable(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert printable(shown) == shown


def test_what_is_printed_reads_the_same() -> None:
    assert printable("a\tb\r\nc\rd \x1b[1;31mred\x1b[0m é 日本 🚀") == "a\tb\nc\nd red é 日本 🚀"
    assert printable("\x1b]8;;http://h\x07link\x1b]8;;\x07 \x1b]0;title\x1b\\t") == "link t"


@given(PIECES)
def test_no_line_of_a_log_is_a_command_of_the_runner(text: str) -> None:
    # As the runner looks for them: https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
    for line in logged(text).split("\n"):
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def test_a_log_reads_the_same() -> None:
    assert logged("BuildFailed: it failed\n::error::x\nlast") == "BuildFailed: it failed\n    | ::error::x\n    | last"


@given(PIECES, st.integers(2, 50))
@example("a\\|b", 50)
@example("\\", 50)
def test_inline_code_is_all_code_in_a_cell_of_a_table(text: str, most: int) -> None:
    inline = code(text, most)
    table = tokens(f"| a | b |\n| --- | --- |\n| {inline} | {code('after')} |")
    cells = [token for token in table if token.type == "td_open"]
    assert len(cells) == 2
    shown = [token for token in table if token.type in {"text", "code_inline", "html_inline", "link_open", "image"}]
    assert [token.type for token in shown if token.content not in {"a", "b", ""}] == ["code_inline"] * (
        1 + bool(inline)
    )
    assert len(inline) <= most + 2


@given(PIECES)
@example("\n```\n/merge\n")
@example("a\n``\x1b[31m``\nb")
def test_nothing_ends_a_code_block(text: str) -> None:
    block = code_block(text)
    assert content(f"before\n\n{block}\n\nafter") == {"paragraph_open", "inline", "text", "paragraph_close", "fence"}
    (fence,) = [token for token in tokens(block) if token.type == "fence"]
    assert fence.content.strip().replace("\u200b/", "/") == printable(text).strip().replace("\u200b/", "/")


@given(PIECES)
@example("    /close")
def test_no_line_is_a_command_to_gitlab(text: str) -> None:
    for shown in (code_block(text), markdown(text)):
        # GitLab drops carriage returns before it looks.
        assert not re.search(r"^/", shown.replace("\r", ""), re.MULTILINE)


@given(PIECES)
def test_markdown_has_no_html_but_what_folds(text: str) -> None:
    for token in tokens(markdown(text)):
        assert token.type != "image"
        if token.type in {"html_block", "html_inline"}:
            left = re.sub(r"</?(details|summary)>|<br ?/?>", "", token.content)
            assert not re.search(r"<[A-Za-z/!?]", left)


@given(PIECES)
def test_markdown_mentions_nobody(text: str) -> None:
    for token in tokens(markdown(text)):
        # Forges look in the text that is shown, entities resolved, not in code.
        if token.type == "text":
            assert not re.search(r"(?:^|[^A-Za-z0-9_])@[A-Za-z0-9]", token.content)


@pytest.mark.parametrize(
    "text",
    [
        "| a | b |\n| --- | --- |\n| `Secret n/x` | 2 |",
        "<details><summary>2 to change</summary>\n\n```diff\n- tag: a@sha256:0\n+ tag: a@sha256:1\n```\n\n</details>",
        "**Replaces the database**: 1 < 2 && 3 > 2",
    ],
)
def test_markdown_that_means_no_harm_stays_as_it_is(text: str) -> None:
    assert markdown(text) == text
