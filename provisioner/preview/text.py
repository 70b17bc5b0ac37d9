"""A preview for a person at a terminal."""

from __future__ import annotations

from rich.text import Text

from provisioner.preview.model import Operation, Preview, PropertyChange, ResourceChange
from provisioner.preview.values import SECRET
from provisioner.preview.wording import one_line, sides

_STYLES: dict[Operation, str] = {"create": "green", "update": "yellow", "replace": "magenta", "delete": "red"}
_MARKS: dict[Operation, str] = {"create": "+", "update": "~", "replace": "±", "delete": "-"}
_PROPERTY_MARKS = {"add": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_LONGEST_VALUE = 120
_LONGEST = 600


def text(preview: Preview) -> Text:
    """Return the preview as styled text; its lines are not wrapped."""
    lines = [Text(one_line(preview.verdict, _LONGEST), style="bold")]
    lines += [
        _note("data is lost: ", f"{change} ({change.operation}): {change.loses}", "bold red")
        for change in preview.losses
    ]
    lines += [_note("the update fails: ", obstacle, "bold red") for obstacle in preview.obstacles]
    lines += [_note("not seen: ", unseen, "bold yellow") for unseen in preview.unseen]
    lines += [_note("supposed: ", assumption, "dim") for assumption in preview.assumptions]
    if preview.changes:
        lines.append(Text())
    for change in preview.changes:
        lines.append(_object(change))
        lines += [_difference(difference) for difference in change.properties]
    return Text("\n").join(lines)


def _note(title: str, words: str, style: str) -> Text:
    return Text.assemble((title, style), one_line(words, _LONGEST))


def _object(change: ResourceChange) -> Text:
    mark = f"{_MARKS[change.operation]} {change.operation:<7} "
    return Text.assemble((mark, _STYLES[change.operation]), (one_line(str(change), _LONGEST), "bold"))


def _difference(difference: PropertyChange) -> Text:
    mark, style = _PROPERTY_MARKS[difference.change]
    known = (SECRET,) if difference.secret else sides(difference, _LONGEST_VALUE)
    values = " → ".join(side for side in known if side is not None)
    line = Text.assemble("    ", (mark, style), f" {one_line(difference.path, _LONGEST)}: ")
    line.append(values)
    if difference.replaces:
        line.append("  (replaces)", style="magenta")
    return line
