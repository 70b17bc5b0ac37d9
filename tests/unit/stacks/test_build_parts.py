"""What a build gets from earlier builds and from its pull request's Secrets, and who in the Pod may see it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from stacks import build_secrets, crane
from stacks.build import BUILD_CONTAINER
from stacks.inputs import BuildOptions, BuildSecret
from stacks.review_app import manifests
from tests import samples
from tests.unit.stacks.test_build import BUILD, PUSH_SECRET, containers, pod, secrets_of

EARLIER = "registry.example.com:5000/acme/shop@sha256:" + "1" * 64
NEXT = "registry.example.com:5000/acme/shop:cache"
SECRETS = (BuildSecret(name="npm"), BuildSecret(name="other.tokens"))


def names(**changes: Any) -> list[str]:
    return list(containers(**changes))


def test_without_a_cache_nobody_pulls_or_pushes_one() -> None:
    assert names() == ["unpack", "build", "push"]
    assert not [one for one in containers()["build"]["args"] if "cache" in one]


def test_a_cache_comes_before_the_build_and_goes_beside_the_push() -> None:
    changes = {"cache_from": EARLIER, "cache_to": NEXT}
    assert names(**changes) == ["unpack", "pull-cache", "build", "push", "push-cache"]
    made = containers(**changes)
    assert made["pull-cache"]["args"] == ["pull", "--format=oci", EARLIER, "/cache/oci"]
    assert made["push-cache"]["args"][:3] == ["push", "/image/cache", NEXT]
    # Whatever becomes of it, the build has succeeded; the push of the image itself has no such word.
    assert "||" in made["push-cache"]["command"][2]
    assert "command" not in made["push"]
    assert made["build"]["args"][-2:] == [
        f"--import-cache=type=local,src=/cache/oci,digest={EARLIER.partition('@')[2]}",
        "--export-cache=type=local,dest=/image/cache,mode=max,image-manifest=true,oci-mediatypes=true",
    ]
    spec = pod(**changes)
    # The one that runs a Dockerfile has no credential for it.
    assert [name for name in made if PUSH_SECRET in secrets_of(spec, made[name])] == [
        crane.PULL_CACHE_CONTAINER,
        crane.PUSH_CONTAINER,
        crane.PUSH_CACHE_CONTAINER,
    ]
    assert all(made[name]["securityContext"] == crane.CONFINED for name in made if name != BUILD_CONTAINER)


def test_the_build_container_alone_has_the_pull_requests_secrets() -> None:
    spec, made = pod(secrets=SECRETS), containers(secrets=SECRETS)
    expected = {f"{BUILD.job_name}--secret-npm", build_secrets.secret_name(BUILD, "other.tokens")}
    assert secrets_of(spec, made[BUILD_CONTAINER]) == expected
    assert all(not expected & secrets_of(spec, made[name]) for name in made if name != BUILD_CONTAINER)


def test_each_key_is_offered_by_its_id(tmp_path: Path) -> None:
    folder = tmp_path / "npm"
    # As the kubelet lays a Secret out, with a link for each key.
    (folder / "..2026").mkdir(parents=True)
    for key in ("token", ".npmrc", "a b", "..2026/hidden"):
        (folder / key).write_text("value")
    (folder / "..data").symlink_to("..2026")
    (tmp_path / "empty").mkdir()
    script = build_secrets.OFFER_FILES.replace(build_secrets.FOLDER, str(tmp_path)) + 'printf "%s\\n" "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", "build"], capture_output=True, text=True, check=True, timeout=10)
    offered = [f"--secret=id=npm/{key},src={folder}/{key}" for key in ("a b", "token", ".npmrc")]
    assert done.stdout.splitlines() == ["build", *offered]


def test_copies_are_declared_while_there_is_something_to_copy() -> None:
    inputs = samples.inputs(config={"build": {"secrets": ["npm"]}})
    assert inputs.build
    held = (BuildSecret(name="npm", data={"token": "dmFsdWU="}),)
    with_data = inputs.model_copy(update={"build": inputs.build.model_copy(update={"secrets": held})})
    copy, job = (one for one in manifests(with_data) if one["metadata"]["namespace"] != inputs.namespace)
    assert (copy["kind"], copy["data"]) == ("Secret", {"token": "dmFsdWU="})
    # The Job does not change with it: it would start anew.
    assert job == next(one for one in manifests(inputs) if one["kind"] == "Job")
    assert "dmFsdWU" not in repr(with_data)


def test_options_are_arguments_of_the_builder() -> None:
    options = BuildOptions(dockerfile="docker/Dev", context="app", target="t", arguments={"A": "$(B)"}, platform="p/q")
    arguments = containers(options=options)["build"]["args"]
    assert arguments[3:9] == [
        "--local=context=/source/tree/app",
        "--local=dockerfile=/source/tree/docker",
        "--opt=filename=Dev",
        "--opt=target=t",
        "--opt=platform=p/q",
        "--opt=build-arg:A=$$(B)",
    ]
    in_context = containers(options=BuildOptions(context="app"))["build"]["args"]
    assert in_context[3:5] == ["--local=context=/source/tree/app", "--local=dockerfile=/source/tree/app"]
