"""What the comment in a pull request says: state, address, commit, conditions, the end of a failed build, a preview.

Pure: the same report gives the same text. Everything in it that a pull request could have written goes through
`untrusted.py`. The preview comes last, so that what it leaves open swallows nothing.
"""

from __future__ import annotations

import dataclasses
import re

from bot.outcome import find, outcome, standing
from bot.untrusted import code, code_block, markdown
from provisioner.review_app import Status

_HEADLINES = {"ready": "ready", "failed": "failed", "waiting": "on its way"}
_MARKS = {"True": "✅", "False": "❌", "Unknown": "⏳"}
_ADDRESS = re.compile(r"https?://[a-z0-9.-]+(:[0-9]+)?/?")
_NOTE_ROOM = 200
_LINE = "\n"


@dataclasses.dataclass(frozen=True)
class Report:
    """All that a comment tells of.

    Attributes:
        review_app: the ReviewApp's name.
        status: what was observed of it; None where there is no such ReviewApp.
        commit: what it was last asked to be; None where there is none.
        generation: the ReviewApp's.
        deleting: whether it is on its way out.
        preview: what would change, in Markdown.
    """

    review_app: str
    status: Status | None = None
    commit: str | None = None
    generation: int = 0
    deleting: bool = False
    preview: str | None = None


def marker(review_app: str) -> str:
    """Return what the comment on a ReviewApp begins with, and is found by; people don't see it."""
    return f"<!-- reviewapp: {review_app} -->"


def body(report: Report, most: int) -> str:
    """Return the comment, at most `most` characters; what had to be cut is said in it."""
    parts = [marker(report.review_app), *_state(report)]
    text = "\n\n".join(part for part in parts if part)
    if report.preview and report.preview.strip():
        text += _preview(report.preview, most - len(text))
    return text.strip()


def _state(report: Report) -> list[str]:
    if report.status is None:
        if report.preview:
            return ["### Review app: not there yet"]
        return ["### Review app: deleted", "Nothing of it is left."]
    commit = f"commit {code((report.commit or '')[:12])}"
    if report.deleting:
        return ["### Review app: on its way out", _conditions(report.status)]
    state = outcome(report.status, report.commit or "", report.generation)
    return [
        f"### Review app: {_HEADLINES[state]}",
        _where(report.status, state, commit),
        _conditions(report.status),
        _details(report.status) if state != "ready" else "",
    ]


def _where(status: Status, state: str, commit: str) -> str:
    address = status.url or ""
    shown = f"**{address}**" if _ADDRESS.fullmatch(address) else code(address)
    available = find(status, "Available")
    if state == "ready":
        return f"{shown} runs {commit}."
    if available and available.status == "True":
        return f"{shown} runs an earlier commit; {commit} {'failed' if state == 'failed' else 'is on its way'}."
    if state == "failed":
        return f"Nothing answers: {commit} failed."
    return f"It will answer at {shown} with {commit}." if address else f"It will answer with {commit}."


def _conditions(status: Status) -> str:
    rows = [
        f"| {_MARKS[entry.status]} {code(entry.type)} | {code(entry.reason)} | {code(entry.message.split(_LINE)[0])} |"
        for entry in status.conditions
    ]
    return "\n".join(["| condition | reason | message |", "| --- | --- | --- |", *rows]) if rows else ""


def _details(status: Status) -> str:
    """Return the message that a table's cell has no room for: the failing container's last lines."""
    condition = standing(status)
    return code_block(condition.message) if condition and "\n" in condition.message.strip() else ""


def _preview(preview: str, room: int) -> str:
    """Return the preview below a heading, cut at a line where it would not fit."""
    heading = "\n\n#### Preview\n\n"
    lines = markdown(preview).strip().splitlines()
    room -= len(heading) + _NOTE_ROOM
    kept = 0
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept += 1
    note = f"_Too long for a comment: the first {kept} of {len(lines)} lines._\n\n" if kept < len(lines) else ""
    return f"{heading}{note}" + "\n".join(lines[:kept])
