"""What is taken away in AWS of what no state knows; its answers are given by hand, and IAM's are moto's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from provisioner import role_clearing
from provisioner.errors import ApplyRefused
from stacks.iam_documents import as_json
from stacks.inputs import StackInputs
from stacks.role import objects_below
from tests.unit.stacks.test_role import ISSUER, inputs

ASKED = {"clusterName": "main", "namespace": "review-shop", "serviceAccount": "shop-42"}
FOUND = {"clusterName": "main", "associationId": "a-1", "namespace": "review-shop", "serviceAccount": "shop-42"}


def client(service: str) -> Any:
    session: Any = boto3
    return session.client(service, region_name="eu-central-1", aws_access_key_id="admin", aws_secret_access_key="admin")


@pytest.fixture
def eks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What EKS answers; IAM answers that it has no role."""
    iam, eks = client("iam"), client("eks")

    def made(service: str, role: object) -> Any:
        return {"eks": eks, "iam": iam}[service]

    monkeypatch.setattr(role_clearing, "_client", made)
    with Stubber(iam) as of_iam, Stubber(eks) as of_eks:
        of_iam.add_response("list_roles", {"Roles": []})
        yield of_eks


@pytest.fixture
def iam(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "admin")
    with mock_aws():
        yield client("iam")


def role_of(wanted: StackInputs) -> str:
    assert wanted.role
    return wanted.role.name


def exists(kind: str) -> ApplyRefused:
    return ApplyRefused(f"{kind}/shop-42", "RoleExists", "it is there", "delete it")


def test_an_association_goes(eks: Any) -> None:
    eks.add_response("list_pod_identity_associations", {"associations": [FOUND]}, ASKED)
    ended = {"clusterName": "main", "associationId": "a-1"}
    eks.add_response("delete_pod_identity_association", {"association": FOUND}, ended)
    role_clearing.clear(inputs())
    eks.assert_no_pending_responses()


def test_one_that_goes_meanwhile_is_gone(eks: Any) -> None:
    eks.add_response("list_pod_identity_associations", {"associations": [FOUND]}, ASKED)
    eks.add_client_error("delete_pod_identity_association", "ResourceNotFoundException")
    role_clearing.clear(inputs())


def test_what_aws_says_is_told(eks: Any) -> None:
    message = "User: w is not authorized to perform: eks:ListPodIdentityAssociations"
    eks.add_client_error("list_pod_identity_associations", "AccessDeniedException", message)
    with pytest.raises(ApplyRefused, match="eks:ListPodIdentityAssociations") as refused:
        role_clearing.clear(inputs())
    assert (refused.value.reason, refused.value.target) == ("AwsAccessDenied", "PodIdentityAssociation/shop-42")


def test_what_is_not_known_is_told_too(eks: Any) -> None:
    eks.add_client_error("list_pod_identity_associations", "ServerException", "try later")
    with pytest.raises(ApplyRefused, match="try later") as refused:
        role_clearing.clear(inputs())
    assert refused.value.reason == "AwsFailed"


def test_a_role_goes_with_its_policy_and_no_other(iam: Any) -> None:
    wanted = inputs(aws_cluster_issuer=ISSUER)
    name = role_of(wanted)
    for role, path in ((name, "/reviewapp/"), (f"{name}0", "/reviewapp/"), ("watcher", "/")):
        iam.create_role(RoleName=role, Path=path, AssumeRolePolicyDocument="{}")
        document = as_json(objects_below("arn:aws:s3:::b", "apps/"))
        iam.put_role_policy(RoleName=role, PolicyName="own-objects", PolicyDocument=document)
    role_clearing.clear(wanted)
    left = {role["RoleName"] for role in iam.list_roles()["Roles"]}
    assert left == {f"{name}0", "watcher"}
    role_clearing.clear(wanted)


def test_a_role_of_that_name_in_another_path_is_somebody_elses(iam: Any) -> None:
    wanted = inputs(aws_cluster_issuer=ISSUER)
    iam.create_role(RoleName=role_of(wanted), Path="/others/", AssumeRolePolicyDocument="{}")
    role_clearing.clear(wanted)
    assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == [role_of(wanted)]


def test_only_what_stands_in_the_way_goes(iam: Any) -> None:
    wanted = inputs(aws_cluster_issuer=ISSUER)
    iam.create_role(RoleName=role_of(wanted), Path="/reviewapp/", AssumeRolePolicyDocument="{}")
    assert not role_clearing.clear_unknown(wanted.model_copy(update={"role": None}), exists("Role"))
    assert not role_clearing.clear_unknown(wanted, ApplyRefused("Role/shop-42", "AwsAccessDenied", "no", "may"))
    assert not role_clearing.clear_unknown(wanted, exists("RolePolicy"))
    assert iam.list_roles()["Roles"]
    assert role_clearing.clear_unknown(wanted, exists("Role"))
    assert not iam.list_roles()["Roles"]


def test_without_a_role_nobody_is_asked() -> None:
    role_clearing.clear(inputs().model_copy(update={"role": None}))
