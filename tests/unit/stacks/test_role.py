"""An app's role: what it may and who may take it, evaluated, and names that no two apps share."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from provisioner.app_role import app_role
from stacks import naming
from stacks import role as roles
from stacks.iam_documents import as_json
from stacks.inputs import Role, StackInputs
from stacks.review_app import manifests
from tests import samples
from tests.iam import Context, decide
from tests.unit.provisioner.test_aws_settings import ON

ACCOUNT = "123456789012"
BUCKET = "arn:aws:s3:::acme-apps"
OWN = f"{BUCKET}/apps/acme.shop.1/"
SERVICE = "pods.eks.amazonaws.com"
ISSUER = "oidc.eks.eu-central-1.amazonaws.com/id/ABC"


def role(stack: str = "acme.shop.1", **changes: Any) -> Role:
    found = app_role(stack, samples.settings(**ON | changes))
    assert found
    return found


def inputs(**changes: Any) -> StackInputs:
    return samples.inputs(built=True).model_copy(update={"role": role("acme.shop.42", **changes)})


POLICY = roles.policy(role())
LIST: Context = {"s3:prefix": "apps/acme.shop.1/"}

# Action, resource, context, whether it is allowed.
CASES: list[tuple[str, str, str, Context, bool]] = [
    *(
        (f"{action} of its own", f"s3:{action}", f"{OWN}a/b.png", {}, True)
        for action in ("GetObject", "PutObject", "DeleteObject")
    ),
    *(
        (f"{action} of {other}", f"s3:{action}", f"{BUCKET}/apps/{other}", {}, False)
        for action in ("GetObject", "PutObject", "DeleteObject")
        for other in ("acme.shop.10/a", "acme.shop.2/a", "acme.shop.1-2/a", "acme.shop.1", "a")
    ),
    ("beside all apps", "s3:GetObject", f"{BUCKET}/acme.shop.1/a", {}, False),
    ("in another bucket", "s3:GetObject", "arn:aws:s3:::acme-apps-2/apps/acme.shop.1/a", {}, False),
    ("older versions", "s3:GetObjectVersion", f"{OWN}a", {}, False),
    ("older versions' end", "s3:DeleteObjectVersion", f"{OWN}a", {}, False),
    ("opens to others", "s3:PutObjectAcl", f"{OWN}a", {}, False),
    ("lists its own", "s3:ListBucket", BUCKET, LIST, True),
    ("lists below", "s3:ListBucket", BUCKET, {"s3:prefix": "apps/acme.shop.1/a/"}, True),
    ("lists all", "s3:ListBucket", BUCKET, {}, False),
    ("lists all by an empty prefix", "s3:ListBucket", BUCKET, {"s3:prefix": ""}, False),
    ("lists all apps", "s3:ListBucket", BUCKET, {"s3:prefix": "apps/"}, False),
    ("lists what begins alike", "s3:ListBucket", BUCKET, {"s3:prefix": "apps/acme.shop.1"}, False),
    ("lists another's", "s3:ListBucket", BUCKET, {"s3:prefix": "apps/acme.shop.10/"}, False),
    ("lists another bucket", "s3:ListBucket", f"{BUCKET}-2", LIST, False),
    ("lists older versions", "s3:ListBucketVersions", BUCKET, LIST, False),
    ("changes the bucket", "s3:PutBucketPolicy", BUCKET, {}, False),
    ("takes another role", "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/reviewapp/other", {}, False),
    ("widens itself", "iam:PutRolePolicy", roles.arn(role()), {}, False),
]


@pytest.mark.parametrize(
    ("action", "resource", "context", "allowed"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_what_it_may(action: str, resource: str, context: Context, allowed: bool) -> None:
    assert decide([POLICY], action, resource, context) == ("allowed" if allowed else "nothing")


def test_each_statement_allows_something_that_no_other_does() -> None:
    for statement in POLICY["Statement"]:
        without = POLICY | {"Statement": [other for other in POLICY["Statement"] if other is not statement]}
        assert any(
            allowed and decide([without], action, resource, context) == "nothing"
            for _, action, resource, context, allowed in CASES
        ), statement["Sid"]


class TestWhoTakesIt:
    def tags(self, **changes: str) -> Context:
        tags = {
            "eks-cluster-arn": f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/main",
            "kubernetes-namespace": "review-shop",
            "kubernetes-service-account": "shop-42",
        }
        return {f"aws:RequestTag/{name}": value for name, value in (tags | changes).items()}

    @pytest.mark.parametrize("action", ["sts:AssumeRole", "sts:TagSession"])
    def test_pods_of_its_service_account_alone(self, action: str) -> None:
        trust = roles.trust(inputs(), role())
        assert decide([trust], action, "", self.tags(), SERVICE) == "allowed"
        for changes in (
            {"eks-cluster-arn": f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/other"},
            {"eks-cluster-arn": "arn:aws:eks:eu-central-1:210987654321:cluster/main"},
            {"kubernetes-namespace": "shop"},
            {"kubernetes-service-account": "default"},
            {"kubernetes-service-account": "shop-4"},
            {"kubernetes-service-account": "shop-420"},
        ):
            assert decide([trust], action, "", self.tags(**changes), SERVICE) == "nothing"
        assert decide([trust], action, "", {}, SERVICE) == "nothing"
        assert decide([trust], action, "", self.tags(), f"arn:aws:iam::{ACCOUNT}:root") == "nothing"

    def test_by_irsa_too(self) -> None:
        trust = roles.trust(inputs(), role(aws_cluster_issuer=ISSUER))
        provider, action = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}", "sts:AssumeRoleWithWebIdentity"

        def decided(subject: str, audience: str = "sts.amazonaws.com") -> str:
            return decide([trust], action, "", {f"{ISSUER}:sub": subject, f"{ISSUER}:aud": audience}, provider)

        assert decided("system:serviceaccount:review-shop:shop-42") == "allowed"
        assert decided("system:serviceaccount:review-shop:shop-42", "other") == "nothing"
        for subject in ("review-shop:shop-420", "review-shop:default", "shop:shop-42", "*"):
            assert decided(f"system:serviceaccount:{subject}") == "nothing"


def of(declared: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (only,) = [manifest for manifest in declared if manifest["kind"] == kind]
    return only


class TestPods:
    def test_they_are_the_service_accounts_and_told_where_their_objects_are(self) -> None:
        declared = manifests(inputs())
        account, pod = of(declared, "ServiceAccount"), of(declared, "Deployment")["spec"]["template"]["spec"]
        assert account["metadata"]["name"] == pod["serviceAccountName"] == pod["serviceAccount"] == "shop-42"
        assert account["metadata"]["namespace"] == "review-shop"
        for container in (*pod["containers"], *pod["initContainers"]):
            variables = {variable["name"]: variable.get("value") for variable in container["env"]}
            assert variables["APP_BUCKET"] == "acme-apps"
            assert variables["APP_BUCKET_PREFIX"] == "apps/acme.shop.42/"

    def test_none_gets_a_token_for_the_api_server(self) -> None:
        declared = manifests(inputs())
        assert of(declared, "ServiceAccount")["automountServiceAccountToken"] is False
        assert of(declared, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is False

    def test_a_value_of_the_configs_own_wins(self) -> None:
        found = inputs()
        own = found.workload.model_copy(update={"environment": {"APP_BUCKET": "mine"}})
        deployment = of(manifests(found.model_copy(update={"workload": own})), "Deployment")
        names = [variable["name"] for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]]
        assert "APP_BUCKET" not in names
        assert "APP_BUCKET_PREFIX" in names

    def test_they_reach_the_agent_that_has_their_credentials_and_no_other_address_of_the_node(self) -> None:
        named = {(m["kind"], m["metadata"]["name"]): m for m in manifests(inputs())}
        agent = {
            "to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}, {"ipBlock": {"cidr": "fd00:ec2::23/128"}}],
            "ports": [{"protocol": "TCP", "port": 80}],
        }
        assert agent in named["NetworkPolicy", "shop-42"]["spec"]["egress"]
        assert agent not in named["NetworkPolicy", "shop-42--db"]["spec"].get("egress", [])
        irsa = manifests(inputs(aws_cluster_issuer=ISSUER))
        assert "169.254.170.23" not in json.dumps(irsa)

    def test_irsa_is_told_by_the_service_account(self) -> None:
        annotation = "eks.amazonaws.com/role-arn"
        found = inputs(aws_cluster_issuer=ISSUER)
        assert found.role
        account = of(manifests(found), "ServiceAccount")
        assert account["metadata"]["annotations"][annotation] == roles.arn(found.role)
        assert annotation not in of(manifests(inputs()), "ServiceAccount")["metadata"]["annotations"]

    def test_without_a_role_nothing_of_it_is_there(self) -> None:
        text = json.dumps(manifests(samples.inputs(built=True)))
        assert not re.search(r'ServiceAccount"|serviceAccount"|serviceAccountName|APP_BUCKET|169\.254\.170\.23', text)


_NAME = st.from_regex(r"[A-Za-z0-9._-]{1,60}", fullmatch=True)
_PULL_REQUEST = st.integers(1, 9_999_999_999).map(str)
_APP = st.tuples(_NAME, _NAME, _PULL_REQUEST)


def _near(app: tuple[str, str, str]) -> st.SearchStrategy[tuple[str, str, str]]:
    """Give apps that are easily taken for another: with a digit more, or a part moved over the border."""
    owner, repository, number = app
    others = [
        (owner, repository, f"{number}0"[-10:]),
        (owner, repository, number[:-1] or "1"),
        (owner, f"{repository}.{number}", "1"),
        (f"{owner}.{repository}", repository, number),
        (owner, f"{repository}-2", number),
        (owner, f"{repository}{'x' * 40}", number),
        (owner, f"{repository}{'x' * 39}y", number),
    ]
    return st.sampled_from(others)


@given(_APP.flatmap(lambda app: st.tuples(st.just(app), st.one_of(_APP, _near(app)))))
def test_two_apps_share_neither_role_nor_prefix(apps: tuple[tuple[str, str, str], tuple[str, str, str]]) -> None:
    folded = [tuple(part.lower() for part in app) for app in apps]
    assume(folded[0] != folded[1])
    one, other = (role(naming.stack_name(*app)) for app in apps)
    assert one.name.lower() != other.name.lower()
    assert not one.prefix.startswith(other.prefix)
    assert not other.prefix.startswith(one.prefix)


@given(_APP)
def test_names_are_those_that_aws_takes(app: tuple[str, str, str]) -> None:
    found = role(naming.stack_name(*app))
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
    assert re.fullmatch(r"[\w+=,.@-]{1,64}", found.name)
    # Nothing in it is a pattern of IAM's, or a variable.
    assert re.fullmatch(r"apps/[a-z0-9.-]+/", found.prefix)
    assert found.prefix.count("/") == 2
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(as_json(roles.policy(found))) <= 10_240


def test_installations_in_one_account_share_no_role() -> None:
    others = (
        {"aws_role_path": "/staging/"},
        {"aws_cluster_arn": f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/staging"},
    )
    assert len({role(**changes).name for changes in ({}, *others)}) == 3
    assert role().name.startswith("acme.shop.1-")


def test_a_role_is_named_in_its_part_of_aws() -> None:
    china = role(aws_cluster_arn=f"arn:aws-cn:eks:cn-north-1:{ACCOUNT}:cluster/main")
    assert roles.arn(china) == f"arn:aws-cn:iam::{ACCOUNT}:role/reviewapp/{china.name}"
    assert roles.policy(china)["Statement"][0]["Resource"].startswith("arn:aws-cn:s3:::acme-apps/")
    assert roles.cluster(china) == roles.Cluster("aws-cn", "cn-north-1", ACCOUNT, "main")
