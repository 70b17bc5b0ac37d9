"""What a status says of what was observed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from provisioner.desired import stack_inputs, wanted_build
from provisioner.errors import ApplyRefused, ForeignObject, Refusal, SpecRefused
from provisioner.review_app import Condition, Status, parse
from stacks.inputs import StackInputs
from tests.unit.watcher.views import (
    FIRST,
    SECOND,
    SETTINGS,
    SPEC,
    app_pod,
    build_pod,
    deployment,
    entry,
    inputs,
    job,
    review_app,
    spec,
)
from watcher.builds import NOTHING_FOUND, Lookups
from watcher.image_rule import denied
from watcher.status import changes, status
from watcher.view import Failure, View

NOW = 1_767_225_600.0


def said(found: Status) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in found.conditions}


def condition(found: Status, kind: str) -> Condition:
    return next(entry for entry in found.conditions if entry.type == kind)


def ended(code: int, message: str, **more: Any) -> dict[str, Any]:
    return {"name": "build", "state": {"terminated": {"exitCode": code, "message": message, "reason": "Error"}}, **more}


def test_a_first_build() -> None:
    found = status(View(review_app(), entry=entry("applied", inputs()), jobs=[job()]), NOW)
    assert (found.app_status, found.build_status, found.build_commit) == ("building", "building", FIRST)
    assert found.build_job_name == "shop-42--aaaaaaaaaa"
    assert found.build_started_at == NOW
    assert found.image == "registry:5000/acme/shop:42-aaaaaaaaaaaa"
    assert found.url == "http://shop-42.example.com"
    assert said(found) == {
        "Accepted": ("True", "Accepted"),
        "Built": ("Unknown", "Building"),
        "Available": ("False", "NotBuilt"),
        "Ready": ("False", "Building"),
    }


def test_ready() -> None:
    view = View(review_app(), entry=entry("applied", inputs(built=True)), deployment=deployment())
    found = status(view, NOW)
    assert (found.app_status, found.build_status) == ("deployed", "success")
    assert {status for status, _ in said(found).values()} == {"True"}


def test_the_digest_is_that_of_the_newest_build_once_it_runs() -> None:
    digest = f"sha256:{'1' * 64}"
    running = stack_inputs(
        parse(SPEC), SETTINGS, previous=None, built=True, tls=None, image=f"registry:5000/acme/shop@{digest}"
    )
    view = View(review_app(), entry=entry("applied", running), deployment=deployment(declared=running))
    found = status(view, NOW)
    assert (found.image, found.image_digest) == ("registry:5000/acme/shop:42-aaaaaaaaaaaa", digest)
    assert said(found)["Ready"] == ("True", "Ready")
    building = inputs(running, commitHash=SECOND)
    assert status(View(review_app(commitHash=SECOND), entry=entry("applied", building)), NOW).image_digest is None


def test_the_old_version_is_available_while_the_new_one_builds() -> None:
    declared = inputs(previous=inputs(built=True), commitHash=SECOND)
    view = View(
        review_app(commitHash=SECOND), entry=entry("applied", declared), jobs=[job(SECOND)], deployment=deployment()
    )
    found = status(view, NOW)
    assert (found.app_status, found.build_status, found.build_commit) == ("deployed", "building", SECOND)
    assert said(found)["Available"] == ("True", "Available")
    assert said(found)["Ready"] == ("False", "Building")


def test_the_new_version_is_ready_only_when_the_old_one_is_gone() -> None:
    view = View(
        review_app(), entry=entry("applied", inputs(built=True)), deployment=deployment(replicas=2, available=2)
    )
    assert said(status(view, NOW))["Ready"] == ("False", "Updating")


def test_the_new_version_is_not_ready_before_the_deployment_has_it() -> None:
    declared = inputs(previous=inputs(built=True), built=True, commitHash=SECOND)
    old = View(review_app(commitHash=SECOND), entry=entry("applying", declared), deployment=deployment())
    assert said(status(old, NOW))["Ready"] == ("False", "Updating")
    new = View(
        review_app(commitHash=SECOND), entry=entry("applied", declared), deployment=deployment(declared=declared)
    )
    assert said(status(new, NOW))["Ready"] == ("True", "Ready")


def rebuilding(built: bool) -> StackInputs:
    again = wanted_build(parse(spec()), SETTINGS, "kdwpz")
    previous = inputs(built=True)
    return stack_inputs(parse(spec()), SETTINGS, previous=previous, built=built, tls=None, build=again)


def test_a_rebuild_is_a_build_like_any_other() -> None:
    item = review_app()
    first = View(item, entry=entry("applied", inputs(built=True)), deployment=deployment())
    item["status"] = status(first, NOW).model_dump(mode="json", by_alias=True)
    view = View(
        item, entry=entry("applied", rebuilding(built=False)), jobs=[job(attempt="kdwpz")], deployment=deployment()
    )
    found = status(view, NOW + 60)
    assert said(found)["Built"] == ("Unknown", "Building")
    assert said(found)["Ready"] == ("False", "Building")
    assert said(found)["Available"] == ("True", "Available")
    assert (found.build_job_name, found.build_started_at) == ("shop-42--aaaaaaaaaa-kdwpz", NOW + 60)


def test_a_rebuild_is_ready_only_when_the_deployment_has_its_image() -> None:
    declared = rebuilding(built=True)
    old = View(review_app(), entry=entry("applied", declared), deployment=deployment())
    assert said(status(old, NOW))["Ready"] == ("False", "Updating")
    new = View(review_app(), entry=entry("applied", declared), deployment=deployment(declared=declared))
    assert said(status(new, NOW))["Ready"] == ("True", "Ready")


def paused(built: bool) -> StackInputs:
    return stack_inputs(parse(spec()), SETTINGS, previous=None, built=built, tls=None, paused=True)


def test_a_paused_one_says_so_and_how_it_goes_on() -> None:
    declared = paused(built=True)
    view = View(
        review_app(),
        entry=entry("applied", declared),
        deployment=deployment(available=0, updated=0, replicas=0, declared=declared),
    )
    found = status(view, NOW)
    assert (found.app_status, found.build_status) == ("paused", "success")
    assert said(found) == {
        "Accepted": ("True", "Accepted"),
        "Built": ("True", "Built"),
        "Available": ("False", "Paused"),
        "Ready": ("False", "Paused"),
    }
    assert "reviewapp resume acme-shop-42" in condition(found, "Ready").message
    events = list(changes(Status(), found))
    assert [event.type for event in events if event.reason == "Paused"] == ["Normal"]


@pytest.mark.parametrize("replicas", [0, 1], ids=["its Pod goes", "its Deployment is as before"])
def test_it_is_paused_only_when_its_pods_are_gone(replicas: int) -> None:
    declared = paused(built=True)
    before = deployment(declared=declared if replicas == 0 else inputs(built=True))
    found = status(View(review_app(), entry=entry("applied", declared), deployment=before), NOW)
    assert found.app_status == "deployed"
    assert said(found)["Ready"] == ("False", "Pausing")


def test_a_paused_one_is_built_all_the_same() -> None:
    found = status(View(review_app(), entry=entry("applied", paused(built=False)), jobs=[job()]), NOW)
    assert (found.app_status, found.build_status) == ("paused", "building")
    assert said(found)["Ready"] == ("False", "Paused")


def test_a_resumed_one_is_ready_only_when_a_pod_answers() -> None:
    resumed = View(
        review_app(),
        entry=entry("applied", inputs(built=True)),
        deployment=deployment(available=0, updated=0, replicas=0, declared=paused(built=True)),
    )
    assert said(status(resumed, NOW))["Ready"] == ("False", "Starting")


def test_a_failed_build_says_which_container_and_its_last_lines() -> None:
    view = View(
        review_app(),
        entry=entry("applied", inputs()),
        jobs=[job(condition="Failed", reason="BackoffLimitExceeded")],
        pods=[build_pod(FIRST, ended(1, "RUN make\nthe secret"))],
        lookups=Lookups(lines="RUN make\nno rule to make target"),
    )
    found = status(view, NOW)
    assert (found.app_status, found.build_status) == ("error", "error")
    assert said(found)["Built"] == ("False", "BuildFailed")
    assert "container build ended with exit code 1" in condition(found, "Built").message
    assert "no rule to make target" in condition(found, "Built").message
    # What the kubelet kept of the log is not masked.
    assert "the secret" not in condition(found, "Built").message
    assert condition(found, "Ready").message == condition(found, "Built").message


def test_the_lines_of_a_failed_build_outlive_its_pod() -> None:
    item = review_app()
    failed = View(item, entry=entry("applied", inputs()), jobs=[job(condition="Failed")])
    failed = dataclasses.replace(failed, pods=[build_pod(FIRST, ended(1, ""))], lookups=Lookups(lines="the reason"))
    item["status"] = status(failed, NOW).model_dump(mode="json", by_alias=True)
    found = status(dataclasses.replace(failed, pods=[], lookups=NOTHING_FOUND), NOW)
    assert condition(found, "Built").message == condition(status(failed, NOW), "Built").message
    # Those of another commit are its own.
    again = entry("applied", inputs(commitHash=SECOND))
    found = status(View(item, entry=again, jobs=[job(SECOND, condition="Failed")]), NOW)
    assert "the reason" not in condition(found, "Built").message


def test_a_build_that_waits_says_where_and_keeps_its_time() -> None:
    item = review_app()
    queued = inputs()
    assert queued.build
    waits = queued.model_copy(update={"build": queued.build.model_copy(update={"waits": True})})
    view = View(item, entry=entry("applied", waits), lookups=Lookups(place="2 of 3 in the queue"))
    found = status(view, NOW)
    assert said(found)["Built"] == ("Unknown", "Queued")
    assert condition(found, "Built").message == "commit aaaaaaaaaaaa waits for its turn: 2 of 3 in the queue"
    assert (found.app_status, found.build_status, found.build_started_at) == ("building", "building", NOW)
    item["status"] = found.model_dump(mode="json", by_alias=True)
    # A push while it waits does not lose the place.
    pushed = inputs(commitHash=SECOND)
    assert pushed.build
    pushed = pushed.model_copy(update={"build": pushed.build.model_copy(update={"waits": True})})
    assert status(View(item, entry=entry("applied", pushed)), NOW + 60).build_started_at == NOW
    # It starts when it is let go.
    let_go = status(View(item, entry=entry("applied", queued), jobs=[job()]), NOW + 90)
    assert (said(let_go)["Built"], let_go.build_started_at) == (("Unknown", "Building"), NOW + 90)


def test_a_job_that_kueue_holds_back_is_queued() -> None:
    declared = inputs(settings=SETTINGS.model_copy(update={"kueue_queue": "builds"}))
    held = job() | {"spec": {"suspend": True}}
    found = status(View(review_app(), entry=entry("applied", declared), jobs=[held]), NOW)
    assert said(found)["Built"] == ("Unknown", "Queued")
    assert condition(found, "Built").message.endswith("is in Kueue's queue builds")


def test_a_build_that_took_too_long() -> None:
    failed = job(condition="Failed", reason="DeadlineExceeded")
    found = status(View(review_app(), entry=entry("applied", inputs()), jobs=[failed]), NOW)
    assert said(found)["Built"] == ("False", "BuildTimedOut")


def test_what_ran_before_a_failed_build_is_still_deployed() -> None:
    declared = inputs(previous=inputs(built=True), commitHash=SECOND)
    view = View(
        review_app(commitHash=SECOND),
        entry=entry("applied", declared),
        jobs=[job(SECOND, condition="Failed")],
        deployment=deployment(),
    )
    found = status(view, NOW)
    assert (found.app_status, found.build_status) == ("deployed", "error")


def test_a_missing_secret_of_the_build_is_named() -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "push" not found'}
    pod = build_pod(FIRST, {"name": "push", "state": {"waiting": waiting}})
    found = status(View(review_app(), entry=entry("applied", inputs()), jobs=[job()], pods=[pod]), NOW)
    assert said(found)["Built"] == ("Unknown", "CreateContainerConfigError")
    assert 'secret "push" not found' in condition(found, "Built").message


def failed_pod(container: dict[str, Any]) -> Any:
    pod = build_pod(FIRST, container)
    pod["status"]["phase"] = "Failed"
    return pod


def test_a_build_that_is_tried_again_says_why_once_the_job_has_decided_so() -> None:
    running = job()
    pods = [failed_pod(ended(1, "no space"))]
    view = View(review_app(), entry=entry("applied", inputs()), jobs=[running], pods=pods)
    assert said(status(view, NOW))["Built"] == ("Unknown", "Building")
    running["status"] = {"failed": 1}
    assert said(status(view, NOW))["Built"] == ("Unknown", "Retrying")
    assert "tried again: container build ended with exit code 1" in condition(status(view, NOW), "Built").message
    running["status"] |= {"conditions": [{"type": "FailureTarget", "status": "True"}]}
    assert said(status(view, NOW))["Built"] == ("Unknown", "Building")


ENDED = {"exitCode": 3, "reason": "Error"}


@pytest.mark.parametrize(
    "container",
    [
        {"ready": False, "state": {"terminated": ENDED}},
        {"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ENDED}},
        {"ready": False, "state": {"running": {}}, "lastState": {"terminated": ENDED}},
    ],
)
def test_a_crash_is_one_trouble_however_far_its_next_start_is(container: dict[str, Any]) -> None:
    view = View(
        review_app(),
        entry=entry("applied", inputs(built=True)),
        deployment=deployment(available=0),
        pods=[app_pod(FIRST, {"name": "app"} | container)],
    )
    assert said(status(view, NOW))["Available"] == ("False", "CrashLoopBackOff")
    assert "exit code 3" in condition(status(view, NOW), "Available").message


@pytest.mark.parametrize(("available", "kind"), [(0, "Available"), (1, "Ready")])
def test_pods_that_may_not_be_made_are_told_of(available: int, kind: str) -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    found = deployment(available=available, updated=0)
    found["status"]["conditions"] = [refused]
    view = View(review_app(), entry=entry("applied", inputs(built=True)), deployment=found)
    assert said(status(view, NOW))[kind] == ("False", "FailedCreate")
    assert condition(status(view, NOW), kind).message == "no Pod can be made: exceeded quota"
    refused["status"] = "False"
    assert said(status(view, NOW))[kind][1] in {"Starting", "Updating"}


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_is_not_there_is_one_trouble(reason: str) -> None:
    waiting = {"name": "app", "state": {"waiting": {"reason": reason, "message": "not found"}}}
    view = View(review_app(), entry=entry("applied", inputs(built=True)), pods=[app_pod(FIRST, waiting)])
    assert said(status(view, NOW))["Available"] == ("False", "ImagePullBackOff")


def test_a_crashing_image_says_its_exit_code_and_last_lines() -> None:
    crashed = {
        "name": "app",
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": {"exitCode": 3, "message": "no database"}},
    }
    view = View(
        review_app(),
        entry=entry("applied", inputs(built=True)),
        deployment=deployment(available=0),
        pods=[app_pod(FIRST, crashed)],
    )
    found = status(view, NOW)
    assert said(found)["Available"] == ("False", "CrashLoopBackOff")
    assert "exit code 3" in condition(found, "Available").message
    assert "no database" in condition(found, "Available").message


def test_an_image_that_starts_says_nothing_is_wrong() -> None:
    starting = {"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}}
    view = View(review_app(), entry=entry("applied", inputs(built=True)), pods=[app_pod(FIRST, starting)])
    assert said(status(view, NOW))["Available"] == ("False", "Starting")


def test_a_refused_spec() -> None:
    refused = SpecRefused([Refusal("spec.pr", "'x'", "must be a number")])
    found = status(View(review_app(pr="x")), NOW, refused)
    assert found.app_status == "error"
    assert said(found)["Accepted"] == ("False", "InvalidSpec")
    assert condition(found, "Accepted").message == "spec.pr: 'x' must be a number"


def test_an_engine_error_is_why_it_is_not_ready() -> None:
    error = ForeignObject("Service review-shop/shop-42", "no label")
    found = status(View(review_app()), NOW, error)
    assert said(found)["Ready"] == ("False", "ForeignObject")
    assert "Service review-shop/shop-42" in condition(found, "Ready").message


def test_a_deletion_says_what_it_waits_for() -> None:
    view = View(review_app(deleting=True), entry=entry("destroyed", inputs()))
    found = status(view, NOW, deleting="waiting until Pod a/b is gone")
    assert found.app_status == "deleting"
    assert said(found)["Ready"] == ("False", "Deleting")


def test_a_deletion_is_one_event_whatever_ends_first() -> None:
    item = review_app(deleting=True)
    ready = status(View(item, entry=entry("applied", inputs(built=True)), deployment=deployment()), NOW)
    view = View(item, entry=entry("destroying", inputs(built=True)), deployment=deployment())
    begun = status(view, NOW, deleting="the stack is being destroyed")
    item["status"] = begun.model_dump(mode="json", by_alias=True)
    ended = status(dataclasses.replace(view, deployment=None), NOW, deleting="waiting")
    assert said(ended)["Available"] == ("False", "Deleting")
    assert [event.reason for event in changes(ready, begun)] == ["Deleting"]
    assert list(changes(begun, ended)) == []


def test_a_long_message_keeps_its_end() -> None:
    pod = build_pod(FIRST, ended(1, ""))
    view = View(review_app(), entry=entry("applied", inputs()), jobs=[job(condition="Failed")], pods=[pod])
    view = dataclasses.replace(view, lookups=Lookups(lines="x" * 50_000 + "the end"))
    for kind, most in (("Built", 16_000), ("Ready", 2_000)):
        message = condition(status(view, NOW), kind).message
        assert most - 100 < len(message) <= most
        assert message.endswith("the end")


@pytest.mark.parametrize(
    "line",
    [
        'ERROR: failed to solve: source "docker-image://docker.io/evil/base:1" denied by policy: source denied',
        "Error: Source image rejected: Running image docker://docker.io/evil/base:1 is rejected by policy.",
    ],
)
def test_an_image_from_elsewhere_is_named_with_what_to_do(line: str) -> None:
    asked = inputs()
    assert asked.build
    build = asked.build.model_copy(update={"image_registries": ("docker.io/library", "ghcr.io")})
    failed = job(condition="Failed", reason="BackoffLimitExceeded")
    seen = View(
        review_app(),
        entry=entry("applied", asked.model_copy(update={"build": build})),
        jobs=[failed],
        lookups=Lookups(lines=line),
    )
    message = condition(status(seen, NOW), "Built").message
    assert message.partition("; its last lines:")[0].endswith(
        "failed: Dockerfile: docker.io/evil/base:1 does not come from where images may: the setting image_registries "
        "is docker.io/library, ghcr.io: name an image from there, or have the platform's owner add its registry"
    )
    # Where nothing is denied, the words are the pull request's own.
    anything = View(review_app(), entry=entry("applied", asked), jobs=[failed], lookups=Lookups(lines=line))
    assert "image_registries" not in condition(status(anything, NOW), "Built").message


@pytest.mark.parametrize(
    ("image", "is_denied"),
    [
        ("docker.io/evil/base:1", True),
        ("evil/base", True),
        ("ghcr.io.evil.example.com/a", True),
        ("ghcr.io/acme/base:1", False),
        ("busybox", False),
        ("docker.io/library/busybox@sha256:00", False),
    ],
)
def test_buildah_says_of_an_image_from_elsewhere_that_it_is_not_there(image: str, *, is_denied: bool) -> None:
    asked = inputs()
    assert asked.build
    build = asked.build.model_copy(update={"image_registries": ("docker.io/library", "ghcr.io")})
    line = f"Error: COPY --from={image}: no stage or image found with that name"
    assert bool(denied(build, line)) == is_denied


def test_the_time_of_a_condition_changes_only_with_its_status() -> None:
    item = review_app()
    view = View(item, entry=entry("applied", inputs()), jobs=[job()])
    first = status(view, NOW)
    item["status"] = first.model_dump(mode="json", by_alias=True)
    assert status(view, NOW + 60) == first
    later = status(View(item, entry=entry("applied", inputs(built=True)), deployment=deployment()), NOW + 60)
    assert condition(later, "Accepted").last_transition_time == condition(first, "Accepted").last_transition_time
    assert condition(later, "Ready").last_transition_time > condition(first, "Ready").last_transition_time


def test_a_status_that_another_program_wrote_is_no_obstacle() -> None:
    item = review_app()
    item["status"] = {"conditions": "nonsense", "buildStartedAt": {}}
    assert status(View(item), NOW).conditions


def test_each_step_is_one_event() -> None:
    item = review_app()
    building = status(View(item, entry=entry("applied", inputs()), jobs=[job()]), NOW)
    events = list(changes(Status(), building))
    assert [(event.type, event.reason) for event in events] == [("Normal", "Accepted"), ("Normal", "Building")]
    assert list(changes(building, building)) == []
    pod = build_pod(FIRST, ended(1, "broken"))
    failed = status(View(item, entry=entry("applied", inputs()), jobs=[job(condition="Failed")], pods=[pod]), NOW)
    assert [(event.type, event.reason) for event in changes(building, failed)] == [("Warning", "BuildFailed")]


@pytest.mark.parametrize(("tries", "stalled"), [(1, False), (6, False), (7, True), (40, True)])
def test_what_fails_again_and_again_is_stalled_and_says_why(tries: int, stalled: bool) -> None:
    error = ApplyRefused("Deployment/shop", "QuotaExceeded", "exceeded quota", "raise the namespace's quota")
    failure = Failure("d", error, NOW + 300, tries)
    found = status(View(review_app(), entry=entry("applying", inputs()), failure=failure), NOW, error)
    conditions = {one.type: one for one in found.conditions}
    assert ("Stalled" in conditions) is stalled
    assert found.conditions[-1].type == "Ready"
    if stalled:
        assert (conditions["Stalled"].status, conditions["Stalled"].reason) == ("True", "QuotaExceeded")
        assert "raise the namespace's quota" in conditions["Stalled"].message


def test_what_has_healed_is_stalled_no_more() -> None:
    found = status(View(review_app(), entry=entry("applied", inputs())), NOW)
    assert "Stalled" not in {one.type for one in found.conditions}
