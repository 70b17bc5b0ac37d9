"""`config.build`: what a pull request may ask of its build."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.desired import wanted_build
from provisioner.errors import SpecRefused
from provisioner.review_app import parse
from stacks.inputs import BuildOptions
from tests import samples


def asked(**options: Any) -> BuildOptions:
    spec = samples.review_app()["spec"]
    spec["config"]["build"] = options
    return wanted_build(parse(spec), samples.settings()).options


def test_nothing_is_asked_for() -> None:
    assert wanted_build(parse(samples.review_app()["spec"]), samples.settings()).options == BuildOptions()
    assert asked() == asked(dockerfile=None, context=".", args=[]) == BuildOptions()


def test_all_that_can_be_asked_for() -> None:
    arguments = [{"name": "ONE", "value": 1}, {"name": "TWO", "value": True}, {"name": "TEXT", "value": "a=b,$c"}]
    options = asked(
        dockerfile="./docker//Dockerfile.dev", context="app/", target="dev", args=arguments, platform="linux/arm/v7"
    )
    assert options == BuildOptions(
        dockerfile="docker/Dockerfile.dev",
        context="app",
        target="dev",
        arguments={"ONE": "1", "TWO": "true", "TEXT": "a=b,$c"},
        platform="linux/arm/v7",
    )


_INSIDE = "must be a path inside the source tree: relative, and without '..'"
_LETTERS = "must be a path of letters, digits, spaces and any of . _ / @ + -"


@pytest.mark.parametrize(
    ("options", "field", "value", "remedy"),
    [
        ({"dockerfile": "../Dockerfile"}, "dockerfile", "'../Dockerfile'", _INSIDE),
        ({"dockerfile": "/etc/passwd"}, "dockerfile", "'/etc/passwd'", _INSIDE),
        ({"context": "app/../../other"}, "context", "'app/../../other'", _INSIDE),
        ({"context": "app,type=local"}, "context", "'app,type=local'", _LETTERS),
        ({"dockerfile": "a\nb"}, "dockerfile", "'a\\nb'", _LETTERS),
        ({"target": "--privileged"}, "target", "'--privileged'", "must be the name of a stage of the Dockerfile"),
        ({"platform": "linux/amd64,linux/arm64"}, "platform", "'linux/amd64,linux/arm64'", "must be one platform"),
        ({"args": [{"name": "A=B", "value": ""}]}, "args[0].name", "'A=B'", "must be a variable's name"),
        ({"args": [{"name": "A", "value": ""}] * 2}, "args", "(a list)", "names A more than once: keep one"),
        (
            {"args": [{"name": "A", "value": "x" * 20_000}, {"name": "B", "value": "x" * 20_000}]},
            "args",
            "(a list)",
            "takes 40002 bytes and may take 32768: put large values into files of the repository",
        ),
        ({"cache": "off"}, "cache", "", "is not a known field: remove it, or correct its name"),
    ],
)
def test_what_is_refused(options: dict[str, Any], field: str, value: str, remedy: str) -> None:
    with pytest.raises(SpecRefused) as caught:
        asked(**options)
    (refusal,) = caught.value.refusals
    assert (refusal.field, refusal.value) == (f"spec.config.build.{field}", value)
    assert refusal.remedy.startswith(remedy)
