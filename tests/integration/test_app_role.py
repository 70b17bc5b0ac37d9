"""An app's role, by the real engine on a real API server; AWS's provider is a stand-in, and IAM is moto's where asked.

So nothing here says what AWS does: neither whether it takes what it is asked for, nor what its webhook makes of Pods.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from provisioner import role_clearing
from provisioner.app_role import app_role
from provisioner.aws_plugin import aws_plugin, plugins_for
from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.errors import ApplyRefused
from provisioner.settings import Settings
from provisioner.stack import Stacks
from provisioner.warm_up import warm_up
from stacks.iam_documents import as_json
from stacks.inputs import StackInputs
from stacks.role import objects_below
from tests import samples
from tests.integration import aws_provider
from tests.integration.conftest import MakeInputs, never
from tests.unit.provisioner.test_aws_settings import ON
from watcher.cluster import DEPLOYMENTS, Cluster, Object

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

ISSUER = "oidc.eks.eu-central-1.amazonaws.com/id/ABC"
DENIED = "api error AccessDenied: User: arn:aws:sts::1:assumed-role/w is not authorized to perform: iam:{}"
BOUNDARY = objects_below("arn:aws:s3:::acme-apps", "apps/")

Objects = Callable[[str], dict[str, Object]]
MakeRoleInputs = Callable[..., StackInputs]


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what the stand-in has made."""
    folder, plugin = tmp_path / "account", aws_plugin()
    folder.mkdir()
    aws_provider.install(tmp_path / "plugin", plugin.program, plugin.version)
    monkeypatch.setenv("PATH", f"{tmp_path / 'plugin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(aws_provider.FOLDER, str(folder))
    return folder


@pytest.fixture
def stacks(account: Path, settings: Settings) -> Iterator[Stacks]:
    warm_up(roles=True)
    stacks = Stacks(Backend(settings, Engine(timeout_seconds=120, plugins=plugins_for(samples.settings(**ON)))))
    yield stacks
    stacks.stop()


@pytest.fixture
def iam(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto's IAM, in which the stand-in makes roles too."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # What others have made is in this process too.
    httpx.post(f"http://{host}:{port}/moto-api/reset").raise_for_status()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "admin")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    session: Any = boto3
    client = session.client("iam")
    boundary = ON["aws_permissions_boundary"].rpartition("/")[2]
    client.create_policy(PolicyName=boundary, PolicyDocument=as_json(BOUNDARY))
    yield client
    server.stop()


@pytest.fixture
def with_role(make_inputs: MakeInputs) -> MakeRoleInputs:
    def make(pull_request: str = "7", **changes: Any) -> StackInputs:
        inputs = make_inputs(pull_request, build=False)
        return inputs.model_copy(update={"role": app_role(inputs.stack, samples.settings(**ON | changes))})

    return make


def made(account: Path) -> dict[str, dict[str, Any]]:
    """What the stand-in has, by its name."""
    found = [json.loads(file.read_text()) for file in account.iterdir() if file.suffix != ".refused"]
    return {item["name"]: item["inputs"] for item in found}


def role_of(inputs: StackInputs) -> str:
    assert inputs.role
    return inputs.role.name


def roles_in(iam: Any) -> dict[str, list[str]]:
    """The inline policies of the apps' roles, by the roles' names."""
    names = [role["RoleName"] for role in iam.list_roles(PathPrefix="/reviewapp/")["Roles"]]
    return {name: iam.list_role_policies(RoleName=name)["PolicyNames"] for name in names}


def pod_of(cluster: Cluster, inputs: StackInputs) -> Object:
    deployment = cluster.get(DEPLOYMENTS, inputs.namespace, inputs.name)
    assert deployment
    return deployment["spec"]["template"]["spec"]


def test_its_life(stacks: Stacks, with_role: MakeRoleInputs, cluster: Cluster, objects: Objects, account: Path) -> None:
    inputs = with_role()
    first = stacks.up(inputs, 0)
    assert made(account).keys() == {"Role/shop-7", "RolePolicy/shop-7", "PodIdentityAssociation/shop-7"}
    assert made(account)["PodIdentityAssociation/shop-7"]["namespace"] == inputs.namespace
    assert "ServiceAccount/shop-7" in objects(inputs.stack)
    assert pod_of(cluster, inputs)["serviceAccountName"] == "shop-7"

    again = stacks.up(inputs, 0)
    # The stack, its provider, three in AWS and the objects.
    assert again.changes == {"same": first.changes["create"]}

    off = stacks.up(inputs.model_copy(update={"role": None}), 0)
    assert (off.changes["delete"], off.changes["update"]) == (5, 2)
    assert made(account) == {}
    assert "ServiceAccount/shop-7" not in objects(inputs.stack)
    assert pod_of(cluster, inputs).get("serviceAccountName", "default") == "default"

    stacks.up(inputs, 0)
    assert "Role/shop-7" in made(account)
    stacks.destroy(inputs.stack, 0, never)
    assert made(account) == {}
    assert objects(inputs.stack) == {}


def test_several_at_once(stacks: Stacks, with_role: MakeRoleInputs, account: Path) -> None:
    wanted = [with_role(str(number)) for number in (1, 10)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(stacks.up, wanted, range(2)))
    for inputs in wanted:
        assert inputs.role
        assert made(account)[f"Role/{inputs.name}"]["name"] == inputs.role.name
        assert f"{inputs.role.prefix}*" in made(account)[f"RolePolicy/{inputs.name}"]["policy"]


def test_what_aws_refuses_is_told_and_made_once_it_may_be(
    stacks: Stacks, with_role: MakeRoleInputs, account: Path
) -> None:
    inputs = with_role()
    aws_provider.refuse(account, "creating", "Role", DENIED.format("CreateRole"))
    with pytest.raises(ApplyRefused, match="give the watcher's role in AWS this permission") as refused:
        stacks.up(inputs, 0)
    assert (refused.value.reason, refused.value.target) == ("AwsAccessDenied", "Role/shop-7")
    assert "iam:CreateRole" in refused.value.detail
    aws_provider.refuse(account, "creating", "Role", "")
    stacks.up(inputs, 0)
    assert "Role/shop-7" in made(account)


def test_a_role_that_cant_be_deleted_is_told_and_deleted_once_it_may_be(
    stacks: Stacks, with_role: MakeRoleInputs, account: Path, objects: Objects
) -> None:
    inputs = with_role()
    stacks.up(inputs, 0)
    aws_provider.refuse(account, "deleting", "Role", "api error Throttling: Rate exceeded")
    with pytest.raises(ApplyRefused) as refused:
        stacks.destroy(inputs.stack, 0, never)
    assert (refused.value.reason, refused.value.target) == ("AwsThrottled", "Role/shop-7")
    assert "Role/shop-7" in made(account)
    aws_provider.refuse(account, "deleting", "Role", "")
    stacks.destroy(inputs.stack, 0, never)
    assert made(account) == {}
    assert objects(inputs.stack) == {}


def test_a_role_that_no_state_knows_is_made_anew(
    stacks: Stacks, with_role: MakeRoleInputs, account: Path, iam: Any
) -> None:
    """As after an engine that was killed when AWS had made it."""
    inputs = with_role(aws_cluster_issuer=ISSUER)
    name = role_of(inputs)
    iam.create_role(RoleName=name, Path="/reviewapp/", AssumeRolePolicyDocument="{}")
    iam.put_role_policy(RoleName=name, PolicyName="own-objects", PolicyDocument=as_json(BOUNDARY))
    stacks.up(inputs, 0)
    assert roles_in(iam) == {name: ["own-objects"]}
    found = iam.get_role(RoleName=name)["Role"]
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == ON["aws_permissions_boundary"]
    stacks.destroy(inputs.stack, 0, never)
    assert roles_in(iam) == {}


def test_a_state_that_is_forgotten_leaves_a_role_that_can_be_cleared(
    stacks: Stacks, with_role: MakeRoleInputs, account: Path, iam: Any
) -> None:
    """As where an app's namespace was deleted under it, so that no engine can destroy its stack."""
    inputs = with_role(aws_cluster_issuer=ISSUER)
    stacks.up(inputs, 0)
    other = role_of(with_role("77"))
    iam.create_role(RoleName=other, Path="/reviewapp/", AssumeRolePolicyDocument="{}")
    stacks.forget(inputs.stack, 0, never)
    assert roles_in(iam).keys() == {role_of(inputs), other}
    role_clearing.clear(inputs)
    assert roles_in(iam) == {other: []}
    role_clearing.clear(inputs)


def test_another_stack_that_has_the_setting_off_runs_the_engine_as_ever(
    stacks: Stacks, make_inputs: MakeInputs, account: Path
) -> None:
    result = stacks.up(make_inputs(build=False), 0)
    assert made(account) == {}
    assert not any("aws" in name for name in result.outputs)
