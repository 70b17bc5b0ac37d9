"""What the build Job declares: above all which of its containers may see which secret."""

import json
import os
import signal
import subprocess
import tomllib
from typing import Any

import pytest

from builder import errors
from builder.unpack import Parameters
from stacks.build import (
    BUILD_CONTAINER,
    PUSH_CONTAINER,
    UNPACK_CONTAINER,
    UNPACK_FINAL_EXIT_CODES,
    job,
)
from stacks.inputs import Build
from stacks.naming import COMMIT_ANNOTATION, COMPONENT_LABEL, build_job_name, labels

COMMIT = "8a1f0e3c5b7d9e2f4a6c8b0d1e3f5a7c9b1d3e5f"
TARBALL_SECRET = "tarball-credentials"
PUSH_SECRET = "push-credentials"
STACK_LABELS = labels("shop", "42", "acme.shop.42")

BUILD = Build(
    job_name=build_job_name("shop-42", COMMIT),
    namespace="builds",
    commit=COMMIT,
    tarball_url="https://s3.example.com/tarballs/shop.tar.gz?X-Amz-Signature=abc",
    image="registry.example.com:5000/acme/shop:42-8a1f0e3c5b7d",
    registry_insecure=False,
    push_secret_name=PUSH_SECRET,
    tarball_secret_name=TARBALL_SECRET,
    s3_endpoint_url=None,
    unpack_image="unpack:1",
    builder_image="buildkit:1",
    push_image="crane:1",
    seccomp_profile=None,
    timeout_seconds=1800,
    retries=3,
)


def manifest(**changes: Any) -> dict[str, Any]:
    return job(BUILD.model_copy(update=changes), STACK_LABELS)


def pod(**changes: Any) -> dict[str, Any]:
    return manifest(**changes)["spec"]["template"]["spec"]


def containers(**changes: Any) -> dict[str, dict[str, Any]]:
    spec = pod(**changes)
    return {container["name"]: container for container in [*spec["initContainers"], *spec["containers"]]}


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container.get("env", [])}


