"""A registry that asks for a password: pushes, layers of earlier builds, and the question of what is there."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Generator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from dev.cluster.layout import CONFIGURATION, KUBECONFIG, NODE_ADDRESS
from stacks.workload import IMAGE_ANNOTATION
from tests.e2e.conftest import Repository
from tests.e2e.pull_request import BUILDS, PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import SECRETS, Cluster, Object

pytestmark = pytest.mark.cluster

_REGISTRY = f"{NODE_ADDRESS}:5001"
_USER, _PASSWORD = "builder", "a password of the tests"
# bcrypt of that password, as `htpasswd -B` would write it.
_HASH = "$2b$04$.GFu.XGc0H.fINcHQYgzfeyRfIrDRwmFJy7yRPFTYOwiWKxIgzfNS"
_PUSH, _PULL = "e2e-registry", "registry"


@pytest.fixture
def registry(tmp_path: Path) -> Generator[str]:
    """A second registry beside the cluster's own; plain HTTP, and nothing without the password."""
    if os.environ["KUBECONFIG"] != str(KUBECONFIG):
        pytest.skip("the registry of this test runs on the local cluster's node: unset KUBECONFIG")
    # As the node's container runtime reads it, at each pull: https://github.com/containerd/containerd/blob/main/docs/hosts.md
    hosts = CONFIGURATION / "registries" / _REGISTRY / "hosts.toml"
    hosts.parent.mkdir(parents=True, exist_ok=True)
    hosts.write_text(f'[host."http://{_REGISTRY}"]\n  capabilities = ["pull", "resolve"]\n')
    passwords = tmp_path / "htpasswd"
    passwords.write_text(f"{_USER}:{_HASH}\n")
    configuration = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "content")}},
        "http": {"addr": _REGISTRY},
        "auth": {"htpasswd": {"realm": "e2e", "path": str(passwords)}},
    }
    file = tmp_path / "registry.json"
    file.write_text(json.dumps(configuration))
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(file)], stdout=log, stderr=log)
    try:
        until(lambda: _status() == 401, "the registry answers, and asks for a password", 20)
        yield _REGISTRY
    finally:
        process.terminate()
        process.wait(20)
        hosts.unlink()
        hosts.parent.rmdir()


def _status(path: str = "") -> int:
    try:
        return httpx.get(f"http://{_REGISTRY}/v2/{path}", timeout=2).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture
def watcher_with_registry(
    cluster: Cluster, registry: str, repository: Repository, watcher: RunningWatcher
) -> Generator[RunningWatcher]:
    auth = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
    secret = {
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps({"auths": {registry: {"auth": auth}}})},
    }
    for namespace, name in ((BUILDS, _PUSH), (repository.namespace, _PULL)):
        cluster.create(SECRETS, namespace, secret | {"metadata": {"name": name}})
    assert watcher.stop() == 0
    watcher.start(registry=registry, push_secret_name=_PUSH, build_cache="true", app_builders="buildah")
    yield watcher
    for pull_request in repository.pull_requests:
        pull_request.close()
    for pull_request in repository.pull_requests:
        pull_request.until_gone()
    assert watcher.stop() == 0
    cluster.delete(SECRETS, BUILDS, _PUSH)


# What the first step makes is another thing each time that it runs. From nothing: nobody here pulls a base image.
_DOCKERFILE = """FROM scratch AS stage
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox cat /proc/sys/kernel/random/uuid > /stamp"]
COPY part.txt /part.txt
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox cat /stamp /part.txt > /built.txt"]
FROM scratch
COPY busybox /bin/busybox
COPY --from=stage /built.txt /www/built.txt
USER 1000
CMD ["/bin/busybox", "sh", "-c", "trap 'kill $s; exit' TERM; /bin/busybox httpd -fp 8080 -h /www & s=$!; wait $s"]
"""


