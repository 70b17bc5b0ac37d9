"""A ValidatingAdmissionPolicy that refuses at `kubectl apply` what the watcher would refuse later. Pure.

Its checks come from the models and the settings, and so say the same. It sees one ReviewApp at a time: whom a namespace
takes, whose a pull request is already, and how many apps live, only the watcher can say; so with names that are there
twice, since looking for them takes longer than a policy may.

It looks at specs that are new or change. An object that was taken before can always be deleted and let go.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, get_args

from provisioner.fields import Model
from provisioner.patterns import Pattern, parse_list
from provisioner.refusals import Matching
from provisioner.review_app import PLURAL, VERSION, Config, Environment, EnvironmentValue, Spec
from provisioner.settings import StackSettings
from stacks import naming

_NAME = "reviewapp-specs"
_LABELS = {"app.kubernetes.io/part-of": "reviewapp"}
_MANIFEST = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Check:
    """What must hold, in CEL, and what is said where it does not."""

    expression: str
    message: str


def admission_policy(settings: StackSettings) -> list[_MANIFEST]:
    """Return the policy and its binding, for an installation's settings.

    https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
    """
    checks = [*_formats(), *_namespace(settings), *_environment(), *_rules(settings)]
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": _NAME, "labels": _LABELS},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [naming.GROUP],
                        "apiVersions": [VERSION],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": [PLURAL],
                    }
                ]
            },
            "matchConditions": [
                {
                    "name": "a-new-spec",
                    "expression": "oldObject == null || object.spec != oldObject.spec",
                },
                {"name": "not-on-its-way-out", "expression": "!has(object.metadata.deletionTimestamp)"},
            ],
            "validations": [dataclasses.asdict(check) for check in checks],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": _NAME, "labels": _LABELS},
        "spec": {"policyName": _NAME, "validationActions": ["Deny"]},
    }
    return [policy, binding]


def _formats() -> Iterator[_Check]:
    """Yield the formats of single fields, as the models have them."""
    for model, path in ((Spec, "spec"), (Config, "spec.config")):
        for field, pattern, remedy in _matching(model):
            yield _Check(_optional(f"{path}.{field}", _matches("{}", pattern)), f"{path}.{field}: {remedy}")
    for field, pattern, remedy in _matching(Environment):
        path = f"spec.config.env.{field}"
        yield _Check(_optional(path, f"{{}}.all(name, {_matches('name', pattern)})"), f"{path}: each {remedy}")
    for field, pattern, remedy in _matching(EnvironmentValue):
        if field != "value":
            each = f"{{}}.all(entry, {_matches(f'entry.{field}', pattern)})"
            yield _Check(_optional("spec.config.env.values", each), f"spec.config.env.values: each {field} {remedy}")
    port = "object.spec.config.applicationPort"
    yield _Check(f"{port} >= 1 && {port} <= 65535", "spec.config.applicationPort: must be at least 1 and at most 65535")


def _namespace(settings: StackSettings) -> Iterator[_Check]:
    name = "object.spec.config.namespace"
    ours = ", ".join(f"'{each}'" for each in settings.own_namespaces)
    yield _Check(
        f"!{name}.startsWith('kube-') && !({name} in [{ours}])",
        "spec.config.namespace: is not open to review apps: name the app's own namespace",
    )


def _environment() -> Iterator[_Check]:
    yield _Check(
        _optional("spec.config.env.secrets", f"{{}}.all(name, !name.endsWith('--{naming.TLS_SUFFIX}'))"),
        f"spec.config.env.secrets: a name that ends with --{naming.TLS_SUFFIX} is one that review apps keep for "
        "themselves: name another Secret",
    )


def _rules(settings: StackSettings) -> Iterator[_Check]:
    patterns = parse_list(settings.repos)
    if Pattern("*", "*") not in patterns:
        alternatives = "|".join(f"{_regular(each.owner)}/{_regular(each.repo)}" for each in patterns)
        yield _Check(
            f"(object.spec.repoOwner + '/' + object.spec.repo).lowerAscii().matches('^({alternatives})$')",
            f"spec.repo: gets no review apps here: the setting repos is {settings.repos}",
        )
    fork = "object.spec.?fork.orValue(false)"
    if settings.forks == "deny":
        yield _Check(
            f"!{fork}", "spec.fork: pull requests from forks get no review apps here: the setting forks is deny"
        )
    elif settings.forks == "without-secrets":
        remedy = "is not for pull requests from forks: remove it (the setting forks is without-secrets)"
        secrets = "object.spec.config.?env.?secrets"
        yield _Check(f"!{fork} || {secrets}.orValue([]).size() == 0", f"spec.config.env.secrets: {remedy}")
        secrets = "object.spec.config.?build.?secrets"
        yield _Check(f"!{fork} || {secrets}.orValue([]).size() == 0", f"spec.config.build.secrets: {remedy}")
        copy = "object.spec.config.?database.?copyFrom"
        yield _Check(f"!{fork} || !{copy}.hasValue()", f"spec.config.database.copyFrom: {remedy}")


def _matching(model: type[Model]) -> Iterator[tuple[str, str, str]]:
    """Yield field, pattern and remedy for each format in a model; of lists, those of their entries."""
    for name, field in model.model_fields.items():
        checks = [*field.metadata, *_inside(field.annotation)]
        # An annotation's arguments have those of its metadata too.
        for pattern, remedy in dict.fromkeys((c.pattern, c.remedy) for c in checks if isinstance(c, Matching)):
            yield field.alias or name, pattern, remedy


def _inside(annotation: object) -> Iterator[object]:
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield part
        yield from _inside(part)


def _optional(path: str, expression: str) -> str:
    """Return an expression about a field, `{}` in it, that holds where there is none."""
    parts = path.split(".")
    # The spec and its config are always there.
    guards = [f"!has(object.{'.'.join(parts[:count])}) || " for count in range(2, len(parts) + 1)]
    guards = [guard for guard in guards if guard != "!has(object.spec.config) || "]
    # Some may be null, for which there is no function of texts.
    guards.append(f"dyn(object.{path}) == null || ")
    return "".join(guards) + expression.replace("{}", f"object.{path}")


def _matches(field: str, pattern: str) -> str:
    # A raw string: of all patterns none has a double quote in it.
    return f'{field}.matches(r"^(?:{pattern})\\z")'


def _regular(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", "[^/]*").replace("\\", "\\\\")
