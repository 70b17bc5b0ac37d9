"""What keeps an app in: its Pod's security context and resources, and whom it may talk to."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from stacks.inputs import StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests
from tests import samples


def one(kind: str, inputs: StackInputs) -> Manifest:
    (only,) = [manifest for manifest in manifests(inputs) if manifest["kind"] == kind]
    return only


def app_policy(inputs: StackInputs) -> Manifest:
    """Return the policy of the app's Pods; that of its database comes after it."""
    return one("NetworkPolicy", inputs.model_copy(update={"database": None}))["spec"]


def pod(**changes: Any) -> dict[str, Any]:
    return one("Deployment", samples.inputs(**changes))["spec"]["template"]["spec"]


def containers(**changes: Any) -> list[dict[str, Any]]:
    found = pod(**changes)
    return [*found["containers"], *found["initContainers"]]


def with_confinement(**changes: Any) -> StackInputs:
    inputs = samples.inputs()
    assert inputs.workload.confinement
    changed = inputs.workload.confinement.model_copy(update=changes)
    return inputs.model_copy(update={"workload": inputs.workload.model_copy(update={"confinement": changed})})


class TestPod:
    def test_it_holds_the_restricted_standard(self) -> None:
        # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
        found = pod()
        assert found["automountServiceAccountToken"] is False
        assert found["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": True}
        assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & found.keys()
        for container in containers():
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }

    def test_one_that_may_run_as_root_holds_the_baseline(self) -> None:
        baseline = {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"}
        baseline |= {"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
        found = one("Deployment", with_confinement(root=True))["spec"]["template"]["spec"]
        assert found["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
        context = found["containers"][0]["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        assert set(context["capabilities"]["add"]) <= baseline

    def test_every_container_has_requests_and_limits(self) -> None:
        for container in containers():
            assert container["resources"] == {
                "requests": {"cpu": "25m", "memory": "128Mi"},
                "limits": {"cpu": "2", "memory": "1Gi"},
            }

    def test_a_file_system_that_cannot_be_written_but_for_tmp(self) -> None:
        changes: dict[str, Any] = {"config": {"readOnlyRootFilesystem": True}}
        for container in containers(**changes):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
        assert pod(**changes)["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]

    def test_what_was_recorded_before_there_was_any_stays_as_it_was(self) -> None:
        inputs = samples.inputs()
        document = inputs.model_dump(mode="json")
        del document["workload"]["confinement"], document["network"]
        old = StackInputs.model_validate(document)
        found = one("Deployment", old)["spec"]["template"]["spec"]["containers"][0]
        assert found["securityContext"] == {"allowPrivilegeEscalation": False}
        assert "resources" not in found
        assert "NetworkPolicy" not in {manifest["kind"] for manifest in manifests(old)}


class TestNetwork:
    @pytest.fixture
    def spec(self) -> Manifest:
        return app_policy(samples.inputs())

    def test_it_holds_for_the_apps_pods_in_both_directions(self, spec: Manifest) -> None:
        labels = one("Deployment", samples.inputs())["spec"]["template"]["metadata"]["labels"]
        assert spec["podSelector"]["matchLabels"].items() <= labels.items()
        assert spec["policyTypes"] == ["Ingress", "Egress"]

    @pytest.mark.parametrize(
        "address", ["10.96.0.1", "172.17.0.2", "192.168.1.1", "100.64.0.1", "169.254.169.254", "fd00::1", "fe80::1"]
    )
    def test_private_addresses_are_not_reached(self, spec: Manifest, address: str) -> None:
        assert not reaches(spec, address)

    @pytest.mark.parametrize("address", ["1.1.1.1", "172.32.0.1", "2606:4700::1111"])
    def test_the_rest_of_the_world_is(self, spec: Manifest, address: str) -> None:
        assert reaches(spec, address)

    def test_of_the_cluster_dns_and_the_own_database_are_reached(self, spec: Manifest) -> None:
        dns, database, _ = spec["egress"]
        assert {port["port"] for port in dns["ports"]} == {53}
        (peer,) = database["to"]
        assert peer == {
            "podSelector": {
                "matchLabels": {
                    "reviewtron.k8s.revelry.co/stack": "acme.shop.42",
                    "reviewtron.k8s.revelry.co/component": "database",
                }
            }
        }

    def test_by_default_no_review_app_reaches_another(self, spec: Manifest) -> None:
        (rule,) = spec["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": 5000}]
        (peer,) = rule["from"]
        (expression,) = peer["podSelector"]["matchExpressions"]
        assert expression == {"key": "reviewtron.k8s.revelry.co/stack", "operator": "DoesNotExist"}

    def test_with_the_routes_namespaces_named_nobody_else_reaches_it(self) -> None:
        inputs = samples.inputs()
        assert inputs.network
        named = inputs.network.model_copy(update={"route_namespaces": ("traefik",)})
        (rule,) = app_policy(inputs.model_copy(update={"network": named}))["ingress"]
        assert rule["from"] == [
            {
                "namespaceSelector": {
                    "matchExpressions": [
                        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["traefik"]}
                    ]
                }
            }
        ]


def reaches(spec: Manifest, address: str) -> bool:
    """Whether a policy lets traffic to any port of an address out."""
    found = ipaddress.ip_address(address)
    blocks = [
        peer["ipBlock"] for rule in spec["egress"] if "ports" not in rule for peer in rule["to"] if "ipBlock" in peer
    ]
    return any(
        found in ipaddress.ip_network(block["cidr"])
        and not any(found in ipaddress.ip_network(denied) for denied in block.get("except", []))
        for block in blocks
        if ipaddress.ip_network(block["cidr"]).version == found.version
    )


def test_the_ingress_has_the_installations_annotations() -> None:
    inputs = samples.inputs()
    route = inputs.route.model_copy(update={"annotations": {"haproxy.org/auth-type": "basic-auth"}})
    found = one("Ingress", inputs.model_copy(update={"route": route}))["metadata"]["annotations"]
    assert found["haproxy.org/auth-type"] == "basic-auth"
    assert found["pulumi.com/patchFieldManager"] == "acme.shop.42"