class Served:
    """Commits by what stands in their `part.txt`, each with its tarball on a web server that Pods reach."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._address = address

    def commit(self, part: str, dockerfile: str = _DOCKERFILE) -> str:
        files = {
            "Dockerfile": dockerfile.encode(),
            "part.txt": part.encode(),
            "busybox": Path("/bin/busybox").read_bytes(),
        }
        commit = hashlib.sha1(f"{part} {time.time_ns()}".encode(), usedforsecurity=False).hexdigest()
        with tarfile.open(self._folder / commit, "w:gz", compresslevel=1) as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o755
                tar.addfile(entry, io.BytesIO(content))
        return commit

    def source(self, commit: str) -> dict[str, str]:
        """The fields of a spec that say where the tarball of a commit is, and that it is that one."""
        checksum = hashlib.sha256((self._folder / commit).read_bytes()).hexdigest()
        return {"tarballUrl": f"http://{self._address}/{commit}", "tarballSha256": checksum}


@pytest.fixture
def served(tmp_path: Path) -> Generator[Served]:
    folder = tmp_path / "tarballs"
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    server = ThreadingHTTPServer((NODE_ADDRESS, 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Served(folder, f"{NODE_ADDRESS}:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join()


def test_builds_take_the_layers_of_earlier_ones_and_none_is_done_twice(
    watcher_with_registry: RunningWatcher, repository: Repository, served: Served
) -> None:
    first, second = served.commit("one"), served.commit("two")
    config = {"registrySecretName": _PULL}
    one, other = repository.pull_request(), repository.pull_request()
    # A Dockerfile without steps has no layers to leave, and what it leaves is no hindrance.
    bare = repository.pull_request()
    without_steps = served.commit("none", 'FROM scratch\nCMD ["/nothing"]\n')
    bare.open(without_steps, config, **served.source(without_steps))
    # What Buildah makes gets there as well.
    by_buildah, buildahs = repository.pull_request(), served.commit("three")
    by_buildah.open(buildahs, config | {"build": {"builder": "buildah"}}, **served.source(buildahs))
    bare.until_condition("Built", "True", "Built")
    bare.close()
    one.open(first, config, **served.source(first))
    one.until_ready(first)
    stamp, part = built(one)
    assert part == "one"
    by_digest, tag = runs(one), one.status()["image"]
    assert by_digest == f"{tag.rpartition(':')[0]}@{one.status()['imageDigest']}"
    assert annotation(one) == tag
    assert _status("acme/shop/manifests/cache") == 401
    by_buildah.until_ready(buildahs)
    assert built(by_buildah)[1] == "three"
    by_buildah.close()

    # One line changed in the same pull request; and the same in one that never built before.
    one.push(second, **served.source(second))
    other.open(second, config, **served.source(second))
    one.until_ready(second)
    other.until_ready(second)
    assert built(one) == built(other) == (stamp, "two")
    assert runs(one) != by_digest

    # A revert, and a pull request that is opened again: the registry has them, says so to who has the password.
    one.push(first, **served.source(first))
    other.close()
    one.until_ready(first)
    assert (one.jobs(), runs(one), annotation(one)) == ([], by_digest, tag)
    assert built(one) == (stamp, "one")
    other.until_gone()
    other.open(second, config, **served.source(second))
    until(lambda: other.replicas() == 1, "it is scaled up at once", 10)
    other.until_ready(second)
    assert other.jobs() == []
    assert [step for _, step in other.events()] == ["Accepted", "Built", "Starting", "Available", "Ready"]


def built(pull_request: PullRequest) -> tuple[str, str]:
    """What the first stage made: what is another thing whenever its step runs, and what stood in a file."""
    stamp, part = (pull_request.page("built.txt") or "").split("\n")
    return stamp, part


def runs(pull_request: PullRequest) -> str:
    (container,) = deployment(pull_request)["spec"]["template"]["spec"]["containers"]
    return container["image"]


def annotation(pull_request: PullRequest) -> str:
    return deployment(pull_request)["metadata"]["annotations"][IMAGE_ANNOTATION]


def deployment(pull_request: PullRequest) -> Object:
    found = pull_request.deployment()
    assert found
    return found
