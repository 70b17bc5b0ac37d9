"""What is kept of a failed build's log: the step that failed, its last lines, and no secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator
from typing import Any, cast

import pytest

from provisioner.errors import ReviewAppError
from tests.unit.watcher.views import FIRST, build_pod, job
from watcher.build_log import LINES, BuildLogs, is_kept, kept, last_lines, masked, secrets_of
from watcher.cluster import Cluster, Object, Resource

AUTH = base64.b64encode(b"user:the-password").decode()
SECRETS = {
    "push": {".dockerconfigjson": json.dumps({"auths": {"registry": {"auth": AUTH}}})},
    "tarballs": {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "of the tarballs"},
    "npm": {"token": "npm-token\n", "key": "first line of a key\nsecond line of a key", "short": "42"},
}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class FakeCluster:
    """Stands in for an API server that has these Secrets and one log."""

    def __init__(self, lines: list[str], secrets: dict[str, dict[str, str]] = SECRETS) -> None:
        self.log = lines
        self.secrets = secrets
        self.reads = 0

    def get(self, _resource: Resource, _namespace: str | None, name: str) -> Object | None:
        data = self.secrets.get(name)
        return {"data": {key: encoded(value) for key, value in data.items()}} if data else None

    def lines(self, _path: str, _query: dict[str, str | None], _seconds: float) -> Generator[str]:
        self.reads += 1
        yield from self.log


def pod(container: Object | None = None) -> Object:
    status = container or {"name": "build", "state": {"terminated": {"exitCode": 1, "message": "cut"}}}
    found = build_pod(FIRST, status)
    found["metadata"] |= {"namespace": "builds", "uid": "u"}
    url = "https://s3/t.tar.gz?X-Amz-Credential=AKIA%2Fx&X-Amz-Signature=0123456789abcdef"
    found["spec"] = {
        "initContainers": [
            {
                "name": "unpack",
                "env": [{"name": "UNPACK_URL", "value": url}],
                "envFrom": [{"secretRef": {"name": "tarballs"}}],
            }
        ],
        "containers": [{"name": "push"}],
        "volumes": [
            {"name": "docker-config", "secret": {"secretName": "push"}},
            {"name": "secret-0", "secret": {"secretName": "npm"}},
            {"name": "image", "emptyDir": {}},
        ],
    }
    return found


def logs(cluster: FakeCluster) -> BuildLogs:
    return BuildLogs(cast("Cluster", cluster))


FAILED = job(condition="Failed")


def test_it_is_the_step_that_failed_whatever_runs_beside_it() -> None:
    lines = [
        "#1 load",
        "#7 0.1 a",
        "#8 0.1 other",
        "#7 0.2 b",
        "#7 ERROR: exit code: 7",
        "#8 CANCELED",
        "------",
        "error: x",
    ]
    assert last_lines(lines) == ["0.1 a", "0.2 b", "ERROR: exit code: 7"]


def test_without_a_step_it_is_the_end_of_all() -> None:
    assert last_lines([f"line {number}" for number in range(80)]) == [f"line {number}" for number in range(30, 80)]
    steps = [f"#7 {number}" for number in range(80)] + ["#7 ERROR: no"]
    assert len(last_lines(steps)) == LINES
    assert last_lines(["x" * 1000])[0] == "x" * 400 + " […]"


def test_every_form_of_a_secret_is_masked() -> None:
    secrets = secrets_of(cast("Cluster", FakeCluster([])), pod())
    text = "\n".join(
        [
            *("the-password", AUTH, "AKIAEXAMPLE", "of the tarballs", "npm-token", encoded("npm-token\n")),
            *("second line of a key", "0123456789abcdef", "X-Amz-Credential=AKIA%2Fx&X-Amz-Signature=0123456789abcdef"),
        ]
    )
    assert set(masked(text, secrets).splitlines()) == {"***"}
    # What may be any word is none.
    assert masked("42 lines", secrets) == "42 lines"


def test_a_log_is_read_once_and_masked() -> None:
    cluster = FakeCluster(["#5 0.1 token: npm-token", "#5 ERROR: exit code: 1"])
    found = logs(cluster)
    for _ in range(3):
        assert found.lines(FAILED, [pod()]) == "0.1 token: ***\nERROR: exit code: 1"
    assert cluster.reads == 1


def test_a_secret_of_many_lines_is_masked_across_them() -> None:
    cluster = FakeCluster(["first line of a key", "second line of a key", "end"])
    assert logs(cluster).lines(FAILED, [pod()]) == "***\nend"


def test_where_a_secret_is_gone_nothing_is_kept() -> None:
    cluster = FakeCluster(["secret?"], {name: SECRETS[name] for name in ("push", "tarballs")})
    assert logs(cluster).lines(FAILED, [pod()]) is None
    with pytest.raises(ReviewAppError, match="Secret builds/npm is gone"):
        secrets_of(cast("Cluster", cluster), pod())


def test_nothing_is_read_of_a_build_that_goes_on() -> None:
    cluster = FakeCluster(["x"])
    running: dict[str, Any] = {"name": "build", "state": {"running": {}}}
    assert logs(cluster).lines(job(), [pod(running)]) is None
    assert logs(cluster).lines(None, [pod()]) is None
    assert cluster.reads == 0


def test_a_time_limit_leaves_the_lines_of_what_ran() -> None:
    cluster = FakeCluster(["#5 0.1 still here"])
    running: dict[str, Any] = {"name": "build", "state": {"running": {}}}
    found = logs(cluster)
    assert found.lines(job(condition="FailureTarget"), [pod(running)]) == "#5 0.1 still here"
    # Its Pod goes with it.
    assert found.lines(FAILED, []) == "#5 0.1 still here"


def test_what_is_kept_is_told_from_what_is_not() -> None:
    message = "the build failed: container build ended with exit code 1; its last lines:\na\nb"
    built = {"type": "Built", "status": "False", "reason": "BuildFailed", "message": message}
    built |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    review_app: Object = {"status": {"buildJobName": "j", "conditions": [built]}}
    assert kept(review_app) == "a\nb"
    assert is_kept(review_app, "j")
    assert not is_kept(review_app, "other")
    built["message"] = "the build failed"
    assert kept(review_app) is None
