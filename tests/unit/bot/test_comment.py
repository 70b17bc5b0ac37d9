"""What a comment says for each state, and that no hostile text gets out of its place in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.comment import Report, body, marker
from provisioner.review_app import Status
from tests.unit.bot.test_untrusted import PARSER, PIECES, content

COMMIT = "8a1f0e3c5b7d9e2f4a6c8b0d1e3f5a7c9b1d3e5f"
URL = "http://shop-42.review.example.com"
MOST = 65_536
LOG = "the build of commit 8a1f0e3c5b7d failed: container build ended with exit code 1; its last lines:\n#7 @all\n```"


def condition(kind: str, value: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": value,
        "reason": reason or kind,
        "message": message or f"says {kind}",
        "lastTransitionTime": "2026-11-25T00:00:00Z",
        "observedGeneration": 1,
    }


def report(*conditions: dict[str, Any], commit: str = COMMIT, **changes: Any) -> Report:
    status = {"observedGeneration": 1, "buildCommit": commit, "url": URL, "conditions": list(conditions)}
    return dataclasses.replace(Report("acme-shop-42", Status.read(status), COMMIT, 1), **changes)


READY = report(*(condition(kind, "True") for kind in ("Accepted", "Built", "Available", "Ready")))
BUILDING = report(
    condition("Accepted", "True"),
    condition("Built", "Unknown", "Building", "commit 8a1f0e3c5b7d is being built by Job shop-42--8a1f0e3c5b"),
    condition("Available", "False", "NotBuilt"),
    condition("Ready", "False", "Building", "commit 8a1f0e3c5b7d is being built by Job shop-42--8a1f0e3c5b"),
)
FAILED = report(
    condition("Accepted", "True"),
    condition("Built", "False", "BuildFailed", LOG),
    condition("Available", "False", "NotBuilt"),
    condition("Ready", "False", "BuildFailed", LOG),
)


def test_ready() -> None:
    assert (
        body(READY, MOST)
        == f"""<!-- reviewapp: acme-shop-42 -->

### Review app: ready

**{URL}** runs commit `8a1f0e3c5b7d`.

| condition | reason | message |
| --- | --- | --- |
| ✅ `Accepted` | `Accepted` | `says Accepted` |
| ✅ `Built` | `Built` | `says Built` |
| ✅ `Available` | `Available` | `says Available` |
| ✅ `Ready` | `Ready` | `says Ready` |"""
    )


def test_building() -> None:
    text = body(BUILDING, MOST)
    assert "### Review app: on its way" in text
    assert f"It will answer at **{URL}** with commit `8a1f0e3c5b7d`." in text
    assert "| ⏳ `Built` | `Building` | `commit 8a1f0e3c5b7d is being built by Job shop-42--8a1f0e3c5b` |" in text


def test_building_while_an_earlier_one_answers() -> None:
    running = report(condition("Accepted", "True"), condition("Built", "Unknown"), condition("Available", "True"))
    assert f"**{URL}** runs an earlier commit; commit `8a1f0e3c5b7d` is on its way." in body(running, MOST)


def test_a_failed_build_shows_the_end_of_its_log() -> None:
    text = body(FAILED, MOST)
    assert "### Review app: failed" in text
    assert "Nothing answers: commit `8a1f0e3c5b7d` failed." in text
    fences = [token.content for token in PARSER.parse(text) if token.type == "fence"]
    assert fences == [f"{LOG}\n"]


def test_not_seen_yet() -> None:
    unseen = Report("acme-shop-42", Status(), COMMIT, 1)
    assert body(unseen, MOST) == (
        "<!-- reviewapp: acme-shop-42 -->\n\n### Review app: on its way\n\nIt will answer with commit `8a1f0e3c5b7d`."
    )


def test_closed() -> None:
    assert "### Review app: on its way out" in body(dataclasses.replace(READY, deleting=True), MOST)
    assert "### Review app: deleted\n\nNothing of it is left." in body(Report("acme-shop-42"), MOST)


def test_a_preview_comes_last() -> None:
    text = body(dataclasses.replace(READY, preview="2 to create\n\n```\nopen"), MOST)
    assert text.endswith("#### Preview\n\n2 to create\n\n```\nopen")
    assert "### Review app: not there yet\n\n#### Preview\n\n2 to create" in body(
        Report("a", preview="2 to create"), MOST
    )
    assert "Preview" not in body(dataclasses.replace(READY, preview="\n"), MOST)


@pytest.mark.parametrize("most", [65_536, 5_000])
def test_what_is_too_long_is_cut_at_a_line_and_said(most: int) -> None:
    lines = [f"line {number}" for number in range(100_000)]
    text = body(dataclasses.replace(FAILED, preview="\n".join(lines)), most)
    shown = text.rpartition("lines._\n\n")[2].splitlines()
    assert shown == lines[: len(shown)]
    assert f"_Too long for a comment: the first {len(shown)} of 100000 lines._" in text
    assert most - 300 < len(text) <= most


def test_an_address_that_is_none_is_no_link() -> None:
    status = Status.read({"observedGeneration": 1, "buildCommit": COMMIT, "url": "javascript:alert(1) @all"})
    text = body(Report("a", status, COMMIT, 1), MOST)
    assert "`javascript:alert(1) @all`" in text


_KINDS = (("Accepted", "True"), ("Built", "False"), ("Available", "True"), ("Ready", "False"))


@st.composite
def hostile(draw: st.DrawFn) -> Report:
    conditions = [condition(kind, value, draw(PIECES), draw(PIECES)) for kind, value in _KINDS]
    found = report(*conditions, generation=draw(st.integers(0, 2)))
    assert found.status
    return dataclasses.replace(found, status=found.status.model_copy(update={"url": draw(PIECES)}))


@given(hostile())
def test_hostile_text_stays_in_its_place(hostile_report: Report) -> None:
    text = body(hostile_report, MOST)
    assert text.startswith(f"{marker('acme-shop-42')}\n")
    own = {"html_block", "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "text"}
    own |= {"strong_open", "strong_close", "code_inline", "fence"}
    own |= {f"{part}_{end}" for part in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")}
    assert content(text) <= own
    assert [token.content for token in PARSER.parse(text) if token.type == "html_block"] == [
        f"{marker('acme-shop-42')}\n"
    ]
    assert len([token for token in PARSER.parse(text) if token.type == "td_open"]) == 3 * len(_KINDS)


@given(hostile(), st.lists(PIECES, max_size=30).map("\n".join), st.integers(6_000, 7_000))
def test_no_comment_is_too_long(hostile_report: Report, preview: str, most: int) -> None:
    text = body(dataclasses.replace(hostile_report, preview=preview * 50), most)
    assert len(text) <= most
    assert text.startswith(marker("acme-shop-42"))
    assert text == text.strip()
