"""What the API server refuses, in its own words of today, and what becomes of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from provisioner.backend import Backend
from provisioner.errors import ApplyRefused, ClusterUnreachable, EngineFailed
from provisioner.stack import Stacks
from stacks.inputs import StackInputs
from tests.admission import denied
from tests.integration.conftest import NAMESPACES, MakeInputs, never
from tests.integration.test_crashes import until
from watcher.cluster import QUOTAS, SECRETS, SERVICES, ApiRefused, Cluster, Object, Resource
from watcher.obstacles import stands

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")


def refused(stacks: Stacks, inputs: StackInputs) -> ApplyRefused:
    with pytest.raises(ApplyRefused) as refusal:
        stacks.up(inputs, 0)
    return refusal.value


def test_invalid(stacks: Stacks, make_inputs: MakeInputs) -> None:
    inputs = make_inputs(build=False)
    wrong = inputs.model_copy(update={"workload": inputs.workload.model_copy(update={"port": 99_999})})
    error = refused(stacks, wrong)
    assert error.reason == "Invalid"
    assert error.target in {"Service/shop-7", "Deployment/shop-7", "NetworkPolicy/shop-7"}
    assert "Invalid value: 99999: must be between 1 and 65535" in error.detail
    assert not error.detail.startswith("resource")
    assert stacks.up(inputs, 0).changed
    stacks.destroy(inputs.stack, 0, never)


def test_invalid_change_of_an_existing_object(stacks: Stacks, make_inputs: MakeInputs) -> None:
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    error = refused(stacks, inputs.model_copy(update={"route": inputs.route.model_copy(update={"host": "not a host"})}))
    assert error.reason == "Invalid"
    assert error.target == "Ingress/shop-7"
    assert error.detail.startswith('Ingress.networking.k8s.io "shop-7" is invalid')
    stacks.destroy(inputs.stack, 0, never)


def test_quota(stacks: Stacks, make_inputs: MakeInputs, cluster: Cluster, namespace: str) -> None:
    cluster.create(QUOTAS, namespace, {"metadata": {"name": "few"}, "spec": {"hard": {"services": "0"}}})

    def counted() -> bool:
        quota = cluster.get(QUOTAS, namespace, "few")
        return bool(quota and quota.get("status", {}).get("used"))

    until(counted, "the quota is counted")
    inputs = make_inputs(build=False)
    error = refused(stacks, inputs)
    assert (error.reason, error.target) == ("QuotaExceeded", "Service/shop-7")
    assert "exceeded quota: few" in error.detail

    assert stands(cluster, inputs, error)
    assert cluster.get(SERVICES, namespace, "shop-7") is None
    cluster.patch(QUOTAS, namespace, "few", {"spec": {"hard": {"services": "1"}}})
    until(lambda: not stands(cluster, inputs, error), "the quota has room")
    assert cluster.get(SERVICES, namespace, "shop-7") is None


def test_admission_policy(stacks: Stacks, make_inputs: MakeInputs, cluster: Cluster, namespace: str) -> None:
    inputs = make_inputs(build=False)
    with denied(cluster, namespace, ["CREATE", "UPDATE"], "no services on Wednesdays"):
        until(lambda: _denies(cluster, namespace), "the policy is in force")
        error = refused(stacks, inputs)
        assert stands(cluster, inputs, error)
    until(lambda: not stands(cluster, inputs, error), "the policy is gone")
    assert (error.reason, error.target) == ("AdmissionDenied", "Service/shop-7")
    assert "no services on Wednesdays" in error.detail


def _denies(cluster: Cluster, namespace: str) -> bool:
    try:
        probe: Object = {"metadata": {"name": "probe"}, "spec": {"ports": [{"port": 80}]}}
        cluster.create(SERVICES, namespace, probe)
    except ApiRefused:
        return True
    cluster.delete(SERVICES, namespace, "probe")
    return False


def test_field_of_another_manager(stacks: Stacks, make_inputs: MakeInputs, cluster: Cluster, namespace: str) -> None:
    cluster.create(SECRETS, namespace, {"metadata": {"name": "shop-7--env"}, "data": {"SECRET": "b3RoZXI="}})
    inputs = make_inputs(build=False)
    error = refused(stacks, inputs)
    assert (error.reason, error.target) == ("FieldConflict", "Secret/shop-7--env")
    assert error.detail.startswith("Apply failed with 1 conflict")

    assert stands(cluster, inputs, error)
    cluster.delete(SECRETS, namespace, "shop-7--env")
    assert not stands(cluster, inputs, error)


def test_namespace_is_terminating(stacks: Stacks, make_inputs: MakeInputs, cluster: Cluster, namespace: str) -> None:
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    keeper: Object = {"metadata": {"name": "keeper", "finalizers": ["example.com/keep"]}}
    cluster.create(CONFIG_MAPS, namespace, keeper)
    cluster.delete(NAMESPACES, None, namespace)
    try:
        error = refused(stacks, make_inputs("8", build=False))
        assert error.reason == "NamespaceTerminating"
        # Complaints about deletes that hang: what is there can still be destroyed.
        stacks.destroy(inputs.stack, 0, never)
    finally:
        cluster.patch(CONFIG_MAPS, namespace, "keeper", {"metadata": {"finalizers": None}})


def test_destroy_after_the_namespace_is_gone(
    stacks: Stacks, make_inputs: MakeInputs, cluster: Cluster, namespace: str
) -> None:
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    cluster.delete(NAMESPACES, None, namespace)
    until(lambda: cluster.get(NAMESPACES, None, namespace) is None, "the namespace is gone")
    assert stacks.destroy(inputs.stack, 0, never).changes["delete"] > 0


def test_forbidden(
    stacks: Stacks, make_inputs: MakeInputs, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kubectl("-n", namespace, "create", "serviceaccount", "nobody")
    token = _kubectl("-n", namespace, "create", "token", "nobody")
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(file))
    error = refused(stacks, make_inputs(build=False))
    assert error.reason == "Forbidden"
    assert f"system:serviceaccount:{namespace}:nobody" in error.detail


def _kubectl(*arguments: str) -> str:
    return subprocess.run(["kubectl", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_unreachable(stacks: Stacks, make_inputs: MakeInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    for entry in config["clusters"]:
        entry["cluster"]["server"] = "https://127.0.0.1:1"
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    with monkeypatch.context() as patch:
        patch.setenv("KUBECONFIG", str(file))
        changed = inputs.model_copy(update={"workload": inputs.workload.model_copy(update={"port": 5001})})
        with pytest.raises(ClusterUnreachable, match=r"127\.0\.0\.1:1: connect: connection refused"):
            stacks.up(changed, 0)
        with pytest.raises(ClusterUnreachable) as failed:
            stacks.destroy(inputs.stack, 0, never)
        assert "DELETE_UNREACHABLE" not in str(failed.value)
    stacks.destroy(inputs.stack, 0, never)


def test_a_program_that_fails(backend: Backend, make_inputs: MakeInputs) -> None:
    def program(inputs: StackInputs) -> None:
        raise ValueError("nothing works today")

    with pytest.raises(EngineFailed, match="nothing works today") as failed:
        Stacks(backend, program).up(make_inputs(), 0)
    assert "Traceback" not in str(failed.value)
