"""Turn what pydantic found wrong into refusals: field, value where it may be shown, remedy.

Shows a value only where the caller says that its field holds no secret. Texts of a user's are escaped and cut:
they end in conditions, logs and terminals.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import AfterValidator, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from provisioner.errors import Refusal

MISSING = "is missing: add it"
"""The remedy for what is not there."""

_LONGEST_SHOWN = 60

# By pydantic's name of the error: https://docs.pydantic.dev/latest/errors/validation_errors/
_REMEDIES: Mapping[str, str] = {
    "missing": MISSING,
    "extra_forbidden": "is not a known field: remove it, or correct its name",
    "null": "must not be null: remove it, or give it a value",
    "string_type": "must be text: put it in quotes",
    "string_unicode": "must be Unicode text: remove what is not",
    "string_too_long": "must be at most {max_length} characters long: shorten it",
    "string_too_short": "must be at least {min_length} characters long",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "tuple_type": "must be a list",
    "too_short": "must be at least {min_length} characters long",
    "too_long": "must have at most {max_length} entries: remove some",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
}


@dataclasses.dataclass(frozen=True)
class Matching(AfterValidator):
    """A check of a text that a JSON schema shows too."""

    pattern: str
    remedy: str

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"pattern": f"^({self.pattern})$"} | handler(core_schema)


def matching(pattern: str, remedy: str) -> AfterValidator:
    """Return a validator for a text: it matches `pattern` whole, or `remedy` says what it must be."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError("format", "{remedy}", {"remedy": remedy})
        return value

    return Matching(check, pattern, remedy)


def refusals(error: ValidationError, root: str, public: Collection[str]) -> list[Refusal]:
    """Return one refusal for each thing that is wrong, in the order of the fields.

    Args:
        error: what the model's validation raised.
        root: what the fields are fields of, such as `spec`; empty if nothing.
        public: names of the fields whose values hold no secret.
    """
    return [_refusal(detail, root, public) for detail in error.errors(include_url=False)]


def _refusal(detail: Any, root: str, public: Collection[str]) -> Refusal:
    kind = "null" if detail["input"] is None and detail["type"] != "missing" else detail["type"]
    remedy = _REMEDIES[kind].format_map(detail.get("ctx", {})) if kind in _REMEDIES else detail["msg"]
    shown = "" if kind in {"missing", "extra_forbidden", "null"} else _shown(detail, public)
    field = root + "".join(_step(part) for part in detail["loc"])
    return Refusal(field.removeprefix("."), shown, remedy)


def _step(part: int | str) -> str:
    if isinstance(part, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", part):
        return f".{part}"
    return f"[{part}]" if isinstance(part, int) else f"[{escaped(part)}]"


def _shown(detail: Any, public: Collection[str]) -> str:
    value = detail["input"]
    name = next((part for part in reversed(detail["loc"]) if isinstance(part, str)), "")
    if isinstance(value, Mapping):
        return "(a mapping)"
    if isinstance(value, list | tuple):
        return "(a list)"
    if name not in public or not isinstance(value, str | int | float):
        return "(not shown)"
    if isinstance(value, str):
        return escaped(without_credentials(value) if name.lower().endswith("url") else value)
    # Python refuses to write numbers of thousands of digits.
    return str(value) if isinstance(value, float) or value.bit_length() <= 64 else "(a huge number)"


def without_credentials(address: str) -> str:
    """Return an address, well formed or not, without user, password, query and fragment: each can be a credential."""
    start, *cut = re.split(r"[?#]", address, maxsplit=1)
    before, at, rest = start.rpartition("@")
    scheme = before.partition("://")[0] + "://" if "://" in before else ""
    return (f"{scheme}…@{rest}" if at else start) + ("…" if cut else "")


def escaped(text: str) -> str:
    """Return a user's text as a quoted ASCII literal, cut to what fits a line."""
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return ascii(cut).replace("\\u2026", "…")
