from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import (
    ApplyRefused,
    ClusterUnreachable,
    EngineError,
    EngineFailed,
    EngineInterrupted,
    EngineKilled,
    SecretsUnreadable,
    StackLocked,
    StackNotFound,
    StateDamaged,
    StateRefused,
)
from provisioner.failures import Diagnostic, classify, lock_owners, plain

# All as the CLI 3.274.1, the provider 4.25.0 and the API server 1.36.3 wrote them.
LOCKED = """\
error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the lock \
file with `pulumi cancel`.
  file:///state/.pulumi/locks/organization/reviewapp/acme.shop.7/0c9e2f2e.json?no_tmp_dir=true: created by \
root@vm (pid 4242) at 2026-11-25T03:38:13Z
  file:///state/.pulumi/locks/organization/reviewapp/acme.shop.7/1c9e2f2e.json?no_tmp_dir=true: created by \
a b@watcher-5d8 (pid 7) at 2026-11-25T03:38:14+02:00"""
CREATED = (
    'resource "urn:pulumi:acme.shop.7::reviewapp::X::X/x" was not successfully created by the Kubernetes API server: '
)
LINK = "https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/"


def failure(message: str = "", stderr: str = "", code: int = 1, resource: str = "Service/shop-7") -> EngineError:
    diagnostics = [Diagnostic(message, resource), Diagnostic("update failed", "")] if message else []
    return classify("acme.shop.7", "up", code, stderr, diagnostics)


@pytest.mark.parametrize(
    ("message", "reason", "detail"),
    [
        (
            CREATED
            + 'Service "shop-7" is invalid: spec.ports[0].port: Invalid value: 99999: must be between 1 and 65535',
            "Invalid",
            'Service "shop-7" is invalid: spec.ports[0].port: Invalid value: 99999: must be between 1 and 65535',
        ),
        (
            '1 error occurred:\n\t* the Kubernetes API server reported that "shop/shop-7" failed to fully initialize '
            'or become live: Ingress.networking.k8s.io "shop-7" is invalid: spec.rules[0].host: Invalid value: "a b"',
            "Invalid",
            'Ingress.networking.k8s.io "shop-7" is invalid: spec.rules[0].host: Invalid value: "a b"',
        ),
        (
            CREATED + f"Server-Side Apply field conflict detected. See {LINK} for troubleshooting help.\nThe resource "
            'managed by field manager "acme.shop.7" had an apply conflict: Apply failed with 1 conflict: conflict with '
            '"kubectl-create" using v1: .data.A',
            "FieldConflict",
            'Apply failed with 1 conflict: conflict with "kubectl-create" using v1: .data.A',
        ),
        (
            CREATED + "services \"shop-7\" is forbidden: ValidatingAdmissionPolicy 'none' with binding 'none' denied "
            "request: no services here",
            "AdmissionDenied",
            "services \"shop-7\" is forbidden: ValidatingAdmissionPolicy 'none' with binding 'none' denied request: no "
            "services here",
        ),
        (
            CREATED + 'admission webhook "policy.example.com" denied the request: no latest tag',
            "AdmissionDenied",
            'admission webhook "policy.example.com" denied the request: no latest tag',
        ),
        (
            CREATED + 'services "shop-7" is forbidden: exceeded quota: few, requested: services=1, used: services=0, '
            "limited: services=0",
            "QuotaExceeded",
            'services "shop-7" is forbidden: exceeded quota: few, requested: services=1, used: services=0, limited: '
            "services=0",
        ),
        (
            CREATED
            + 'services "shop-7" is forbidden: unable to create new content in namespace shop because it is being '
            "terminated",
            "NamespaceTerminating",
            'services "shop-7" is forbidden: unable to create new content in namespace shop because it is being '
            "terminated",
        ),
        (CREATED + 'namespaces "shop" not found', "NamespaceNotFound", 'namespaces "shop" not found'),
        (
            CREATED + 'services is forbidden: User "system:serviceaccount:a:b" cannot patch resource "services" in API '
            'group "" in the namespace "shop"',
            "Forbidden",
            'services is forbidden: User "system:serviceaccount:a:b" cannot patch resource "services" in API group "" '
            'in the namespace "shop"',
        ),
    ],
)
def test_refusals(message: str, reason: str, detail: str) -> None:
    error = failure(message)
    assert isinstance(error, ApplyRefused)
    assert (error.reason, error.target, error.detail) == (reason, "Service/shop-7", detail)
    assert detail in str(error)
    assert "\n" not in str(error)