def volume_of(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return next(volume for volume in spec["volumes"] if volume["name"] == name)


def secrets_of(spec: dict[str, Any], container: dict[str, Any]) -> set[str]:
    """Names of the secrets that a container may see, by whichever way there is."""
    by_environment = {source["secretRef"]["name"] for source in container.get("envFrom", []) if "secretRef" in source}
    by_variable = {
        variable["valueFrom"]["secretKeyRef"]["name"]
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    mounted = [volume_of(spec, mount["name"]) for mount in container.get("volumeMounts", [])]
    by_volume = {volume["secret"]["secretName"] for volume in mounted if "secret" in volume}
    assert not any("projected" in volume for volume in mounted)
    return by_environment | by_variable | by_volume


def test_each_secret_is_seen_by_the_one_container_that_needs_it() -> None:
    spec = pod()
    seen = {name: secrets_of(spec, container) for name, container in containers().items()}
    assert seen == {UNPACK_CONTAINER: {TARBALL_SECRET}, BUILD_CONTAINER: set(), PUSH_CONTAINER: {PUSH_SECRET}}


@pytest.mark.parametrize("insecure", [False, True])
@pytest.mark.parametrize("profile", [None, "profiles/buildkit.json"])
def test_the_build_container_knows_nothing_that_is_secret(insecure: bool, profile: str | None) -> None:
    container = containers(registry_insecure=insecure, seccomp_profile=profile, s3_endpoint_url="http://s3")[
        BUILD_CONTAINER
    ]
    text = json.dumps(container)
    for secret in (TARBALL_SECRET, PUSH_SECRET, "Signature", "http://s3", "docker-config"):
        assert secret not in text
    assert "envFrom" not in container
    assert set(environment(container)) == {"BUILDKITD_FLAGS"}


def test_the_url_with_its_signature_is_in_the_unpack_container_only() -> None:
    everything = manifest()
    assert json.dumps(everything).count("X-Amz-Signature") == 1
    assert environment(containers()[UNPACK_CONTAINER])["UNPACK_URL"] == BUILD.tarball_url


def test_no_container_gets_a_token_of_the_cluster() -> None:
    spec = pod()
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert "serviceAccountName" not in spec


def test_without_secrets_none_is_asked_for() -> None:
    spec = pod(push_secret_name=None, tarball_secret_name=None)
    assert "secret" not in json.dumps(spec).lower()


@pytest.mark.parametrize("name", [UNPACK_CONTAINER, PUSH_CONTAINER])
def test_what_runs_nothing_of_the_pull_request_is_confined(name: str) -> None:
    assert containers()[name]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_builder_has_what_rootless_buildkit_needs_and_no_more() -> None:
    spec = pod()
    context = containers()[BUILD_CONTAINER]["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["SETUID", "SETGID"]}
    assert context["seccompProfile"] == {"type": "Unconfined"}
    assert "privileged" not in context
    assert spec["securityContext"] == {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000}
    with_profile = containers(seccomp_profile="profiles/buildkit.json")[BUILD_CONTAINER]["securityContext"]
    assert with_profile["seccompProfile"] == {"type": "Localhost", "localhostProfile": "profiles/buildkit.json"}


def test_nothing_of_the_host_is_mounted_and_every_volume_is_bounded() -> None:
    spec = pod(registry_insecure=True)
    for volume in spec["volumes"]:
        (kind,) = set(volume) - {"name"}
        assert kind in {"emptyDir", "secret", "downwardAPI"}
        if kind == "emptyDir":
            assert volume["emptyDir"]["sizeLimit"]
    mounted = {
        mount["name"]
        for container in containers(registry_insecure=True).values()
        for mount in container["volumeMounts"]
    }
    assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_what_one_container_leaves_the_next_finds_and_cannot_change() -> None:
    by_name = containers()
    unpack, build, push = (by_name[name] for name in (UNPACK_CONTAINER, BUILD_CONTAINER, PUSH_CONTAINER))
    target = environment(unpack)["UNPACK_TARGET"]
    assert f"--local=context={target}" in build["args"]
    assert f"--local=dockerfile={target}" in build["args"]
    (output,) = [argument for argument in build["args"] if argument.startswith("--output=")]
    layout = output.rpartition("dest=")[2]
    assert push["args"][:3] == ["push", layout, BUILD.image]
    assert {"name": "source", "mountPath": "/source", "readOnly": True} in build["volumeMounts"]
    assert {"name": "image", "mountPath": "/image", "readOnly": True} in push["volumeMounts"]
    assert target.startswith("/source/")
    assert layout.startswith("/image/")


def test_no_text_from_outside_becomes_text_of_a_shell() -> None:
    hostile = "$(reboot)`reboot`;reboot"
    changes = {"tarball_url": f"https://host/{hostile}", "image": f"host/{hostile}", "commit": hostile}
    ours, theirs = containers(registry_insecure=True), containers(registry_insecure=True, **changes)
    for name, container in theirs.items():
        assert container.get("command") == ours[name].get("command")
    # crane's image has no shell and an entrypoint of its own.
    assert "command" not in theirs[PUSH_CONTAINER]


def test_the_shell_around_the_builder_ends_when_told_to_and_as_the_builder_ends() -> None:
    *shell, _ = containers()[BUILD_CONTAINER]["command"]
    ended = subprocess.run(
        [*shell, "sh", "-c", 'echo "$@"; exit 7', "sh", "a b", "$c"], capture_output=True, timeout=10
    )
    assert (ended.returncode, ended.stdout) == (7, b"a b $c\n")
    with subprocess.Popen([*shell, "sh", "-c", "echo $$; exec sleep 60"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        builder = int(process.stdout.readline())
        process.terminate()
        assert process.wait(5) == 143
        # In a container it ends with process 1.
        os.kill(builder, signal.SIGKILL)


def test_the_digest_becomes_the_termination_message() -> None:
    push = containers()[PUSH_CONTAINER]
    assert "--image-refs=/dev/termination-log" in push["args"]
    assert "terminationMessagePath" not in push


def test_failures_reach_the_watcher() -> None:
    by_name = containers()
    assert by_name[BUILD_CONTAINER]["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert by_name[PUSH_CONTAINER]["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert "--progress=plain" in by_name[BUILD_CONTAINER]["args"]


def test_a_plain_registry_is_told_to_builder_and_pusher() -> None:
    template = manifest(registry_insecure=True)["spec"]["template"]
    by_name = containers(registry_insecure=True)
    assert "--insecure" in by_name[PUSH_CONTAINER]["args"]
    config = volume_of(template["spec"], "buildkitd-config")["downwardAPI"]["items"][0]
    (mount,) = [mount for mount in by_name[BUILD_CONTAINER]["volumeMounts"] if mount["name"] == "buildkitd-config"]
    assert f"--config={mount['mountPath']}/{config['path']}" in environment(by_name[BUILD_CONTAINER])["BUILDKITD_FLAGS"]
    annotation = config["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
    toml = tomllib.loads(template["metadata"]["annotations"][annotation])
    assert toml == {"registry": {"registry.example.com:5000": {"http": True}}}


def test_a_registry_with_tls_is_spoken_to_with_tls() -> None:
    text = json.dumps(manifest())
    assert "insecure" not in text
    assert "http = true" not in text


@pytest.mark.parametrize(
    "value", ["https://host/$(AWS_SECRET_ACCESS_KEY)", "https://host/a?b=$$c", "https://host/$(UNPACK_TARGET)$"]
)
def test_kubernetes_expands_nothing_in_the_url(value: str) -> None:
    declared = environment(containers(tarball_url=value)[UNPACK_CONTAINER])["UNPACK_URL"]
    assert declared.replace("$$", "") == value.replace("$", "")
    assert declared.replace("$$", "$") == value


def test_name_labels_and_limits() -> None:
    everything = manifest()
    assert (everything["apiVersion"], everything["kind"]) == ("batch/v1", "Job")
    metadata = everything["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("shop-42--8a1f0e3c5b", "builds")
    assert metadata["labels"] == {**STACK_LABELS, COMPONENT_LABEL: "build"}
    assert metadata["annotations"] == {COMMIT_ANNOTATION: COMMIT}
    template = everything["spec"]["template"]
    assert template["metadata"]["labels"] == metadata["labels"]
    assert template["metadata"]["annotations"][COMMIT_ANNOTATION] == COMMIT
    assert everything["spec"]["backoffLimit"] == 3
    assert everything["spec"]["activeDeadlineSeconds"] == 1800
    assert template["spec"]["restartPolicy"] == "Never"
    assert 0 < template["spec"]["terminationGracePeriodSeconds"] <= 2
    for container in containers().values():
        assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
        assert set(container["resources"]["limits"]) >= {"cpu", "memory"}


def test_the_manifest_is_plain_data_and_a_function_of_its_inputs() -> None:
    assert json.loads(json.dumps(manifest())) == manifest()
    given = dict(STACK_LABELS)
    job(BUILD, given)
    assert given == STACK_LABELS


def test_the_unpack_container_gets_all_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(containers(s3_endpoint_url="http://s3:9000")[UNPACK_CONTAINER]).items():
        monkeypatch.setenv(name, value)
    parameters = Parameters()  # pyright: ignore[reportCallIssue] - the fields come from the environment.
    assert parameters.url == BUILD.tarball_url
    assert parameters.s3_endpoint_url == "http://s3:9000"
    # Tarball and tree are there at once, and the volume must take both.
    assert parameters.maximum_compressed_bytes + parameters.maximum_unpacked_bytes <= 3 << 30


def test_only_failures_that_a_retry_cannot_change_end_the_job() -> None:
    (rule,) = manifest()["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["containerName"] == UNPACK_CONTAINER
    assert rule["onExitCodes"]["values"] == sorted(UNPACK_FINAL_EXIT_CODES)
    final = (errors.ParameterError, errors.ArchiveError, errors.UnsafeEntryError, errors.LimitError)
    assert {kind.exit_code for kind in final} == set(UNPACK_FINAL_EXIT_CODES)
