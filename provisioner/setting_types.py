"""The types of settings that hold names, several values, or a quantity. Knows no setting by name.

A list is one in the file; in the environment, and in the file too if that is shorter, a text with commas between.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from provisioner import quantities
from provisioner.patterns import Pattern
from provisioner.refusals import matching
from stacks.inputs import Builder

_REGISTRY = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*")


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def _each(check: Callable[[str], object], remedy: str) -> AfterValidator:
    def all_of(values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                check(value)
            except ValueError:
                raise PydanticCustomError("entry", "{remedy}", {"remedy": remedy}) from None
        return values

    return AfterValidator(all_of)


def _label(text: str) -> None:
    if not text.isascii() or not text.replace("-", "").isalnum() or text != text.lower() or len(text) > 63:
        raise ValueError(text)


def _registry(text: str) -> None:
    # A first part that has neither is a user of Docker Hub, as in library/alpine.
    if not _REGISTRY.fullmatch(text) or not re.search(r"[.:]", text.partition("/")[0]):
        raise ValueError(text)


def _quantity(text: str) -> str:
    if quantities.number(text) == 0:
        raise PydanticCustomError("zero", "must be more than nothing")
    return text


LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""Pattern of a DNS label. https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"""
NAME = rf"{LABEL}(\.{LABEL})*"
"""Pattern of a DNS name."""
DNS_NAME = matching(NAME, "must be a DNS name: DNS labels with a '.' between")
Label = Annotated[str, matching(LABEL, "must be a DNS label: at most 63 lower-case letters, digits and '-'")]
Name = Annotated[str, Field(max_length=253), DNS_NAME]
Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Repositories = Annotated[
    Texts, _each(Pattern.parse, "must be patterns of repositories, as in acme/shop or acme/site-*")
]
Namespaces = Annotated[Texts, _each(_label, "must be names of namespaces")]
Registries = Annotated[
    Texts, _each(_registry, "must be registries, or paths in them, as in registry.example.com or docker.io/library")
]
Builders = Annotated[tuple[Builder, ...], NoDecode, BeforeValidator(_split)]
Ranges = Annotated[Texts, _each(ipaddress.ip_network, "must be ranges of addresses, as in 10.0.0.0/8")]
Amount = Annotated[str, matching(quantities.PATTERN, quantities.REMEDY), AfterValidator(_quantity)]
