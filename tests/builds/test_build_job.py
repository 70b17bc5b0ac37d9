"""The build Job on a real cluster: what it builds runs, what fails says why, and no secret reaches a Dockerfile."""

import base64
import json
import os
import socket
import subprocess
import time
from collections.abc import Generator

import boto3
import pytest

from stacks.build import BUILD_CONTAINER, PUSH_CONTAINER, UNPACK_CONTAINER, UNPACK_FINAL_EXIT_CODES
from stacks.crane import PUSH_CACHE_CONTAINER
from tests.builds.workshop import SIGNATURE, Workshop, is_building, make_secret, wait_for
from tests.builds.workshop import workshop as open_workshop
from tests.moto_server import moto_server
from watcher.cluster import JOBS, PODS, Object, section

pytestmark = pytest.mark.cluster

NAMESPACE = "reviewapp-build-test"
# Looked for wherever a Dockerfile can look.
SECRET_KEY = "secret-key-of-the-tarballs"
PASSWORD = "password-of-the-registry"
AUTH = base64.b64encode(f"user:{PASSWORD}".encode()).decode()

DOCKERFILES = {
    "good": """FROM {base}
COPY www /www
RUN echo "built by $(id -un)" > /built
CMD ["cat", "/built", "/www/index.html"]
""",
    "failing": "FROM {base}\nRUN echo the reason is here >&2 && exit 7\n",
    "slow": "FROM {base}\nRUN echo started && sleep 600\n",
}


@pytest.fixture(scope="module")
def workshop() -> Generator[Workshop]:
    versions = {kind: {"Dockerfile": text} for kind, text in DOCKERFILES.items()}
    with open_workshop(NAMESPACE, versions) as opened:
        yield opened


