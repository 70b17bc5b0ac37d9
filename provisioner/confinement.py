"""What an installation lets an app take and be, against what its config asks for. Pure."""

from __future__ import annotations

from provisioner.errors import Refusal, SpecRefused
from provisioner.patterns import Pattern
from provisioner.quantities import number
from provisioner.review_app import Config, Spec
from provisioner.settings import StackSettings
from stacks.inputs import Confinement, Network, OwnNamespace

# While one version takes over from another there are the Pods of both, and those of one before on their way out.
_SHARES = 4
_PODS = 12
# A reset makes the next database before the last one has gone. Beside each there can be the Pods of its copy.
_DATABASES = 2
_DATABASE_CPU = 8
_DATABASE_MEMORY = 8 * 1024**3


def confinement(spec: Spec, settings: StackSettings) -> Confinement:
    """Return how the Pods of an app are boxed in.

    Raises:
        SpecRefused: the config asks for more than an app may take.
    """
    config = spec.config
    cpu_request, cpu_limit = _pair(config, "cpu", settings.cpu_request, settings.cpu_limit, settings.cpu_maximum)
    memory_request, memory_limit = _pair(
        config, "memory", settings.memory_request, settings.memory_limit, settings.memory_maximum
    )
    return Confinement(
        cpu_request=cpu_request,
        cpu_limit=cpu_limit,
        memory_request=memory_request,
        memory_limit=memory_limit,
        root=any(Pattern.parse(text).takes(spec.repo_owner, spec.repo) for text in settings.root_repositories),
        read_only_root=config.read_only_root_filesystem,
    )


def network(settings: StackSettings) -> Network | None:
    """Return whom apps may talk to; None where the installation wants no NetworkPolicy."""
    if not settings.network_policies:
        return None
    return Network(
        denied_ranges=settings.egress_denied_ranges,
        route_namespaces=settings.route_namespaces,
        operator_namespaces=settings.operator_namespaces,
    )


def own_namespace(spec: Spec, settings: StackSettings) -> OwnNamespace | None:
    """Return the namespace that an app gets for itself; None where apps share those that their configs name.

    Raises:
        SpecRefused: as from `confinement`.
    """
    if settings.namespace_mode == "shared":
        return None
    boxed = confinement(spec, settings)
    cpu = _SHARES * number(settings.cpu_maximum) + _DATABASE_CPU
    memory = _SHARES * number(settings.memory_maximum) + _DATABASE_MEMORY
    storage = _DATABASES * number(settings.database_maximum_storage_size)
    return OwnNamespace(
        home=spec.config.namespace,
        pod_security="baseline" if boxed.root else "restricted",
        quota={
            "pods": str(_PODS),
            "limits.cpu": f"{int(cpu * 1000)}m",
            "limits.memory": str(int(memory)),
            "persistentvolumeclaims": str(_DATABASES),
            "requests.storage": str(int(storage)),
        },
        # The installation's, and not the app's own: they are for what is not the app.
        defaults=Confinement(
            cpu_request=settings.cpu_request,
            cpu_limit=settings.cpu_limit,
            memory_request=settings.memory_request,
            memory_limit=settings.memory_limit,
        ),
        denies=settings.network_policies,
    )


def _pair(config: Config, kind: str, request: str, limit: str, maximum: str) -> tuple[str, str]:
    """Return request and limit of a kind of resource: the config's within the maximum, else the installation's."""
    asked = config.resources
    asked_request: str | None = getattr(asked.requests, kind) if asked else None
    asked_limit: str | None = getattr(asked.limits, kind) if asked else None
    for name, value in (("requests", asked_request), ("limits", asked_limit)):
        # A limit of nothing would be none at all.
        if value and not 0 < number(value) <= number(maximum):
            field = f"spec.config.resources.{name}.{kind}"
            raise SpecRefused([Refusal(field, repr(value), f"must be more than nothing and at most {maximum}")])
    if asked_request and asked_limit and number(asked_request) > number(asked_limit):
        field = f"spec.config.resources.requests.{kind}"
        raise SpecRefused([Refusal(field, repr(asked_request), f"must be at most the limit, {asked_limit}")])
    request, limit = asked_request or request, asked_limit or limit
    # Where one is asked for and not the other, the installation's gives way to it.
    if number(request) > number(limit):
        return (request, request) if asked_request else (limit, limit)
    return request, limit
