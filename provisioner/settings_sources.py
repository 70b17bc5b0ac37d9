"""Where the installation's settings come from: one YAML file, each value also an environment variable.

`REVIEWAPP_<NAME>` wins over the file, which is the one that the caller names or `REVIEWAPP_SETTINGS` does. Reads
nothing else: no cluster, no command line. `load` is how a program gets them.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import yaml
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from provisioner.errors import Refusal, SettingsRefused
from provisioner.refusals import MISSING, refusals, without_credentials
from provisioner.settings import Settings, StackSettings

_FILE_VARIABLE = "REVIEWAPP_SETTINGS"

Source = Literal["default", "environment", "file", "missing"]


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting as it stands.

    Attributes:
        name: its name in the file.
        value: its value as it may be shown; None if it has none.
        source: where the value comes from; `missing` if there must be one and is none.
        description: what it is for.
    """

    name: str
    value: str | int | None
    source: Source
    description: str


def load(file: Path | None = None) -> Settings:
    """Return the installation's settings, from the environment and the settings file.

    Args:
        file: the settings file; by default what REVIEWAPP_SETTINGS names, or none.

    Raises:
        SettingsRefused: the file can't be read, or a setting is missing or does not hold.
    """
    return _load(Settings, file)


def load_stack_settings(file: Path | None = None) -> StackSettings:
    """Return what `load` does, without that which only updating stacks takes: the passphrase for one.

    Raises:
        SettingsRefused: as from `load`, but for those others of which only the names are checked.
    """
    return _load(StackSettings, file)


def as_they_stand(file: Path | None = None) -> list[Setting]:
    """Return every setting, also where it is missing or does not hold; the file as with `load`.

    Raises:
        SettingsRefused: the file can't be read.
    """
    given, environment = file_values(file), EnvSettingsSource(Settings)()
    fields = Settings.model_fields.items()
    values = {name: field.default for name, field in fields if not field.is_required()} | given | environment
    sources: dict[str, Source] = {name: "missing" if field.is_required() else "default" for name, field in fields}
    sources |= dict.fromkeys(given, "file")
    sources |= dict.fromkeys(environment, "environment")
    return [
        Setting(name, _shown(name, values.get(name)), sources[name], field.description or "") for name, field in fields
    ]


_Kind = TypeVar("_Kind", bound=StackSettings)

# All but those that are, or can hold, a credential.
_PUBLIC = frozenset(Settings.model_fields) - {*("backend_url", "ingress_annotations", "passphrase", "s3_endpoint_url")}


def _load(kind: type[_Kind], file: Path | None) -> _Kind:
    given = file_values(file)
    others = Settings.model_fields.keys() - kind.model_fields.keys()
    # The environment wins over the file, and arguments would win over both.
    unset = given.keys() - EnvSettingsSource(kind)().keys() - others
    try:
        return kind(**{name: given[name] for name in given if name in unset})
    except ValidationError as error:
        raise SettingsRefused([with_remedy(refusal) for refusal in refusals(error, "", _PUBLIC)]) from None


def with_remedy(refusal: Refusal, prefix: str = "REVIEWAPP_") -> Refusal:
    """Return a refusal of a setting, with how to give it where it is missing."""
    if refusal.remedy != MISSING:
        return refusal
    remedy = f"is missing: set {prefix}{refusal.field.upper()}, or add it to the settings file"
    return dataclasses.replace(refusal, remedy=remedy)


def _shown(name: str, value: object) -> str | int | None:
    if value is None or (isinstance(value, int) and name in _PUBLIC):
        return value
    if name.endswith("_url"):
        return without_credentials(str(value))
    if isinstance(value, tuple | list):
        value = ", ".join(map(str, cast("tuple[object, ...]", value)))
    return str(value) if name in _PUBLIC else "(not shown)"


def file_values(path: Path | None, variable: str = _FILE_VARIABLE) -> dict[str, Any]:
    """Return what a settings file says: the one that is named, or that a variable of the environment names.

    Raises:
        SettingsRefused: it can't be read.
    """
    file = str(path) if path else os.environ.get(variable)
    if not file:
        return {}
    named = "--settings" if path else variable
    try:
        values: object = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        remedy = f"can't be read ({error.strerror}): correct the path, or unset it"
        raise SettingsRefused([Refusal(named, file, remedy)]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise SettingsRefused([Refusal(named, file, f"is not YAML{line}: correct it")]) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        remedy = "must be a mapping of settings: one `name: value` a line"
        raise SettingsRefused([Refusal(named, file, remedy)])
    return {str(name): value for name, value in cast("dict[Any, Any]", values).items()}
