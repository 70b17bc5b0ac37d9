"""The build Job on a real cluster: what it builds runs, what fails says why, and no secret reaches a Dockerfile."""

import base64
import dataclasses
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dev.sample import Sample
from dev.target import BASE_IMAGE
from stacks.build import BUILD_CONTAINER, PUSH_CONTAINER, UNPACK_CONTAINER, UNPACK_FINAL_EXIT_CODES, job
from stacks.inputs import Build
from stacks.naming import labels
from watcher.cluster import JOBS, PODS, SECRETS, Cluster, Object, Resource, entries, section

pytestmark = pytest.mark.cluster

Seen = TypeVar("Seen")

NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)
NAMESPACE = "reviewapp-build-test"
DEADLINE_SECONDS = 120.0
# Looked for wherever a Dockerfile can look.
SECRET_KEY = "secret-key-of-the-tarballs"
PASSWORD = "password-of-the-registry"
AUTH = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
SIGNATURE = "signature-of-the-url"

DOCKERFILES = {
    "good": """FROM {base}
COPY www /www
RUN echo "built by $(id -un)" > /built
CMD ["cat", "/built", "/www/index.html"]
""",
    "failing": "FROM {base}\nRUN echo the reason is here >&2 && exit 7\n",
    "slow": "FROM {base}\nRUN echo started && sleep 600\n",
    "curious": """FROM {base}
COPY look.sh /
RUN sh /look.sh 2>&1
""",
}


SCRIPTS = {
    "curious": {
        "look.sh": """echo looking everywhere
env
cat /proc/*/environ /proc/*/cmdline /proc/mounts
for root in / /proc/[0-9]*/root/; do
    for folder in docker-config run/secrets var/run/secrets source image; do
        find $root$folder -type f -exec cat {} +
    done
done 2>/dev/null
echo looked everywhere
"""
    }
}


@dataclasses.dataclass(frozen=True)
class Workshop:
    """A namespace for builds, with the tarballs of a few commits served in it."""

    cluster: Cluster
    sample: Sample
    commits: dict[str, str]

    def build(self, kind: str, **changes: Any) -> Build:
        commit = self.commits[kind]
        build = Build(
            job_name=f"build-{kind}",
            namespace=NAMESPACE,
            commit=commit,
            tarball_url=f"{self.sample.url(commit)}?{SIGNATURE}",
            image=f"{os.environ['REVIEWAPP_REGISTRY']}/build-test/{kind}:{commit[:12]}",
            registry_insecure=os.environ.get("REVIEWAPP_REGISTRY_INSECURE") == "true",
            push_secret_name=None,
            tarball_secret_name=None,
            s3_endpoint_url=None,
            unpack_image=os.environ["REVIEWAPP_UNPACK_IMAGE"],
            builder_image=os.environ["REVIEWAPP_BUILDER_IMAGE"],
            push_image=os.environ["REVIEWAPP_PUSH_IMAGE"],
            seccomp_profile=os.environ.get("REVIEWAPP_BUILDER_SECCOMP_PROFILE"),
            timeout_seconds=int(DEADLINE_SECONDS),
            retries=0,
        )
        return build.model_copy(update=changes)

    def start(self, build: Build) -> None:
        """Create the build's Job, in place of one that an earlier test made."""
        self.cluster.delete(JOBS, NAMESPACE, build.job_name)
        wait_for(lambda: not self.pods(build))
        self.cluster.create(JOBS, NAMESPACE, job(build, labels("build-test", "1", "acme.build-test.1")))

    def outcome(self, build: Build) -> Object:
        """Run the build, and return the condition in which its Job ended."""
        self.start(build)
        return wait_for(lambda: self._final_condition(build))

    def _final_condition(self, build: Build) -> Object | None:
        found = self.cluster.get(JOBS, NAMESPACE, build.job_name) or {}
        ended = [one for one in entries(found, "status", "conditions") if one["type"] in ("Complete", "Failed")]
        return ended[0] if ended and ended[0]["status"] == "True" else None

    def pods(self, build: Build) -> list[Object]:
        return self.cluster.list(PODS, NAMESPACE, label_selector=f"job-name={build.job_name}")[0]

    def ending(self, build: Build, container: str) -> Object:
        """How the container of the build's only Pod ended: exitCode, reason, message."""
        (pod,) = self.pods(build)
        statuses = [*entries(pod, "status", "initContainerStatuses"), *entries(pod, "status", "containerStatuses")]
        (status,) = [status for status in statuses if status["name"] == container]
        return section(status, "state", "terminated")

    def log(self, build: Build, container: str) -> str:
        (pod,) = self.pods(build)
        return self.cluster.text(f"{PODS.path(NAMESPACE, pod['metadata']['name'], 'log')}?container={container}")


