"""Feed hostile specs to all that decides what a ReviewApp gets: `python -m tests.fuzz --specs 100000`.

Each spec is the sample with a few fields replaced, removed or added. It is refused in words, or what its stack
declares stays within bounds: in the namespaces that it may use, under valid names, at a host of its own below the
domain, and boxed in.
"""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections.abc import Iterator
from typing import Annotated, Any, cast

import typer

from provisioner.desired import stack_inputs
from provisioner.errors import SpecRefused
from provisioner.review_app import parse
from stacks import naming
from stacks.inputs import StackInputs
from stacks.registration import KINDS
from stacks.review_app import manifests
from tests import samples
from tests.whole_watcher import whole_watcher
from watcher.decide import Apply, Destroy, Refuse, decide
from watcher.view import View

_SAMPLE = samples.review_app()["spec"]
_HUGE = "a" * 10_000_000
_DEPTH = 10_000
_BATCH = 100
# Into the sample, and not into what was put there to be too deep.
_DEEPEST = 6
_TEXTS = (
    *(
        "",
        " ",
        "-",
        ".",
        "..",
        "../../etc/passwd",
        "/",
        "\\",
        "~",
        "*",
        "a" * 63,
        "a" * 64,
        "A",
        "a.b",
        "a_b",
        "-a",
        "a-",
    ),
    *(
        "'",
        '"',
        "`id`",
        "$(id)",
        "${HOME}",
        "$(APP_NAME)",
        "{{.}}",
        "; rm -rf /",
        "a\nb",
        "a\r\n",
        "a\tb",
        "42\n",
        "\n42",
    ),
    *("\0", "a\0b", "\x1b[31m", "\x7f", "\x85", "\ufeff", "\u2028", "\u202eabc", "\ud800", "\U0010ffff", "e\u0301"),
    # Look like, or fold to, letters and digits that are allowed: Cyrillic, full width, Kelvin, long s, other digits.
    *(
        "\u0430cme",
        "\uff41cme",
        "\u212aube-system",
        "\u017fhop",
        "\u0664\u0662",
        "\u00b2",
        "shop\u200b",
        "xn--80ak6aa92e",
    ),
    *(
        "kube-system",
        "kube-",
        "reviewapp-system",
        "reviewapp-builds",
        "certificates",
        "default",
        "KUBE-SYSTEM",
        "kube-system.",
    ),
    *(
        "0",
        "00042",
        "-1",
        "1e3",
        "0x10",
        "9" * 10,
        "9" * 11,
        "null",
        "true",
        "~",
        "<<",
        "!!python/object:os.system",
        "&a",
        "*a",
    ),
    *(
        "https://a",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "s3://",
        "s3://a/b?c",
        "https://u:p@h/p",
        "a://b/c",
    ),
    *("--flag", "@all", "<script>", "%00", "%s%n", "shop-42--tls", "x--tls", "LD_PRELOAD", "a" * 40_000),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**400, 1e308, float("nan"), float("inf")),
    *([], {}, [None], {"a": {}}, ["x"] * 5000),
)
_NAMESPACES = {"kube-system", "reviewapp-system", "certificates"}
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SETTINGS = samples.settings(tls_secret="certificates/wildcard")
_OPEN = {"metadata": {"name": "any", "annotations": {naming.ALLOW_ANNOTATION: "*/*"}}}


def hostile_spec(chance: random.Random) -> Any:
    """Return a spec as somebody who means harm could write it."""
    if chance.random() < 0.01:
        return _hostile_value(chance)
    spec: Any = copy.deepcopy(_SAMPLE)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        holder, key = chance.choice(list(_places(spec)))
        action = chance.random()
        if action < 0.1:
            del holder[key]
        elif action < 0.2 and isinstance(holder, dict):
            holder[_text(chance)] = _hostile_value(chance)
        elif action < 0.25 and isinstance(holder, list):
            cast("list[Any]", holder).append(holder[key])
        elif action < 0.5 and isinstance(holder[key], str):
            at = chance.randrange(len(holder[key]) + 1)
            holder[key] = holder[key][:at] + _text(chance) + holder[key][at:]
        else:
            holder[key] = _hostile_value(chance)
    return spec


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    entries: list[Any] = []
    if isinstance(value, dict):
        entries = list(cast("dict[Any, Any]", value).items())
    elif isinstance(value, list):
        entries = list(enumerate(cast("list[Any]", value)))
    for key, inner in entries:
        yield value, key
        if depth < _DEEPEST:
            yield from _places(inner, depth + 1)


def _text(chance: random.Random) -> str:
    return _HUGE if chance.random() < 0.0005 else chance.choice(_TEXTS)


