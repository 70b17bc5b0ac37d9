"""A Dockerfile is hostile code: what it looks for it does not find, with each builder that runs here.

Nothing here enforces a NetworkPolicy. So a step that may use the network does reach what is in the cluster, where
every door asks for a credential that it has not; one that may not reaches nothing at all.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Generator
from typing import Any

import httpx
import pytest

from dev.target import BASE_IMAGE
from stacks.build import BUILD_CONTAINER, PUSH_CONTAINER
from stacks.inputs import Build
from tests.builds.workshop import SIGNATURE, Workshop, make_secret
from tests.builds.workshop import workshop as open_workshop
from watcher.cluster import NODES, SERVICES, entries, section
from watcher.image_rule import denied

pytestmark = pytest.mark.cluster

NAMESPACE = "reviewapp-builder-test"
SECRET_KEY = "secret-key-of-the-tarballs"
PASSWORD = "password-of-the-registry"
AUTH = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
METADATA_ADDRESS = "169.254.169.254"

# Looks where each credential would be, in this process, all others and their files, then tries each door.
LOOK = """echo looking everywhere
env
cat /proc/*/environ /proc/*/mounts
for root in / /proc/[0-9]*/root/; do
    for folder in docker-config kaniko run/secrets var/run/secrets source image storage root home/user/.docker .aws; do
        find $root$folder -type f -size -64k -exec cat {} +
    done
done 2>/dev/null
echo
for door in $DOORS; do
    address=${door#*=}
    if echo | nc -w 2 ${address%:*} ${address##*:} >/dev/null 2>&1
    then echo "door ${door%%=*} is reached"; else echo "door ${door%%=*} is not reached"; fi
done
wget -q -O - http://$API/api/v1/secrets 2>&1
echo looked everywhere
"""
DOCKERFILE = """FROM {base}
ARG DOORS
ARG API
LABEL org.opencontainers.image.ref.name="evil.example.com/other:latest"
COPY look.sh /
RUN sh /look.sh 2>&1
RUN touch /again
"""


@pytest.fixture(scope="module")
def workshop() -> Generator[Workshop]:
    elsewhere = os.environ["REVIEWAPP_PUSH_IMAGE"]
    versions = {
        "hostile": {"Dockerfile": DOCKERFILE, "look.sh": LOOK},
        "borrowing": {"Dockerfile": f"FROM {{base}} AS one\nFROM {elsewhere}\nCOPY --from=one /tmp /tmp\n"},
        "slow": {"Dockerfile": "FROM {base}\nRUN echo started && sleep 600\n"},
    }
    with open_workshop(NAMESPACE, versions) as opened:
        yield opened


@pytest.fixture(scope="module")
def secrets(workshop: Workshop) -> dict[str, str]:
    """Both credentials of a build, as changes of a `Build`."""
    config = json.dumps({"auths": {registry(): {"auth": AUTH}}})
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    return {
        "push_secret_name": make_secret(
            workshop, "push", "kubernetes.io/dockerconfigjson", {".dockerconfigjson": config}
        ),
        "tarball_secret_name": make_secret(workshop, "tarball", "Opaque", keys),
    }


def registry() -> str:
    return os.environ["REVIEWAPP_REGISTRY"].partition("/")[0]


def doors(workshop: Workshop) -> dict[str, str]:
    """Return what a build should not get into, by name."""
    service = workshop.cluster.get(SERVICES, "default", "kubernetes") or {}
    (node, *_) = workshop.cluster.list(NODES)[0]
    address = next(one["address"] for one in entries(node, "status", "addresses") if one["type"] == "InternalIP")
    return {
        "api": f"{section(service, 'spec')['clusterIP']}:443",
        "kubelet": f"{address}:10250",
        "metadata": f"{METADATA_ADDRESS}:80",
        "registry": registry(),
    }


def variant(workshop: Workshop, kind: str, name: str, **changes: Any) -> Build:
    """Return a build by one builder; `none` is BuildKit without network."""
    changes |= {"job_name": f"build-{kind}-{name}"}
    if name == "buildah":
        changes |= {
            "builder": "buildah",
            "builder_image": os.environ["REVIEWAPP_BUILDAH_IMAGE"],
            "seccomp_profile": os.environ.get("REVIEWAPP_BUILDAH_SECCOMP_PROFILE"),
        }
    elif name == "none":
        changes |= {"network": "none"}
    build = workshop.build(kind, **changes)
    return build.model_copy(update={"image": f"{build.image.rpartition(':')[0]}-{name}:1"})


@pytest.mark.parametrize("name", ["buildkit", "none", "buildah"])
def test_it_finds_no_credential_and_gets_through_no_door(
    workshop: Workshop, secrets: dict[str, str], name: str
) -> None:
    there = doors(workshop)
    arguments = {"DOORS": " ".join(f"{door}={address}" for door, address in there.items()), "API": there["api"]}
    build = variant(workshop, "hostile", name, **secrets)
    build = build.model_copy(update={"options": build.options.model_copy(update={"arguments": arguments})})
    assert workshop.outcome(build)["type"] == "Complete", workshop.log(build, BUILD_CONTAINER)

    log = workshop.log(build, BUILD_CONTAINER)
    _, _, found = log.partition("looking everywhere\n")
    assert "looked everywhere" in found
    for secret in (SECRET_KEY, PASSWORD, AUTH, SIGNATURE, "AWS_", "serviceaccount", "docker-config"):
        assert secret not in found
    # The API server tells somebody without a token nothing.
    assert "SecretList" not in found
    reached = {door: f"door {door} is reached" in found for door in there}
    if name == "none":
        assert not any(reached.values())
        assert found.count("is not reached") == len(there)
    else:
        assert not reached["metadata"]
        # Else the test above could not tell.
        assert reached["registry"]

    # Where it was pushed, it said nothing about.
    repository = build.image.rpartition(":")[0]
    assert workshop.ending(build, PUSH_CONTAINER)["message"].startswith(f"{repository}@sha256:")
    scheme = "http" if build.registry_insecure else "https"
    catalog = httpx.get(f"{scheme}://{registry()}/v2/_catalog?n=1000").json()["repositories"]
    assert not any("evil" in entry or entry.endswith("other") for entry in catalog)


def test_a_build_that_takes_too_long_is_ended(workshop: Workshop) -> None:
    build = variant(workshop, "slow", "buildah", timeout_seconds=6)
    ended = workshop.outcome(build)
    assert (ended["type"], ended["reason"]) == ("Failed", "DeadlineExceeded")


def test_buildah_builds_on_images_of_the_named_registries_alone(workshop: Workshop) -> None:
    # Of BuildKit, test_per_app.py shows it. The first image is let in, the second is not.
    base = os.environ[BASE_IMAGE].rpartition(":")[0]
    build = variant(workshop, "borrowing", "buildah", image_registries=("ghcr.io", base))
    assert workshop.outcome(build)["type"] == "Failed"
    said = denied(build, workshop.log(build, BUILD_CONTAINER)) or ""
    assert said.startswith(f"Dockerfile: {os.environ['REVIEWAPP_PUSH_IMAGE']} does not come from where images may")
