"""Every reason that a condition, an Event or an error can have stands in docs/troubleshooting.md, and no other does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

# Reasons that stand in no call.
from provisioner.failures import _REFUSALS, _REFUSALS_OF_AWS  # pyright: ignore[reportPrivateUsage]

ROOT = Path(__file__).parents[3]
# The calls that give a reason, and which of their arguments it is.
_CALLS = {"_Finding": 2, "DatabaseState": 1, "_failed": 0, "Trouble": 0, "Event": 1, "ApplyRefused": 1, "_tell": 1}
# Some are named after the kind of what is not there.
_BY_KIND = {"SecretNotFound", "ConfigMapNotFound"}
# The kubelet's, as they come: docs/troubleshooting.md names those that users meet.
_KUBELETS = {"CreateContainerConfigError", "ImagePullBackOff", "InvalidImageName"}
_REASON = re.compile("[A-Z][A-Za-z]+")


def reasons(code: str) -> Iterator[str]:
    """Yield the reasons that stand in a module: of its errors, and of what it says in conditions and Events."""
    for node in ast.walk(ast.parse(code)):
        given: ast.AST | None = None
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "reason" for target in targets):
                given = node.value
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = _CALLS.get(called, len(node.args))
            given = node.args[place] if len(node.args) > place else None
        if isinstance(given, ast.Constant):
            yield from _as_reason(given)
        elif isinstance(given, ast.IfExp):
            yield from _as_reason(given.body)
            yield from _as_reason(given.orelse)


def _as_reason(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _REASON.fullmatch(node.value):
        yield node.value


def in_code() -> set[str]:
    files = (file for folder in ("provisioner", "watcher", "bot") for file in (ROOT / folder).rglob("*.py"))
    return (
        {reason for file in files for reason in reasons(file.read_text())}
        | {entry[1] for entry in (*_REFUSALS, *_REFUSALS_OF_AWS)}
        | _BY_KIND
    )


def in_document() -> set[str]:
    rows = re.findall(r"^\| (`[^|]*?) \|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([A-Z][A-Za-z]+)`", row)}


def test_each_reason_has_a_row() -> None:
    assert sorted(in_code() - in_document()) == []


def test_what_has_a_row_is_a_reason() -> None:
    assert sorted(in_document() - in_code() - _KUBELETS) == []


def test_reasons_are_found_where_code_gives_them() -> None:
    code = """
class Gone(Error):
    reason = "Gone"
def look(bad, kind):
    reason = "TooLate" if bad else "Lost"
    return _Finding("Ready", "False", "Updating", "text"), ApplyRefused("x", f"{kind}NotFound", "Text here")
"""
    assert sorted(reasons(code)) == ["Gone", "Lost", "TooLate", "Updating"]