def wait_for(look: Callable[[], Seen | None]) -> Seen:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not seen within {DEADLINE_SECONDS:.0f} s"
        time.sleep(0.1)
    return seen


@pytest.fixture(scope="module")
def workshop() -> Generator[Workshop]:
    cluster = Cluster.from_environment()
    base = os.environ[BASE_IMAGE]
    if cluster.get(NAMESPACES, None, NAMESPACE) is None:
        cluster.create(NAMESPACES, None, {"metadata": {"name": NAMESPACE}})
    sample = Sample(cluster, NAMESPACE, base)
    commits = {
        kind: sample.commit(kind, {"Dockerfile": dockerfile.replace("{base}", base)} | SCRIPTS.get(kind, {}))
        for kind, dockerfile in DOCKERFILES.items()
    }
    sample.serve()
    yield Workshop(cluster, sample, commits)
    cluster.delete(NAMESPACES, None, NAMESPACE)
    wait_for(lambda: cluster.get(NAMESPACES, None, NAMESPACE) is None)


def make_secret(workshop: Workshop, name: str, kind: str, data: dict[str, str]) -> str:
    workshop.cluster.delete(SECRETS, NAMESPACE, name)
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    workshop.cluster.create(SECRETS, NAMESPACE, {"metadata": {"name": name}, "type": kind, "data": encoded})
    return name


@pytest.mark.parametrize("confined", [True, False])
def test_what_is_built_and_pushed_runs(workshop: Workshop, confined: bool) -> None:
    build = workshop.build("good", job_name=f"build-good-{confined}".lower())
    if not confined:
        build = build.model_copy(update={"seccomp_profile": None})
    elif not build.seccomp_profile:
        pytest.skip("REVIEWAPP_BUILDER_SECCOMP_PROFILE names no profile of this cluster")
    assert workshop.outcome(build)["type"] == "Complete"
    reference = workshop.ending(build, PUSH_CONTAINER)["message"]
    assert reference.startswith(f"{build.image.rpartition(':')[0]}@sha256:")

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


def test_a_dockerfile_finds_no_secret(workshop: Workshop, secrets: dict[str, str]) -> None:
    build = workshop.build("curious", **secrets)
    assert workshop.outcome(build)["type"] == "Complete"
    log = workshop.log(build, BUILD_CONTAINER)
    _, _, found = log.partition("looking everywhere\n")
    # It did look, and saw what is around it.
    assert "looked everywhere" in found
    assert "buildkitd" in found
    assert_no_secret(found)
    assert SIGNATURE not in workshop.log(build, UNPACK_CONTAINER)


def test_nor_would_it_find_one_in_the_container_around_it(workshop: Workshop, secrets: dict[str, str]) -> None:
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
    server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


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


def is_building(workshop: Workshop, build: Build) -> bool:
    for pod in workshop.pods(build):
        for status in entries(pod, "status", "initContainerStatuses"):
            if status["name"] == BUILD_CONTAINER and "running" in section(status, "state"):
                return "started" in workshop.log(build, BUILD_CONTAINER)
    return False
