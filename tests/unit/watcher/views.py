"""Objects as the API server would have them, for tests of what is decided and said of them."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import SecretStr

from provisioner.desired import stack_inputs
from provisioner.review_app import parse
from provisioner.settings import Settings
from stacks import naming, workload
from stacks.inputs import StackInputs
from watcher.cluster import Object
from watcher.journal import Entry, Phase

FIRST, SECOND = "a" * 40, "b" * 40
SPEC: dict[str, Any] = {
    "repoOwner": "acme",
    "repo": "shop",
    "branch": "main",
    "pr": "42",
    "commitHash": FIRST,
    "tarballUrl": "https://example.com/a.tar.gz",
    "config": {"namespace": "review-shop", "applicationPort": 8080},
}
NAMESPACE: Object = {"metadata": {"name": "review-shop", "annotations": {naming.ALLOW_ANNOTATION: "acme/*"}}}
SETTINGS = Settings(app_domain="example.com", registry="registry:5000", passphrase=SecretStr("p" * 16))


def spec(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(SPEC) | changes


def review_app(
    claimed: bool = True, deleting: bool = False, annotations: dict[str, str] | None = None, **changes: Any
) -> Object:
    metadata: dict[str, Any] = {"name": "acme-shop-42", "uid": "u", "generation": 1, "resourceVersion": "1"}
    if claimed:
        metadata["finalizers"] = [naming.FINALIZER]
    if annotations:
        metadata["annotations"] = annotations
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"apiVersion": f"{naming.GROUP}/v1", "kind": "ReviewApp", "metadata": metadata, "spec": spec(**changes)}


def inputs(
    previous: StackInputs | None = None, built: bool = False, settings: Settings = SETTINGS, **changes: Any
) -> StackInputs:
    return stack_inputs(parse(spec(**changes)), settings, previous=previous, built=built, tls=None)


def entry(phase: Phase, declared: StackInputs) -> Entry:
    return Entry("acme-shop-42", phase, declared, ("review-shop", "reviewapp-builds"), "host")


def job(commit: str = FIRST, condition: str | None = None, reason: str = "", attempt: str = "") -> Object:
    status = {"conditions": [{"type": condition, "status": "True", "reason": reason}]} if condition else {}
    name = naming.build_job_name("shop-42", commit, attempt)
    return {"metadata": {"name": name, "namespace": "reviewapp-builds"}, "status": status}


def build_pod(commit: str, container: Object, created: str = "2026-01-01T00:00:00Z") -> Object:
    labels = {"batch.kubernetes.io/job-name": naming.build_job_name("shop-42", commit)}
    return {
        "metadata": {"name": "build", "labels": labels, "creationTimestamp": created},
        "status": {"initContainerStatuses": [container]},
    }


def pushed_pod(commit: str, message: str) -> Object:
    """The Pod of a build that has ended well, with the last word of its container `push`."""
    container = {"name": "push", "state": {"terminated": {"exitCode": 0, "message": message}}}
    pod = build_pod(commit, {"name": "build"}, created="2026-01-01T00:00:01Z")
    return pod | {"status": {"containerStatuses": [container]}}


def app_pod(commit: str, container: Object) -> Object:
    return {
        "metadata": {
            "name": "app",
            "labels": {},
            "annotations": {naming.COMMIT_ANNOTATION: commit},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "status": {"containerStatuses": [container]},
    }


def deployment(available: int = 1, updated: int = 1, replicas: int = 1, declared: StackInputs | None = None) -> Object:
    """The Deployment of what was `declared`; of the first commit by default."""
    spec = workload.deployment(declared or inputs(built=True))["spec"]
    return {
        "metadata": {"name": "shop-42", "generation": 2},
        "spec": spec,
        "status": {
            "observedGeneration": 2,
            "replicas": replicas,
            "updatedReplicas": updated,
            "availableReplicas": available,
        },
    }
