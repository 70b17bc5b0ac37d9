"""The platform's settings: what the platform's program is told, and where its own state is.

A file of their own, since they are read once by an administrator and never by the watcher: `REVIEWAPP_PLATFORM_<NAME>`
wins over the file, which is the one that the caller names or `REVIEWAPP_PLATFORM_SETTINGS` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from provisioner.errors import SettingsRefused
from provisioner.refusals import matching, refusals
from provisioner.settings_sources import file_values, with_remedy
from stacks.platform_inputs import PlatformInputs

_PREFIX: Final = "REVIEWAPP_PLATFORM_"
# Where the values may be credentials, or hold one.
_HIDDEN: Final = frozenset({"backend_url"})


class PlatformSettings(BaseSettings, PlatformInputs):  # pyright: ignore[reportIncompatibleVariableOverride] - both are models.
    """What a platform owner decides of an installation's part in AWS."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    backend_url: Annotated[
        str, matching(r"(file|s3|postgres)://.*", "must be a Pulumi backend, as in file:///srv/platform")
    ] = Field(
        repr=False,
        description="Where Pulumi keeps the platform's own state: a folder, or a bucket that is there already.",
    )

    @property
    def inputs(self) -> PlatformInputs:
        """What the program is told."""
        return PlatformInputs.model_validate(self.model_dump(include=set(PlatformInputs.model_fields)))


def load_platform(file: Path | None = None) -> PlatformSettings:
    """Return the platform's settings, from the environment and the settings file.

    Args:
        file: the settings file; by default what REVIEWAPP_PLATFORM_SETTINGS names, or none.

    Raises:
        SettingsRefused: the file can't be read, or a setting is missing or does not hold.
    """
    given = file_values(file, f"{_PREFIX}SETTINGS")
    unset = given.keys() - EnvSettingsSource(PlatformSettings)().keys()
    public = PlatformSettings.model_fields.keys() - _HIDDEN
    try:
        return PlatformSettings(**{name: given[name] for name in given if name in unset})
    except ValidationError as error:
        raise SettingsRefused([with_remedy(refusal, _PREFIX) for refusal in refusals(error, "", public)]) from None
