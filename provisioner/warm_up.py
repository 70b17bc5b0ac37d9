"""Make the Pulumi SDK fit for a process that runs programs in threads, once, before the first of them.

`pulumi_kubernetes` loads its modules when they are first used, and two threads that do so at once can see one that
is half loaded ("module 'pulumi_kubernetes.core' has no attribute 'v1'").
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import warnings
from typing import Any

from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.stack import run_pulumi_func
from pydantic import SecretStr

from stacks import naming, review_app
from stacks.database_names import KUBEDB_VERSIONS
from stacks.inputs import (
    TLS,
    Build,
    BuildOptions,
    BuildSecret,
    Confinement,
    Database,
    DatabaseCopy,
    Migrate,
    Network,
    OwnNamespace,
    Role,
    Route,
    StackInputs,
    Workload,
)

_STACK = "warm.up.0"
# What the SDK leaves unfinished where an engine is killed, or the process ends.
_CUT_OFF = {"run_in_stack", "run_pulumi_func", "BaseEventLoop.__del__"}

FULL_INPUTS = StackInputs(
    stack=_STACK,
    name="up-0",
    namespace="warm",
    labels=naming.labels("up", "0", _STACK),
    workload=Workload(
        image="warm/up:0",
        commit="0",
        replicas=0,
        port=1,
        pull_secret_name="pull",  # noqa: S106 - a name, not a secret.
        migrate=Migrate(command=("true",), arguments=("now",)),
        environment={"A": "1"},
        secret_names=("secret",),
        config_map_names=("config-map",),
        confinement=Confinement(
            cpu_request="1", cpu_limit="1", memory_request="1Mi", memory_limit="1Mi", read_only_root=True
        ),
    ),
    route=Route(
        host="up-0.invalid",
        ingress_class="class",
        tls=TLS(certificate=SecretStr("certificate"), key=SecretStr("key")),
        annotations={"warm": "up"},
    ),
    own_namespace=OwnNamespace(
        home="home",
        pod_security="restricted",
        quota={"pods": "1"},
        defaults=Confinement(cpu_request="1", cpu_limit="1", memory_request="1Mi", memory_limit="1Mi"),
    ),
    role=Role(
        name="warm.up.0",
        path="/warm/",
        permissions_boundary="arn:aws:iam::123456789012:policy/warm",
        cluster_arn="arn:aws:eks:eu-central-1:123456789012:cluster/warm",
        bucket="warm",
        prefix="apps/warm.up.0/",
    ),
    network=Network(denied_ranges=("10.0.0.0/8",), route_namespaces=("route",), operator_namespaces=("operator",)),
    build=Build(
        job_name="up-0--build",
        namespace="warm",
        commit="0",
        tarball_url="s3://warm/up",
        options=BuildOptions(arguments={"A": "1"}),
        secrets=(BuildSecret(name="secret", data={"key": "dmFsdWU="}),),
        priority_class="priority",
        queue="queue",
        image_registries=("warm",),
        image="warm/up:0",
        registry_insecure=True,
        push_secret_name="push",  # noqa: S106
        tarball_secret_name="tarball",  # noqa: S106
        s3_endpoint_url="http://s3.invalid",
        unpack_image="unpack",
        builder_image="builder",
        push_image="push",
        seccomp_profile="profile.json",
        timeout_seconds=1,
        retries=0,
    ),
    database=Database(
        backend="postgres",
        name="up-0--db",
        version="17",
        image="postgres",
        storage_size="1Gi",
        storage_class="class",
        password=SecretStr("password"),
        extensions=("citext",),
        copy_from=DatabaseCopy(
            values={"COPY_HOST": "host", "COPY_ANONYMISE": "SELECT 1"},
            references={"COPY_PASSWORD": ("source", "password")},
            image="postgres",
            retries=0,
        ),
    ),
)
"""Inputs of a stack that declares an object of every kind of Kubernetes' own, with every optional part."""


def warm_up(*, roles: bool = False) -> None:
    """Run the whole program once, against no engine. Takes about a second; to be called from one thread.

    Args:
        roles: whether apps have roles in AWS, whose SDK is not imported otherwise.
    """
    inputs = FULL_INPUTS if roles else FULL_INPUTS.model_copy(update={"role": None})
    # In a context of its own: the mocks are settings of the context, and programs that run later must not see them.
    contextvars.copy_context().run(asyncio.run, _declare(inputs))
    _silence_sdk()


def _silence_sdk() -> None:
    """Keep the SDK from writing to stderr that an engine failed or was killed, which errors say better.

    It leaves its program's coroutine unfinished then, and where the process ends right after, the event loop open.
    Python reports either with a traceback.
    """
    warnings.filterwarnings("ignore", "Error in event stream", module=r"pulumi\.automation")
    report = sys.unraisablehook

    def report_others(unraisable: sys.UnraisableHookArgs) -> None:
        if getattr(unraisable.object, "__qualname__", "") not in _CUT_OFF:
            report(unraisable)

    sys.unraisablehook = report_others


async def _declare(inputs: StackInputs) -> None:
    set_mocks(_Mocks())
    await run_pulumi_func(lambda: _declare_all(inputs))


def _declare_all(inputs: StackInputs) -> None:
    review_app.declare(inputs)
    # Kinds of operators are registered by one class, in a module of its own.
    operators_kind = {"backend": "kubedb", "api_version": KUBEDB_VERSIONS[0]}
    database = inputs.database and inputs.database.model_copy(update=operators_kind)
    names = {"stack": f"{_STACK}0", "name": "up-1", "database": database, "role": None}
    review_app.declare(inputs.model_copy(update=names))


class _Mocks(Mocks):
    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return args.name, args.inputs  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], None]:  # noqa: ARG002 - the base class's signature.
        return {}, None
