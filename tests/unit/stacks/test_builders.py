"""What the builders' Jobs declare, beside what `test_build.py` says of all: their rights, and what they may reach."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stacks.build import BUILD_CONTAINER, PUSH_CONTAINER, QUEUE_LABEL, UNPACK_CONTAINER, job
from stacks.inputs import Build, BuildOptions, BuildResources, BuildSecret
from tests.unit.stacks.test_build import BUILD, PUSH_SECRET, STACK_LABELS, TARBALL_SECRET, secrets_of

OTHERS = ("buildah", "kaniko")


def manifest(**changes: Any) -> dict[str, Any]:
    return job(Build.model_validate(BUILD.model_dump() | changes), STACK_LABELS)


def pod(**changes: Any) -> dict[str, Any]:
    return manifest(**changes)["spec"]["template"]["spec"]


def container(name: str = BUILD_CONTAINER, **changes: Any) -> dict[str, Any]:
    spec = pod(**changes)
    return next(one for one in [*spec["initContainers"], *spec["containers"]] if one["name"] == name)


@pytest.mark.parametrize("user_namespace", [False, True])
def test_buildah_sees_no_credential_and_pushes_nothing(user_namespace: bool) -> None:
    spec = pod(builder="buildah", user_namespace=user_namespace)
    seen = {one["name"]: secrets_of(spec, one) for one in [*spec["initContainers"], *spec["containers"]]}
    assert seen == {UNPACK_CONTAINER: {TARBALL_SECRET}, BUILD_CONTAINER: set(), PUSH_CONTAINER: {PUSH_SECRET}}
    text = json.dumps(container(builder="buildah", user_namespace=user_namespace))
    assert not any(secret in text for secret in ("Signature", "docker-config", "serviceaccount"))
    assert f"--tag=oci:{container(PUSH_CONTAINER)['args'][1]}" in container(builder="buildah")["args"]


def test_buildah_has_what_it_needs_and_no_more() -> None:
    context = container(builder="buildah", seccomp_profile="profiles/buildah.json")["securityContext"]
    assert context == {
        "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
        "seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/buildah.json"},
        "appArmorProfile": {"type": "Unconfined"},
    }
    assert "hostUsers" not in pod(builder="buildah")


def test_as_root_of_its_own_user_namespace_it_can_gain_nothing() -> None:
    spec = pod(builder="buildah", user_namespace=True)
    assert spec["hostUsers"] is False
    context = container(builder="buildah", user_namespace=True)["securityContext"]
    assert (context["runAsUser"], context["allowPrivilegeEscalation"]) == (0, False)
    added = ["SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "FOWNER", "SETFCAP"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": added}
    assert container(PUSH_CONTAINER, builder="buildah", user_namespace=True)["securityContext"].keys() == {
        *("allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities", "seccompProfile")
    }


@pytest.mark.parametrize("insecure", [False, True])
def test_buildah_reads_names_as_docker_does_and_knows_a_plain_registry(insecure: bool) -> None:
    template = manifest(builder="buildah", registry_insecure=insecure)["spec"]["template"]
    (text,) = [value for key, value in template["metadata"]["annotations"].items() if key.endswith("registries.conf")]
    expected: dict[str, Any] = {"unqualified-search-registries": ["docker.io"]}
    if insecure:
        expected["registry"] = [{"location": "registry.example.com:5000", "insecure": True}]
    assert tomllib.loads(text) == expected


def test_options_reach_buildah_as_they_are(tmp_path: Path) -> None:
    options = BuildOptions(
        dockerfile="d/a.Dockerfile", context="a b", target="t", platform="linux/arm64", arguments={"A": "$(B) c"}
    )
    folder, secrets = "/source/tree/a b", (BuildSecret(name="npm"),)
    given = container(builder="buildah", options=options.model_dump(), secrets=[one.model_dump() for one in secrets])
    *shell, _ = given["command"]
    (tmp_path / "npm").mkdir()
    (tmp_path / "npm" / ".npmrc").touch()
    shell[2] = shell[2].replace("/build-secrets", str(tmp_path))
    program = tmp_path / "buildah"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [*shell, str(program), *given["args"]], capture_output=True, text=True, timeout=10, check=True
    )
    called = done.stdout.splitlines()
    assert called[: called.index("build")] == [
        *("--root=/storage/root", "--runroot=/storage/run", "--storage-driver=overlay"),
        "--registries-conf=/etc/buildah/registries.conf",
    ]
    # Kubernetes makes one `$` of two.
    wanted = {"--file=/source/tree/d/a.Dockerfile", "--target=t", "--platform=linux/arm64", "--build-arg=A=$$(B) c"}
    assert wanted <= set(called)
    assert called[-2:] == [f"--secret=id=npm/.npmrc,src={tmp_path}/npm/.npmrc", folder]


def test_kaniko_is_as_the_older_operator_had_it() -> None:
    spec = pod(builder="kaniko", registry_insecure=True)
    assert [one["name"] for one in spec["initContainers"]] == [UNPACK_CONTAINER]
    (kaniko,) = spec["containers"]
    assert secrets_of(spec, kaniko) == {PUSH_SECRET}
    assert secrets_of(spec, spec["initContainers"][0]) == {TARBALL_SECRET}
    assert f"--destination={BUILD.image}" in kaniko["args"]
    assert "--context=dir:///source/tree" in kaniko["args"]
    # What came out of it is its last word, as with a container that pushes.
    assert "--image-name-with-digest-file=/dev/termination-log" in kaniko["args"]
    assert {"name": "source", "mountPath": "/source", "readOnly": True} in kaniko["volumeMounts"]
    assert spec["restartPolicy"] == "Never"
    assert manifest(builder="kaniko")["spec"]["backoffLimit"] == 3


def test_kanikos_dockerfile_is_found_from_its_context() -> None:
    options = BuildOptions(dockerfile="docker/Dockerfile", context="app").model_dump()
    arguments = container(builder="kaniko", options=options)["args"]
    assert {"--context=dir:///source/tree/app", "--dockerfile=../docker/Dockerfile"} <= set(arguments)


@pytest.mark.parametrize("builder", ["buildkit", *OTHERS])
def test_no_builder_is_privileged_or_sees_the_node(builder: str) -> None:
    spec = pod(builder=builder, registry_insecure=True)
    text = json.dumps(spec)
    assert "privileged" not in text
    assert "hostPath" not in text
    assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    assert spec["automountServiceAccountToken"] is False
    assert container(builder=builder)["securityContext"]["capabilities"]["drop"] == ["ALL"]
    mounted = {mount["name"] for one in [*spec["initContainers"], *spec["containers"]] for mount in one["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}
    assert all(volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"] if "emptyDir" in volume)


@pytest.mark.parametrize("builder", ["buildkit", *OTHERS])
def test_where_the_image_goes_is_nothing_that_a_dockerfile_can_change(builder: str) -> None:
    hostile = BuildOptions(
        dockerfile="--destination=evil/x",
        target="t",
        arguments={"A": "--destination=evil/x"},
    ).model_dump()
    spec = pod(builder=builder, options=hostile)
    pushing = [one for one in spec["containers"] if PUSH_SECRET in secrets_of(spec, one)]
    (arguments,) = [one["args"] for one in pushing]
    targets = [argument for argument in arguments if argument.startswith(("--destination", BUILD.image))]
    assert targets in ([BUILD.image], [f"--destination={BUILD.image}"])


def test_no_network_is_none_for_steps_alone() -> None:
    assert "--opt=force-network-mode=none" in container(network="none")["args"]
    assert "network" not in json.dumps(container()["args"])


@pytest.mark.parametrize("builder", ["buildkit", *OTHERS])
def test_resources_and_priority_are_what_the_platform_says(builder: str) -> None:
    resources = BuildResources(cpu_request="1", cpu_limit="2", memory_request="1Gi", memory_limit="2Gi")
    changes: dict[str, Any] = {"builder": builder, "resources": resources.model_dump(), "priority_class": "low"}
    assert container(BUILD_CONTAINER, **changes)["resources"] == {
        "requests": {"cpu": "1", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }
    assert pod(**changes)["priorityClassName"] == "low"


def test_kueue_gets_a_job_that_waits_and_labels_on_the_job_alone() -> None:
    made = manifest(queue="builds")
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"][QUEUE_LABEL] == "builds"
    assert QUEUE_LABEL not in made["spec"]["template"]["metadata"]["labels"]
    assert "suspend" not in manifest()["spec"]


REGISTRIES = ("registry.example.com:5000", "docker.io/library", "ghcr.io/acme/base")


def file_of(builder: str, name: str, **changes: Any) -> Any:
    """Return what a file of the build container holds, which comes by an annotation of the Pod."""
    found = manifest(builder=builder, **changes)["spec"]["template"]
    (path,) = [
        item["fieldRef"]["fieldPath"]
        for volume in found["spec"]["volumes"]
        for item in volume.get("downwardAPI", {}).get("items", [])
        if item["path"] == name
    ]
    return json.loads(found["metadata"]["annotations"][path.partition("'")[2].rstrip("']")])


def takes(image: str) -> bool:
    """Whether BuildKit would take an image, by the rules that it is given: the last that matches wins."""
    verdict = "ALLOW"
    for rule in file_of("buildkit", "sources.json", image_registries=REGISTRIES)["rules"]:
        pattern = re.escape(rule["selector"]["identifier"]).replace(r"\*", ".*")
        verdict = rule["action"] if re.fullmatch(pattern, f"docker-image://{image}") else verdict
    return verdict == "ALLOW"


@pytest.mark.parametrize(
    ("image", "taken"),
    [
        ("registry.example.com:5000/any/thing:1", True),
        ("docker.io/library/alpine:latest", True),
        ("ghcr.io/acme/base:1", True),
        ("ghcr.io/acme/base@sha256:00", True),
        ("ghcr.io/acme/base/python:1", True),
        ("ghcr.io/acme/baseline:1", False),
        ("registry.example.com:50001/a:1", False),
        ("registry.example.com/a:1", False),
        ("docker.io/evil/alpine:latest", False),
        ("evil.example.com/docker.io/library/alpine:1", False),
    ],
)
def test_buildkit_takes_images_from_the_named_registries_alone(image: str, taken: bool) -> None:
    assert takes(image) == taken
    assert "--source-policy-file=/etc/sources/sources.json" in container(image_registries=REGISTRIES)["args"]


def test_buildah_takes_images_from_the_named_registries_alone() -> None:
    policy = file_of("buildah", "policy.json", image_registries=REGISTRIES)
    assert policy["transports"]["docker"] == {
        "": [{"type": "reject"}],
        **{registry: [{"type": "insecureAcceptAnything"}] for registry in REGISTRIES},
    }
    assert (
        "--signature-policy=/etc/buildah/policy.json"
        in container(builder="buildah", image_registries=REGISTRIES)["args"]
    )


@pytest.mark.parametrize("builder", ["buildkit", "buildah"])
def test_any_registry_will_do_by_default(builder: str) -> None:
    assert "policy" not in json.dumps(manifest(builder=builder)["spec"])
