"""From what a ReviewApp asks for to what its stack declares. Pure: no clock, no cluster, no engine."""

from __future__ import annotations

from provisioner import build_options
from provisioner.app_role import app_role
from provisioner.builders import builder_fields
from provisioner.confinement import confinement, network, own_namespace
from provisioner.databases import Known, settle, wanted_database
from provisioner.errors import Refusal, SpecRefused
from provisioner.review_app import Config, Spec
from provisioner.settings import StackSettings
from stacks import naming
from stacks.inputs import (
    TLS,
    Build,
    BuildOptions,
    BuildSecret,
    Confinement,
    Gateway,
    Migrate,
    Route,
    SourceLimits,
    StackInputs,
    Workload,
)
from stacks.route import url


def stack_inputs(
    spec: Spec,
    settings: StackSettings,
    *,
    previous: StackInputs | None,
    built: bool,
    tls: TLS | None,
    build: Build | None = None,
    image: str | None = None,
    cache: str = "",
    paused: bool = False,
    known: Known = Known(),  # noqa: B008 - it can't change.
) -> StackInputs:
    """Return what the stack declares now.

    Args:
        spec: what the ReviewApp asks for.
        settings: the installation's.
        previous: what was declared last; the version that runs on while a new commit is built.
        built: whether the image of that build is in the registry.
        tls: the wildcard certificate, where the settings name one and it is there.
        build: the build of the spec's commit; by default `wanted_build`.
        image: what came out of that build, as `<repository>@sha256:…`; the build's tag where that is not known.
        cache: the layers of that build, as `<repository>@sha256:…`, where they are known.
        paused: whether no Pod of the app is to run.
        known: what is known of its database.

    Raises:
        SpecRefused: the spec asks for what this installation does not give.
    """
    _check_namespace(spec.config, settings)
    name = naming.app_name(spec.repo, spec.pr)
    stack = naming.stack_name(spec.repo_owner, spec.repo, spec.pr)
    build = build or wanted_build(spec, settings)
    boxed, reached, own = confinement(spec, settings), network(settings), own_namespace(spec, settings)
    namespace = naming.own_namespace(name) if own else spec.config.namespace
    if namespace in settings.own_namespaces:
        remedy = f"would have the namespace {namespace}, which is the platform's: rename the repository"
        raise SpecRefused([Refusal("spec.repo", repr(spec.repo), remedy)])
    route = Route(
        host=f"{name}.{settings.app_domain}",
        ingress_class=settings.ingress_class,
        gateway=_gateway(settings),
        # A Gateway's listeners have their own.
        tls=None if settings.route == "gateway" else tls,
        annotations=settings.ingress_annotations,
    )
    if previous and previous.workload.replicas and (not built or _runs_adopted(previous, build)):
        # What runs belongs to the config it was built with: another port or variable would break the old version.
        running = previous.workload.model_copy(update={"paused": paused})
        reached = None if running.adopted else reached
        database = settle(previous.database) if previous.database and known.ready else previous.database
        changed = {"build": build, "route": route, "workload": running, "database": database, "network": reached}
        return previous.model_copy(update=changed)
    asked = spec.config.database
    return StackInputs(
        stack=stack,
        name=name,
        namespace=namespace,
        labels=naming.labels(spec.repo, spec.pr, stack),
        workload=_workload(
            spec,
            image,
            build.image,
            cache,
            boxed,
            replicas=1 if built else 0,
            paused=paused,
            port_name=previous.workload.port_name if previous else "http",
        ),
        route=route,
        build=build,
        database=wanted_database(asked, name, settings, previous.database if previous else None, known)
        if asked
        else None,
        network=reached,
        own_namespace=own,
        role=app_role(stack, settings),
    )


def _runs_adopted(previous: StackInputs, build: Build) -> bool:
    """Whether another operator made what runs of this very build: it goes on as it is, until there is another."""
    running = previous.workload
    return running.adopted is not None and (running.commit, running.built_as) == (build.commit, build.image)


def stack_tags(spec: Spec, inputs: StackInputs) -> dict[str, str]:
    """Return the stack's tags: whose it is, and what it runs or, before its first build has ended, is to run."""
    return {
        "owner": spec.repo_owner,
        "repo": spec.repo,
        "pull-request": spec.pr,
        "branch": spec.branch,
        "commit": inputs.workload.commit,
        "url": url(inputs),
    }


