"""What the program asks AWS's provider for where an app has a role, and that it asks for nothing where it has none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stacks import role as roles
from stacks.inputs import StackInputs
from stacks.review_app import declare
from tests import samples
from tests.program.recording import Registration, run
from tests.program.test_platform_program import ACCOUNT, arguments_class, computed, decoded, wrong
from tests.unit.stacks.test_role import ISSUER, inputs

ROOT = Path(__file__).parents[2]
NAMES = ["Role/shop-42", "RolePolicy/shop-42", "PodIdentityAssociation/shop-42"]


def registrations(wanted: StackInputs) -> dict[str, Registration]:
    return run(lambda: declare(wanted), computed=computed)[0]


def of_aws(found: dict[str, Registration]) -> dict[str, Registration]:
    return {name: one for name, one in found.items() if one.kind.startswith(("aws:", "pulumi:providers:aws"))}


@pytest.mark.parametrize("changes", [{}, {"aws_cluster_issuer": ISSUER}], ids=["pod-identity", "irsa"])
def test_every_argument_is_one_of_the_sdks(changes: dict[str, Any]) -> None:
    found: list[str] = []
    for registration in of_aws(registrations(inputs(**changes))).values():
        given = registration.inputs
        if registration.kind == "pulumi:providers:aws":
            given = {name: decoded(value) for name, value in given.items()}
        found += wrong(given, arguments_class(registration.kind), registration.name)
    assert found == []


def test_each_argument() -> None:
    wanted = inputs()
    role = wanted.role
    assert role
    found = of_aws(registrations(wanted))
    assert found.keys() == {"aws", *NAMES}
    provider = found["aws"].inputs
    assert (provider["region"], json.loads(provider["allowedAccountIds"])) == ("eu-central-1", [ACCOUNT])
    made, policy, association = (found[name].inputs for name in NAMES)
    assert made == {
        "name": role.name,
        "path": "/reviewapp/",
        "permissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/reviewapp-app-boundary",
        "assumeRolePolicy": made["assumeRolePolicy"],
    }
    assert json.loads(made["assumeRolePolicy"]) == roles.trust(wanted, role)
    assert policy == {"name": "own-objects", "role": role.name, "policy": policy["policy"]}
    assert json.loads(policy["policy"]) == roles.policy(role)
    assert association == {
        "clusterName": "main",
        "namespace": "review-shop",
        "serviceAccount": "shop-42",
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/{role.name}",
    }


def test_the_state_has_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "a credential")
    assert "a credential" not in str(of_aws(registrations(inputs())))


def test_pods_come_after_all_that_gives_them_the_role() -> None:
    found = registrations(inputs())
    assert found["Deployment/shop-42"].depends_on >= {"ServiceAccount/shop-42", *NAMES[1:]}
    # A build, or a database, waits for none of it.
    others = [name for name in found if name.startswith(("Job/", "StatefulSet/", "Postgres/"))]
    assert others
    assert not any(found[name].depends_on & set(NAMES) for name in others)


def test_irsa_takes_no_association() -> None:
    found = of_aws(registrations(inputs(aws_cluster_issuer=ISSUER)))
    assert found.keys() == {"aws", *NAMES[:2]}


def test_the_service_account_is_registered_with_all_its_fields() -> None:
    account = registrations(inputs())["ServiceAccount/shop-42"]
    assert account.kind == "kubernetes:core/v1:ServiceAccount"
    assert account.inputs["automountServiceAccountToken"] is False


def test_without_a_role_the_sdk_is_not_even_imported() -> None:
    code = (
        "import sys\n"
        "from stacks.review_app import declare\n"
        "from tests import samples\n"
        "from tests.program.recording import run\n"
        "run(lambda: declare(samples.inputs()))\n"
        "assert not [name for name in sys.modules if name.startswith(('pulumi_aws', 'boto3', 'stacks.aws_role'))]\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=True)
    assert of_aws(registrations(samples.inputs())) == {}


def test_many_threads_can_be_the_first_to_import_it() -> None:
    """As workers are, where the setting was turned off and an update is finished that was cut off before."""
    code = (
        "import threading\n"
        "found = []\n"
        "def one():\n"
        "    from stacks import aws_role\n"
        "    found.append((aws_role._Provider, aws_role._Role, aws_role._RolePolicy, aws_role._Association))\n"
        "threads = [threading.Thread(target=one) for _ in range(8)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "assert len(found) == 8 and len(set(found)) == 1, found\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, check=True)