# As AWS's SDK and its provider for Pulumi write them; none was had from AWS here.
IAM = (
    "1 error occurred:\n\t* creating IAM Role (acme.shop.7-0123456789abcdef): operation error IAM: CreateRole, https "
    "response error StatusCode: {}, RequestID: 6ba7b810, "
)
EKS = (
    "creating EKS Pod Identity Association: operation error EKS: CreatePodIdentityAssociation, https response error "
    "StatusCode: {}, RequestID: 6ba7b810, "
)


@pytest.mark.parametrize(
    ("message", "reason", "remedy"),
    [
        (
            IAM.format(403)
            + "api error AccessDenied: User: arn:aws:sts::123456789012:assumed-role/reviewapp-watcher/w is "
            "not authorized to perform: iam:CreateRole on resource: arn:aws:iam::123456789012:role/reviewapp/a",
            "AwsAccessDenied",
            "give the watcher's role in AWS this permission",
        ),
        (
            EKS.format(403) + "api error AccessDeniedException: User: w is not authorized to perform: iam:PassRole",
            "AwsAccessDenied",
            "give the watcher's role in AWS this permission",
        ),
        (IAM.format(400) + "api error Throttling: Rate exceeded", "AwsThrottled", "it is tried again by itself"),
        (EKS.format(429) + "TooManyRequestsException: Rate exceeded", "AwsThrottled", "it is tried again by itself"),
        (
            IAM.format(409) + "LimitExceeded: Cannot exceed quota for RolesPerAccount: 1000",
            "AwsQuotaExceeded",
            "raise the account's quota",
        ),
        (
            IAM.format(409) + "EntityAlreadyExists: Role with name acme.shop.7-0123456789abcdef already exists.",
            "RoleExists",
            "see whose it is",
        ),
        (
            EKS.format(409) + "ResourceInUseException: Association already exists: a-dt1bedfjc72dlwp5n",
            "RoleExists",
            "see whose it is",
        ),
        (
            "pulumi:providers:aws resource 'aws' has a problem: No valid credential sources found.\nPlease see",
            "AwsCredentials",
            "give the watcher's service account its role",
        ),
        (IAM.format(403) + "api error ExpiredToken: The token is expired", "AwsCredentials", "give the watcher's"),
        ("Unable to locate credentials", "AwsCredentials", "give the watcher's service account its role"),
    ],
)
def test_refusals_of_aws(message: str, reason: str, remedy: str) -> None:
    error = failure(message, resource="Role/shop-7")
    assert isinstance(error, ApplyRefused)
    assert (error.reason, error.target) == (reason, "Role/shop-7")
    assert remedy in str(error)
    assert "\n" not in str(error)


def test_the_lock_owners() -> None:
    error = failure(stderr=LOCKED)
    assert isinstance(error, StackLocked)
    assert [(owner.user, owner.host, owner.pid) for owner in error.owners] == [
        ("root", "vm", 4242),
        ("a b", "watcher-5d8", 7),
    ]
    assert error.owners[0].time == datetime(2026, 11, 25, 3, 38, 13, tzinfo=UTC)
    assert error.owners[1].time == datetime(2026, 11, 25, 1, 38, 14, tzinfo=UTC)
    assert "process 4242 of root@vm" in str(error)
    assert "pulumi cancel --yes --stack acme.shop.7" in str(error)


def test_a_lock_without_a_readable_owner_has_none() -> None:
    error = failure(stderr="error: the stack is currently locked by 1 lock(s).")
    assert isinstance(error, StackLocked)
    assert error.owners == ()


def test_unreachable_says_where() -> None:
    error = failure(
        "configured Kubernetes cluster is unreachable: unable to load schema information from the API server: "
        'Get "https://127.0.0.1:1/openapi/v2?timeout=32s": dial tcp 127.0.0.1:1: connect: connection refused'
    )
    assert isinstance(error, ClusterUnreachable)
    assert "https://127.0.0.1:1/openapi" in str(error)