def _hostile_value(chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.75:
        return _text(chance)
    if kind < 0.76:
        return _deep(chance.choice((list, dict)))
    return copy.copy(chance.choice(_VALUES))


def _deep(kind: type) -> Any:
    value: Any = kind()
    for _ in range(_DEPTH):
        value = [value] if kind is list else {"deep": value}
    return value


def check(spec: Any) -> bool:
    """Look at what becomes of a spec; return whether it is accepted.

    Raises:
        AssertionError: something of it is out of bounds.
        Exception: whatever should not have been raised.
    """
    review_app: dict[str, Any] = {
        "metadata": {"name": "hostile", "uid": "u", "generation": 1, "finalizers": [naming.FINALIZER]},
        "spec": spec,
    }
    action = decide(View(review_app, namespace=_OPEN), _SETTINGS, 0.0)
    try:
        inputs = stack_inputs(parse(spec), _SETTINGS, previous=None, built=True, tls=samples.CERTIFICATE)
    except SpecRefused as refused:
        assert isinstance(action, Refuse), action
        text = str(refused)
        assert text.isprintable() or "\n" in text
        # It ends in a status, an Event and a log.
        text.encode()
        inputs = None
    else:
        assert isinstance(action, Apply), action
        assert action.inputs.stack == inputs.stack
        _check_inputs(inputs)
    review_app["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    end = decide(View(review_app, namespace=_OPEN), _SETTINGS, 0.0)
    assert isinstance(end, Destroy), end
    assert end.stack == (inputs.stack if inputs else None)
    return inputs is not None


def _check_inputs(inputs: StackInputs) -> None:
    assert inputs.namespace not in _NAMESPACES
    assert not inputs.namespace.startswith("kube-")
    label, _, domain = inputs.route.host.partition(".")
    assert (bool(_LABEL.fullmatch(label)), domain) == (True, _SETTINGS.app_domain)
    for manifest in manifests(inputs):
        metadata = manifest["metadata"]
        assert (manifest["apiVersion"], manifest["kind"]) in KINDS
        is_build = metadata["labels"][naming.COMPONENT_LABEL] == "build"
        assert metadata["namespace"] == (_SETTINGS.build_namespace if is_build else inputs.namespace)
        assert _LABEL.fullmatch(metadata["name"])
        assert all(_LABEL_VALUE.fullmatch(value) for value in metadata["labels"].values())
        json.dumps(manifest, ensure_ascii=False, allow_nan=False).encode()
        if manifest["kind"] == "Deployment":
            pod = manifest["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["automountServiceAccountToken"] is False
            for container in [*pod["containers"], *pod.get("initContainers", [])]:
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                assert container["resources"]["limits"].keys() == {"cpu", "memory"}


def check_in_watcher(seeds: range, batch: int = _BATCH, **settings: Any) -> Iterator[tuple[int, int]]:
    """Have a whole watcher live with the spec of each seed; yield how many it has accepted and refused so far.

    Raises:
        AssertionError: something of one of them is out of bounds; the message has the first seed of its batch.
    """
    accepted = refused = 0
    names = {text for text in _TEXTS if _LABEL.fullmatch(text)} | {_SAMPLE["config"]["namespace"]}
    with whole_watcher(_SETTINGS.model_copy(update=settings), names | _NAMESPACES) as watcher:
        for first in range(seeds.start, seeds.stop, batch):
            numbers = range(first, min(first + batch, seeds.stop))
            try:
                found = watcher.live({f"hostile-{number}": _own_spec(number) for number in numbers})
            except AssertionError as error:
                raise AssertionError(f"among the {len(numbers)} from seed {first}: {error}") from error
            accepted, refused = accepted + found[0], refused + found[1]
            yield accepted, refused


def _own_spec(number: int) -> Any:
    """Return a hostile spec that asks for a pull request of its own, unless that is what is hostile about it."""
    spec: Any = hostile_spec(random.Random(number))
    if isinstance(spec, dict) and (found := cast("dict[str, Any]", spec)).get("pr") == _SAMPLE["pr"]:
        found["pr"] = str(number + 100)
    return cast("Any", spec)


def main(
    specs: Annotated[int, typer.Option(help="How many.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Of the first; each further one has the next.")] = 0,
    *,
    watcher: Annotated[bool, typer.Option("--watcher", help="Feed them to a whole watcher.")] = False,
    per_app: Annotated[bool, typer.Option("--per-app", help="With a namespace for each app.")] = False,
) -> None:
    """Check so many specs, each from a seed of its own, which is printed where one fails."""
    began, accepted = time.monotonic(), 0
    if watcher:
        said = 0
        mode = "per-app" if per_app else "shared"
        for accepted, refused in check_in_watcher(range(seed, seed + specs), namespace_mode=mode):
            if accepted + refused >= said + 1_000:
                said = accepted + refused
                typer.echo(f"{said} specs, {accepted} accepted, {time.monotonic() - began:.0f} s")
        typer.echo(f"{specs} specs to a whole watcher: {accepted} accepted, {specs - accepted} refused, none failed")
        return
    for number in range(seed, seed + specs):
        try:
            accepted += check(hostile_spec(random.Random(number)))
        except BaseException:
            typer.echo(f"failed: seed {number}; again by --seed {number} --specs 1", err=True)
            raise
        if (number - seed) % 10_000 == 9_999:
            typer.echo(f"{number - seed + 1} specs, {accepted} accepted, {time.monotonic() - began:.0f} s")
    typer.echo(f"{specs} specs: {accepted} accepted, {specs - accepted} refused, none failed")


if __name__ == "__main__":
    typer.run(main)