@pytest.mark.parametrize("confined", [True, False])
def test_what_is_built_and_pushed_runs(workshop: Workshop, confined: bool) -> None:
    # Nobody takes its layers, which takes nothing from the image.
    build = workshop.build("good", job_name=f"build-good-{confined}".lower(), cache_to="127.0.0.1:1/layers:1")
    if not confined:
        build = build.model_copy(update={"seccomp_profile": None})
    elif not build.seccomp_profile:
        pytest.skip("REVIEWAPP_BUILDER_SECCOMP_PROFILE names no profile of this cluster")
    assert workshop.outcome(build)["type"] == "Complete"
    reference = workshop.ending(build, PUSH_CONTAINER)["message"]
    assert reference.startswith(f"{build.image.rpartition(':')[0]}@sha256:")
    assert "the layers are not kept" in workshop.log(build, PUSH_CACHE_CONTAINER)

    name = f"run-{build.job_name}"
    container = {"name": "app", "image": reference}
    workshop.cluster.create(
        PODS, NAMESPACE, {"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    )
    pod = wait_for(lambda: ended_pod(workshop, name))
    assert section(pod, "status")["phase"] == "Succeeded"
    output = workshop.cluster.text(PODS.path(NAMESPACE, name, "log"))
    assert output == f"built by root\ngood, commit {build.commit}\n"


def ended_pod(workshop: Workshop, name: str) -> Object | None:
    pod = workshop.cluster.get(PODS, NAMESPACE, name) or {}
    return pod if section(pod, "status").get("phase") in ("Succeeded", "Failed") else None


@pytest.fixture
def secrets(workshop: Workshop) -> dict[str, str]:
    """Both secrets of a build, as changes of a `Build`."""
    registry = os.environ["REVIEWAPP_REGISTRY"].partition("/")[0]
    config = json.dumps({"auths": {registry: {"auth": AUTH}}})
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    return {
        "push_secret_name": make_secret(
            workshop, "push", "kubernetes.io/dockerconfigjson", {".dockerconfigjson": config}
        ),
        "tarball_secret_name": make_secret(workshop, "tarball", "Opaque", keys),
    }


def assert_no_secret(text: str) -> None:
    for secret in (SECRET_KEY, PASSWORD, AUTH, SIGNATURE, "AWS_", "serviceaccount", "docker-config"):
        assert secret not in text


def test_the_container_around_a_dockerfile_holds_no_secret(workshop: Workshop, secrets: dict[str, str]) -> None:
    build = workshop.build("slow", **secrets)
    workshop.start(build)
    wait_for(lambda: is_building(workshop, build))
    (pod,) = workshop.pods(build)
    command = ["kubectl", "exec", "--namespace", NAMESPACE, pod["metadata"]["name"], "--container", BUILD_CONTAINER]
    script = "env; cat /proc/mounts; grep -rs . /etc /docker-config /run/secrets /var/run/secrets /source /image"
    looked = subprocess.run([*command, "--", "sh", "-c", script], capture_output=True, timeout=60, check=False)
    text = looked.stdout.decode(errors="replace")
    assert "BUILDKITD_FLAGS" in text
    assert "/source/tree/Dockerfile" in text
    assert_no_secret(text)


def test_the_push_uses_the_credentials_it_is_given(workshop: Workshop) -> None:
    # Told apart from an anonymous push, which this registry takes, by credentials that cannot be decoded.
    registry = os.environ["REVIEWAPP_REGISTRY"].partition("/")[0]
    config = json.dumps({"auths": {registry: {"auth": "!"}}})
    name = make_secret(workshop, "broken", "kubernetes.io/dockerconfigjson", {".dockerconfigjson": config})
    build = workshop.build("good", push_secret_name=name)
    assert workshop.outcome(build)["type"] == "Failed"
    ending = workshop.ending(build, PUSH_CONTAINER)
    assert ending["exitCode"] == 1
    assert "base64" in ending["message"]


@pytest.fixture
def s3_endpoint() -> Generator[str]:
    """An S3 server in this process, at the address by which this machine is seen from the registry's network."""
    host, _, port = os.environ["REVIEWAPP_REGISTRY"].partition("/")[0].partition(":")
    with socket.create_connection((host, int(port or 443)), timeout=5) as connection:
        address = connection.getsockname()[0]
    with moto_server(address) as url:
        yield url


def test_a_tarball_from_s3(
    workshop: Workshop, secrets: dict[str, str], s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")  # pyright: ignore[reportUnknownMemberType]
    client.create_bucket(Bucket="tarballs")
    client.put_object(Bucket="tarballs", Key="good.tar.gz", Body=workshop.sample.tarball(workshop.commits["good"]))
    build = workshop.build("good", tarball_url="s3://tarballs/good.tar.gz", s3_endpoint_url=s3_endpoint, **secrets)
    assert workshop.outcome(build)["type"] == "Complete"
    anonymous = build.model_copy(update={"job_name": "build-anonymous", "tarball_secret_name": None})
    assert workshop.outcome(anonymous)["type"] == "Failed"
    assert "no AWS credentials: put AWS_ACCESS_KEY_ID" in workshop.ending(anonymous, UNPACK_CONTAINER)["message"]


def test_a_failing_dockerfile_says_why(workshop: Workshop) -> None:
    build = workshop.build("failing")
    assert workshop.outcome(build)["type"] == "Failed"
    ending = workshop.ending(build, BUILD_CONTAINER)
    assert ending["exitCode"] == 1
    assert "the reason is here" in ending["message"]
    assert "exit code: 7" in ending["message"]
    assert "the reason is here" in workshop.log(build, BUILD_CONTAINER)


def test_a_missing_tarball_says_which(workshop: Workshop) -> None:
    url = f"{workshop.sample.url('missing')}?{SIGNATURE}"
    build = workshop.build("good", tarball_url=url)
    assert workshop.outcome(build)["type"] == "Failed"
    ending = workshop.ending(build, UNPACK_CONTAINER)
    assert ending["exitCode"] == 3
    assert ending["message"].startswith(f"{url.partition('?')[0]} answered 404 Not Found: check that the tarball")


def test_what_a_retry_cannot_change_is_not_tried_again(workshop: Workshop) -> None:
    build = workshop.build("good", tarball_url="ftp://host/file", retries=3)
    began = time.monotonic()
    condition = workshop.outcome(build)
    assert (condition["type"], condition["reason"]) == ("Failed", "PodFailurePolicy")
    # The first of the retries would come after ten seconds.
    assert time.monotonic() - began < 10
    ending = workshop.ending(build, UNPACK_CONTAINER)
    assert ending["exitCode"] in UNPACK_FINAL_EXIT_CODES
    assert ending["message"].startswith("UNPACK_URL: scheme 'ftp' is not known")


def test_a_superseded_build_stops_at_once(workshop: Workshop) -> None:
    build = workshop.build("slow")
    workshop.start(build)
    wait_for(lambda: is_building(workshop, build))
    began = time.monotonic()
    workshop.cluster.delete(JOBS, NAMESPACE, build.job_name)
    wait_for(lambda: not is_building(workshop, build))
    assert time.monotonic() - began < 2
    wait_for(lambda: not workshop.pods(build))