def test_unreachable_on_destroy_does_not_advise_to_forget_the_objects() -> None:
    error = failure(
        "configured Kubernetes cluster is unreachable. If the cluster was deleted, you can remove this resource from "
        "Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "
        '"true"'
    )
    assert isinstance(error, ClusterUnreachable)
    assert "DELETE_UNREACHABLE" not in str(error)


def test_a_connection_lost_half_way() -> None:
    error = failure(CREATED + 'Patch "https://10.0.0.1/api/v1": dial tcp 10.0.0.1:443: connect: connection refused')
    assert isinstance(error, ClusterUnreachable)


@pytest.mark.parametrize(
    ("stderr", "code", "kind"),
    [
        ("error: no stack named 'acme.shop.7' found", 6, StackNotFound),
        ("error: getting stack configuration: get stack secrets manager: incorrect passphrase", 1, SecretsUnreadable),
        ("", -9, EngineKilled),
        ("error: something new", 1, EngineFailed),
        ("", 1, EngineFailed),
    ],
)
def test_without_a_diagnostic(stderr: str, code: int, kind: type[EngineError]) -> None:
    assert type(failure(stderr=stderr, code=code)) is kind


def test_cancelled_by_somebody() -> None:
    assert isinstance(failure("update canceled", resource=""), EngineInterrupted)


def test_a_program_error_comes_without_its_traceback_and_its_echoes() -> None:
    error = classify(
        "acme.shop.7",
        "up",
        1,
        "",
        [
            Diagnostic("python inline source runtime error: 'nope'\nTraceback (most recent call last):\n  File …", ""),
            Diagnostic("an unhandled error occurred: python inline source runtime error: 'nope'\nTraceback …", ""),
        ],
    )
    assert str(error) == (
        "`pulumi up` failed with exit code 1 (python inline source runtime error: 'nope'): see the watcher's log"
    )


@given(st.text(), st.text(), st.integers(-64, 255).filter(bool))
def test_any_text_gives_a_short_message_on_one_line(message: str, stderr: str, code: int) -> None:
    text = str(failure(message * 50, stderr * 50, code))
    assert len(text) < 3_000
    assert "\n" not in text
    assert "\x1b[" not in text


def test_owners_of_nothing() -> None:
    assert lock_owners("error: no such host") == ()


def test_plain_text_has_no_colours() -> None:
    assert plain("<{%fg 1%}>error: <{%reset%}>\x1b[31mno\x1b[0m\n") == "error: no"


@pytest.mark.parametrize(
    "stderr",
    [
        "error: failed to load checkpoint: place 1: unexpected end of JSON input",
        "error: getting stack configuration: get stack secrets manager: failed to load checkpoint: place 1: invalid "
        "character '}' looking for beginning of value",
        "error: place 1: json: cannot unmarshal array into Go value of type apitype.VersionedCheckpoint",
    ],
)
def test_a_state_that_is_no_checkpoint_is_damaged(stderr: str) -> None:
    assert isinstance(failure(stderr=stderr), StateDamaged)


@pytest.mark.parametrize(
    ("stderr", "detail"),
    [
        (
            "error: The Pulumi CLI encountered a snapshot integrity error. This is a bug!\nError:             getting "
            "stack configuration: get stack secrets manager: snapshot integrity failure; refusing to use it: magic "
            "cookie mismatch; possible tampering/corruption detected\n",
            "refusing to use it: magic cookie mismatch; possible tampering/corruption detected",
        ),
        (
            "error: failed to load checkpoint: unsupported checkpoint version 99",
            "unsupported checkpoint version 99",
        ),
    ],
)
def test_a_state_that_the_engine_refuses_is_nobodys_to_make_anew(stderr: str, detail: str) -> None:
    error = failure(stderr=stderr)
    assert isinstance(error, StateRefused)
    assert detail in str(error)


def test_a_backend_that_does_not_answer_has_damaged_nothing() -> None:
    stderr = 'error: failed to load checkpoint: blob (key "a.json") (code=Unknown): 503 Service Unavailable'
    assert not isinstance(failure(stderr=stderr), StateDamaged | StateRefused)
