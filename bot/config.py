"""A repository's `.reviewapp.yaml`: the `config` of its review apps, taken or refused with file, field and remedy.

Pure: from bytes to the model. Reads no file.
"""

from __future__ import annotations

import dataclasses
import re

from provisioner.documents import read_content
from provisioner.errors import Refusal, SpecRefused
from provisioner.review_app import Config, parse_config

FILE = ".reviewapp.yaml"
"""Where a repository has it, at its top."""


def read_config(content: bytes, file: str = FILE) -> Config:
    """Return the config that a file holds.

    Args:
        content: of the file.
        file: what the refusals call it.

    Raises:
        SpecRefused: with one refusal for each thing that is wrong; its field begins with the file.
    """
    reading = read_content(file, content)
    if reading.refused:
        raise SpecRefused([Refusal(place, "", refusal.remedy) for place, refusal in reading.refused])
    document, *others = reading.documents
    if others:
        raise SpecRefused([Refusal(file, "", "must hold one document: remove the others")])
    try:
        config = parse_config(document.content)
    except SpecRefused as error:
        raise SpecRefused([_in(file, refusal) for refusal in error.refusals]) from None
    refused = [
        Refusal(f"{file}: ignoreBranches[{index}]", ascii(pattern), f"is no regular expression ({error}): correct it")
        for index, pattern in enumerate(config.ignore_branches)
        if (error := _fault(pattern))
    ]
    if refused:
        raise SpecRefused(refused)
    return config


def ignored_by(config: Config, branch: str) -> str | None:
    """Return the entry of `ignoreBranches` for which a branch gets no review app; None if it gets one.

    An entry is a branch's name, or a regular expression between slashes, which may match anywhere in the name.
    """
    for entry in config.ignore_branches:
        pattern = _pattern(entry)
        if re.search(pattern, branch) if pattern is not None else entry == branch:
            return entry
    return None


def _pattern(entry: str) -> str | None:
    return entry[1:-1] if len(entry) > 1 and entry.startswith("/") and entry.endswith("/") else None


def _fault(entry: str) -> str | None:
    """Return what is wrong with an entry's pattern."""
    try:
        re.compile(_pattern(entry) or "")
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return None


def _in(file: str, refusal: Refusal) -> Refusal:
    return dataclasses.replace(refusal, field=f"{file}: {refusal.field}" if refusal.field else file)