def _gateway(settings: StackSettings) -> Gateway | None:
    if settings.route == "ingress" or settings.gateway is None:
        return None
    namespace, _, name = settings.gateway.partition("/")
    return Gateway(namespace=namespace, name=name, scheme=settings.gateway_scheme, noindex=settings.noindex)


def _check_namespace(config: Config, settings: StackSettings) -> None:
    """Refuse namespaces in which a pull request's app could reach what is not its own."""
    namespace = config.namespace
    if namespace.startswith("kube-") or namespace in settings.own_namespaces:
        remedy = "is not open to review apps: name the app's own namespace"
        raise SpecRefused([Refusal("spec.config.namespace", repr(namespace), remedy)])


def _workload(
    spec: Spec,
    image: str | None,
    tag: str,
    cache: str,
    boxed: Confinement,
    *,
    replicas: int,
    paused: bool,
    port_name: str,
) -> Workload:
    config = spec.config
    migrate = config.migrate
    runs_migrate = migrate and (migrate.command or migrate.args)
    return Workload(
        image=image or tag,
        tag=tag if image and image != tag else "",
        cache=cache,
        commit=spec.commit_hash,
        replicas=replicas,
        paused=paused,
        port=config.application_port,
        pull_secret_name=config.registry_secret_name,
        migrate=Migrate(command=migrate.command, arguments=migrate.args) if migrate and runs_migrate else None,
        environment={entry.name: entry.value for entry in config.env.values},
        secret_names=config.env.secrets,
        config_map_names=config.env.config_maps,
        confinement=boxed,
        port_name=port_name,
    )


def _tarball_url(spec: Spec, settings: StackSettings) -> str:
    """Return where the commit's tarball is: where the spec says, else where the older operator's bot has put it."""
    if spec.tarball_url:
        return spec.tarball_url
    if settings.tarball_bucket is None:
        remedy = "is missing: add it, or have the setting tarball_bucket name the bucket of all tarballs"
        raise SpecRefused([Refusal("spec.tarballUrl", "", remedy)])
    return f"s3://{settings.tarball_bucket}/{spec.repo_owner}-{spec.repo}-{spec.commit_hash[:8]}"


def _options(config: Config) -> BuildOptions:
    asked = config.build or build_options.BuildOptions()
    return BuildOptions(
        dockerfile=asked.dockerfile or "",
        context=asked.context or "",
        target=asked.target or "",
        arguments={argument.name: argument.value for argument in asked.args},
        platform=asked.platform or "",
    )


def wanted_build(spec: Spec, settings: StackSettings, attempt: str = "") -> Build:
    """Return the build of the spec's commit; an `attempt` of `naming.attempt` makes it one more.

    Raises:
        SpecRefused: it does not say where the commit's source is, or asks for what the builder can't do.
    """
    builder = builder_fields(spec.config.build, settings)
    has_cache = settings.build_cache and builder["builder"] == "buildkit"
    return Build(
        job_name=naming.build_job_name(naming.app_name(spec.repo, spec.pr), spec.commit_hash, attempt),
        namespace=settings.build_namespace,
        commit=spec.commit_hash,
        attempt=attempt,
        tarball_url=_tarball_url(spec, settings),
        tarball_sha256=(spec.tarball_sha256 or "").lower(),
        limits=SourceLimits(
            compressed_bytes=settings.tarball_maximum_bytes,
            unpacked_bytes=settings.tarball_maximum_unpacked_bytes,
            entries=settings.tarball_maximum_entries,
        ),
        options=_options(spec.config),
        secrets=tuple(BuildSecret(name=name) for name in (spec.config.build.secrets if spec.config.build else ())),
        cache_to=naming.cache_reference(settings.registry, spec.repo_owner, spec.repo) if has_cache else "",
        image=naming.image_reference(settings.registry, spec.repo_owner, spec.repo, spec.pr, spec.commit_hash, attempt),
        registry_insecure=settings.registry_insecure,
        push_secret_name=settings.push_secret_name,
        tarball_secret_name=settings.tarball_secret_name,
        s3_endpoint_url=settings.s3_endpoint_url,
        unpack_image=settings.unpack_image,
        push_image=settings.push_image,
        timeout_seconds=settings.build_timeout_seconds,
        retries=settings.build_retries,
        **builder,
    )
