"""What is done next, case by case."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.desired import stack_inputs, wanted_build
from provisioner.errors import EngineFailed, EngineKilled, Refusal, ReviewAppError
from provisioner.review_app import parse
from stacks import naming
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests.unit.watcher.views import (
    FIRST,
    NAMESPACE,
    SECOND,
    SETTINGS,
    build_pod,
    entry,
    inputs,
    job,
    pushed_pod,
    review_app,
    spec,
)
from watcher.builds import Lookups
from watcher.cluster import Object
from watcher.decide import Abandon, Action, Apply, Claim, Destroy, Nothing, Refuse, Wait, decide
from watcher.journal import Phase
from watcher.places import TooManyApps
from watcher.view import Failure, View

NOW = 1_000.0


def next_of(item: Object, jobs: Sequence[Object] = (), failure: Failure | None = None, **view: object) -> Action:
    view = {"namespace": NAMESPACE} | view
    return decide(View(item, jobs=jobs, failure=failure, **view), SETTINGS, NOW)  # type: ignore[arg-type]


def applied(action: Action) -> Apply:
    assert isinstance(action, Apply)
    return action


def test_the_finalizer_comes_before_anything_else() -> None:
    assert next_of(review_app(claimed=False)) == Claim()


def test_a_new_one_is_built_and_deployed_at_zero() -> None:
    action = applied(next_of(review_app()))
    assert action.inputs.workload.replicas == 0
    assert action.inputs.build
    assert action.inputs.build.commit == FIRST
    assert action.unfinished is None


def test_nothing_while_the_build_runs() -> None:
    assert next_of(review_app(), [job()], entry=entry("applied", inputs())) == Nothing()


def test_a_built_commit_is_scaled_up() -> None:
    action = applied(next_of(review_app(), [job(condition="Complete")], entry=entry("applied", inputs())))
    assert action.inputs.workload.replicas == 1
    assert action.inputs.workload.commit == FIRST


BY_DIGEST = "registry:5000/acme/shop@sha256:" + "1" * 64


def test_a_built_commit_runs_by_the_digest_that_its_build_reported() -> None:
    building = inputs()
    pods = [build_pod(FIRST, {"name": "unpack"}), pushed_pod(FIRST, f"{BY_DIGEST}\n")]
    action = applied(next_of(review_app(), [job(condition="Complete")], entry=entry("applied", building), pods=pods))
    assert (action.inputs.workload.image, action.inputs.workload.tag) == (BY_DIGEST, building.workload.image)
    assert next_of(review_app(), [], entry=entry("applied", action.inputs)) == Nothing()


@pytest.mark.parametrize("message", ["", "no digest", f"{BY_DIGEST} and more"])
def test_where_the_build_did_not_report_the_registry_says_what_came_out_of_it(message: str) -> None:
    view: dict[str, Any] = {"entry": entry("applied", inputs()), "pods": [pushed_pod(FIRST, message)]}
    done = [job(condition="Complete")]
    action = applied(next_of(review_app(), done, lookups=Lookups(image=BY_DIGEST), **view))
    assert (action.inputs.workload.image, action.inputs.workload.replicas) == (BY_DIGEST, 1)
    assert action.inputs.build == inputs().build
    by_tag = applied(next_of(review_app(), done, **view))
    assert (by_tag.inputs.workload.image, by_tag.inputs.workload.tag) == (inputs().workload.image, "")
    # It is not started anew for another name of the same image.
    running = entry("applied", by_tag.inputs)
    assert next_of(review_app(), done, entry=running, pods=[pushed_pod(FIRST, BY_DIGEST)]) == Nothing()


def test_a_commit_whose_image_is_there_is_not_built() -> None:
    action = applied(next_of(review_app(), lookups=Lookups(image=BY_DIGEST)))
    assert (action.inputs.workload.image, action.inputs.workload.replicas) == (BY_DIGEST, 1)
    assert "Job" not in {manifest["kind"] for manifest in manifests(action.inputs)}
    # The next look asks nobody, and changes nothing.
    assert next_of(review_app(), entry=entry("applied", action.inputs)) == Nothing()


def test_a_revert_runs_the_image_of_then_and_stops_the_build_of_now() -> None:
    running = inputs(built=True)
    building = inputs(running, commitHash=SECOND)
    action = applied(
        next_of(review_app(), [job(SECOND)], entry=entry("applied", building), lookups=Lookups(image=BY_DIGEST))
    )
    # It never stopped running: by its tag, as it was started.
    assert action.inputs.workload == running.workload
    assert "Job" not in {manifest["kind"] for manifest in manifests(action.inputs)}


def test_a_build_that_runs_is_not_given_up_for_an_image_that_appears() -> None:
    known = entry("applied", inputs())
    assert next_of(review_app(), [job()], entry=known, lookups=Lookups(image=BY_DIGEST)) == Nothing()


@given(
    pushes=st.lists(st.sampled_from([FIRST, SECOND, "c" * 40]), min_size=1, max_size=6),
    conditions=st.lists(st.sampled_from([None, "Complete", "Failed"]), min_size=12, max_size=12),
    seen=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_whatever_is_seen_when_only_the_newest_commit_takes_over(
    pushes: list[str], conditions: list[str | None], seen: list[bool]
) -> None:
    """Jobs of every commit come, go and end in any order, as an informer that lags would show them."""
    last: StackInputs | None = None
    for step, commit in enumerate(pushes):
        jobs = [
            job(other, conditions[(step + place) % 12])
            for place, other in enumerate([FIRST, SECOND, "c" * 40])
            if seen[(step * 3 + place) % 12]
        ]
        known = entry("applied", last) if last else None
        action = next_of(review_app(commitHash=commit), jobs, entry=known)
        if not isinstance(action, Apply):
            continue
        before = last.workload.commit if last and last.workload.replicas else None
        assert action.inputs.build
        assert action.inputs.build.commit == commit
        assert action.inputs.workload.commit in {commit, before}
        assert len([manifest for manifest in manifests(action.inputs) if manifest["kind"] == "Job"]) == 1
        last = action.inputs


def test_a_deployed_commit_stays_when_its_job_is_gone() -> None:
    assert next_of(review_app(), [], entry=entry("applied", inputs(built=True))) == Nothing()


def test_age_alone_ends_nothing() -> None:
    view = View(review_app(), entry=entry("applied", inputs(built=True)), namespace=NAMESPACE)
    assert decide(view, SETTINGS, NOW + 10 * 365 * 86_400) == Nothing()


def test_a_failed_build_changes_nothing() -> None:
    assert next_of(review_app(), [job(condition="Failed")], entry=entry("applied", inputs())) == Nothing()


def test_a_new_commit_is_built_while_the_old_one_runs_on() -> None:
    running = inputs(built=True)
    action = applied(next_of(review_app(commitHash=SECOND), entry=entry("applied", running)))
    assert action.inputs.build
    assert action.inputs.build.commit == SECOND
    assert action.inputs.workload.image == running.workload.image
    assert action.inputs.workload.commit == FIRST
    assert action.inputs.workload.replicas == 1


def test_a_new_commit_after_a_failed_first_build_stays_at_zero() -> None:
    action = applied(
        next_of(review_app(commitHash=SECOND), [job(condition="Failed")], entry=entry("applied", inputs()))
    )
    assert action.inputs.workload.replicas == 0


def test_the_old_commits_success_does_not_deploy_the_new_one() -> None:
    jobs = [job(FIRST, condition="Complete")]
    action = applied(next_of(review_app(commitHash=SECOND), jobs, entry=entry("applied", inputs())))
    assert action.inputs.workload.replicas == 0


def test_a_freshly_signed_address_of_the_same_commit_is_no_new_build() -> None:
    item = review_app(tarballUrl="https://example.com/a.tar.gz?signature=new")
    assert next_of(item, [job()], entry=entry("applied", inputs())) == Nothing()


def test_a_freshly_signed_address_after_a_failed_build_builds_again() -> None:
    item = review_app(tarballUrl="https://example.com/a.tar.gz?signature=new")
    action = applied(next_of(item, [job(condition="Failed")], entry=entry("applied", inputs())))
    assert action.inputs.build
    assert action.inputs.build.tarball_url.endswith("signature=new")


def test_new_settings_build_no_commit_again() -> None:
    other = SETTINGS.model_copy(update={"builder_image": "another", "build_retries": 0})
    view = View(review_app(), entry=entry("applied", inputs(built=True)), namespace=NAMESPACE)
    assert decide(view, other, NOW) == Nothing()


def test_a_commit_that_is_pushed_to_another_registry_by_new_settings_runs_where_it_was_pushed() -> None:
    other = SETTINGS.model_copy(update={"registry": "another:5000"})
    view = View(review_app(), entry=entry("applied", inputs(built=True)), namespace=NAMESPACE)
    assert decide(view, other, NOW) == Nothing()
    built = dataclasses.replace(view, jobs=[job(condition="Complete")], entry=entry("applied", inputs()))
    workload = applied(decide(built, other, NOW)).inputs.workload
    assert (workload.replicas, workload.image) == (1, inputs().workload.image)


AGAIN = {naming.REBUILD_ANNOTATION: "once more"}
ATTEMPT = naming.attempt("once more")


@pytest.mark.parametrize("condition", [None, "Complete", "Failed"], ids=["gone", "succeeded", "failed"])
def test_a_rebuild_is_a_new_build_of_the_same_commit_while_the_old_image_runs_on(condition: str | None) -> None:
    running = inputs(built=True)
    jobs = [job(condition=condition)] if condition else []
    action = applied(next_of(review_app(annotations=AGAIN), jobs, entry=entry("applied", running)))
    assert action.inputs.workload == running.workload
    assert action.inputs.build
    assert (action.inputs.build.commit, action.inputs.build.attempt) == (FIRST, ATTEMPT)
    assert action.inputs.build.image != running.workload.image


def rebuilt(built: bool) -> StackInputs:
    again = wanted_build(parse(spec()), SETTINGS, ATTEMPT)
    previous = inputs(built=True)
    return stack_inputs(parse(spec()), SETTINGS, previous=previous, built=built, tls=None, build=again)


def test_a_rebuild_is_deployed_when_its_own_job_has_succeeded() -> None:
    item, building = review_app(annotations=AGAIN), entry("applied", rebuilt(built=False))
    first = job(condition="Complete")
    assert next_of(item, [first, job(attempt=ATTEMPT)], entry=building) == Nothing()
    action = applied(next_of(item, [job(condition="Complete", attempt=ATTEMPT)], entry=building))
    assert action.inputs == rebuilt(built=True)
    assert action.inputs.workload.image.endswith(f"-{ATTEMPT}")


def test_a_rebuild_happens_once() -> None:
    done = entry("applied", rebuilt(built=True))
    assert next_of(review_app(annotations=AGAIN), entry=done) == Nothing()
    # Whoever takes the annotation away asks for nothing.
    assert next_of(review_app(), entry=done) == Nothing()
    failed = [job(condition="Failed", attempt=ATTEMPT)]
    assert next_of(review_app(annotations=AGAIN), failed, entry=entry("applied", rebuilt(built=False))) == Nothing()


def test_a_failed_rebuild_can_be_rebuilt() -> None:
    item = review_app(annotations={naming.REBUILD_ANNOTATION: "and again"})
    failed = [job(condition="Failed", attempt=ATTEMPT)]
    action = applied(next_of(item, failed, entry=entry("applied", rebuilt(built=False))))
    assert action.inputs.build
    assert action.inputs.build.attempt == naming.attempt("and again")


def test_a_rebuild_takes_the_freshest_address() -> None:
    item = review_app(annotations=AGAIN, tarballUrl="https://example.com/a.tar.gz?signature=new")
    action = applied(next_of(item, entry=entry("applied", inputs(built=True))))
    assert action.inputs.build
    assert action.inputs.build.tarball_url.endswith("signature=new")


PAUSED = {naming.PAUSED_ANNOTATION: "true"}


def test_a_pause_changes_nothing_but_that_no_pod_runs() -> None:
    running = inputs(built=True)
    action = applied(next_of(review_app(annotations=PAUSED), entry=entry("applied", running)))
    still = running.workload.model_copy(update={"paused": True})
    assert action.inputs == running.model_copy(update={"workload": still})
    assert next_of(review_app(annotations=PAUSED), entry=entry("applied", action.inputs)) == Nothing()
    assert applied(next_of(review_app(), entry=entry("applied", action.inputs))).inputs == running


def test_builds_go_on_during_a_pause() -> None:
    item = review_app(annotations=PAUSED, commitHash=SECOND)
    building = applied(next_of(item, entry=entry("applied", inputs(built=True)))).inputs
    assert building.build
    assert building.build.commit == SECOND
    built = applied(next_of(item, [job(SECOND, condition="Complete")], entry=entry("applied", building))).inputs
    assert (built.workload.commit, built.workload.replicas, built.workload.paused) == (SECOND, 1, True)


@pytest.mark.parametrize("value", ["", "false", "True", "1"])
def test_a_pause_is_spelled_true(value: str) -> None:
    item = review_app(annotations={naming.PAUSED_ANNOTATION: value})
    assert next_of(item, entry=entry("applied", inputs(built=True))) == Nothing()


def test_a_changed_config_is_applied_without_a_build() -> None:
    config = {"namespace": "review-shop", "applicationPort": 9090}
    before = inputs(built=True)
    action = applied(next_of(review_app(config=config), entry=entry("applied", before)))
    assert action.inputs.workload.port == 9090
    assert action.inputs.build == before.build


def test_an_update_that_was_cut_off_is_finished_first() -> None:
    cut_off = inputs()
    assert applied(next_of(review_app(), entry=entry("applying", cut_off))) == Apply(cut_off, unfinished=cut_off)
    newer = applied(next_of(review_app(commitHash=SECOND), entry=entry("applying", cut_off)))
    assert newer.unfinished == cut_off
    assert newer.inputs.build
    assert newer.inputs.build.commit == SECOND


@pytest.mark.parametrize(
    ("error", "cut_off"),
    [(EngineFailed("up", 1, "x"), False), (EngineKilled("up", 9), True)],
    ids=["an engine that said why", "an engine that was killed"],
)
def test_a_failed_update_waits_then_is_tried_again(error: ReviewAppError, cut_off: bool) -> None:
    declared = inputs()
    failure = Failure(declared.digest(), error, retry_at=NOW + 5)
    assert next_of(review_app(), failure=failure, entry=entry("applying", declared)) == Wait(NOW + 5)
    due = Failure(declared.digest(), error, retry_at=NOW)
    action = applied(next_of(review_app(), failure=due, entry=entry("applying", declared)))
    assert (action.unfinished == declared) is cut_off


def test_a_new_commit_does_not_wait_for_the_old_ones_retry() -> None:
    declared = inputs()
    failure = Failure(declared.digest(), EngineFailed("up", 1, "x"), retry_at=NOW + 300)
    item = review_app(commitHash=SECOND)
    assert applied(next_of(item, failure=failure, entry=entry("applying", declared))).inputs.build


def test_a_bad_spec_is_refused_and_what_runs_stays() -> None:
    action = next_of(review_app(pr="; rm -rf /"), entry=entry("applied", inputs(built=True)))
    assert isinstance(action, Refuse)
    assert "spec.pr" in str(action.error)


def test_a_pull_request_has_one_review_app() -> None:
    action = next_of(review_app(), holder="another")
    assert isinstance(action, Refuse)
    assert "another" in str(action.error)


def test_a_host_has_one_review_app() -> None:
    action = next_of(review_app(), host_holder="other-shop-42")
    assert isinstance(action, Refuse)
    assert "spec.repo: acme/shop#42 has a host shop-42.… that the ReviewApp other-shop-42 has already" in str(
        action.error
    )


def test_a_delete_of_the_second_of_a_host_runs_no_engine() -> None:
    action = next_of(review_app(deleting=True), host_holder="other-shop-42")
    assert action == Destroy(None, None, engine_done=True, namespaces=())


def test_another_pull_request_under_the_same_name_destroys_the_old_stack_first() -> None:
    action = next_of(review_app(pr="43"), entry=entry("applied", inputs(built=True)))
    assert isinstance(action, Destroy)
    assert action.stack == "acme.shop.42"


def test_a_delete_destroys_from_the_journal_even_with_a_broken_spec() -> None:
    item = review_app(deleting=True)
    item["spec"] = {"pr": None}
    action = next_of(item, entry=entry("applied", inputs()))
    assert action == Destroy("acme.shop.42", None, False, ("review-shop", "reviewapp-builds"))


def test_a_delete_finishes_a_cut_off_update_first() -> None:
    action = next_of(review_app(deleting=True), entry=entry("applying", inputs()))
    assert isinstance(action, Destroy)
    assert action.unfinished == inputs()


def test_a_delete_after_the_engine_is_done_only_sweeps() -> None:
    action = next_of(review_app(deleting=True), entry=entry("destroyed", inputs()))
    assert isinstance(action, Destroy)
    assert action.engine_done


def test_a_delete_of_what_was_refused_lets_it_go() -> None:
    item = review_app(deleting=True, pr="nonsense")
    assert next_of(item) == Destroy(None, None, engine_done=True, namespaces=())


def test_a_delete_without_a_journal_still_destroys_what_the_spec_names() -> None:
    action = next_of(review_app(deleting=True))
    assert action == Destroy("acme.shop.42", None, False, ("review-shop", "reviewapp-builds"))


def test_a_delete_of_a_second_review_app_leaves_the_first_ones_stack() -> None:
    action = next_of(review_app(deleting=True), holder="another")
    assert action == Destroy(None, None, engine_done=True, namespaces=())


def test_a_deleted_one_without_our_finalizer_is_not_ours() -> None:
    assert next_of(review_app(claimed=False, deleting=True)) == Nothing()


def closed(allow: str | None = None) -> Object:
    annotations = {} if allow is None else {naming.ALLOW_ANNOTATION: allow}
    return {"metadata": {"name": "review-shop", "annotations": annotations}}


def test_a_closed_namespace_takes_nothing_new() -> None:
    action = next_of(review_app(), namespace=closed())
    assert isinstance(action, Refuse)
    assert action.error.reason == "NamespaceNotOpen"
    pushed = review_app(commitHash=SECOND)
    assert isinstance(next_of(pushed, entry=entry("applied", inputs(built=True)), namespace=closed()), Refuse)


def test_a_namespace_that_is_not_there_is_made_nothing_in() -> None:
    action = next_of(review_app(), namespace=None)
    assert isinstance(action, Refuse)
    assert action.error.reason == "NamespaceNotFound"


@pytest.mark.parametrize("namespace", [None, closed(), closed("no pattern")], ids=["gone", "closed", "bad"])
@pytest.mark.parametrize("phase", ["applying", "applied", "destroying", "destroyed"])
def test_a_delete_never_waits_for_a_namespace_to_open(namespace: Object | None, phase: Phase) -> None:
    last = entry(phase, inputs(built=True))
    assert isinstance(next_of(review_app(deleting=True), entry=last, namespace=namespace), Destroy)
    if phase.startswith("destroy"):
        # The last life is cleaned up, whatever becomes of the next.
        assert isinstance(next_of(review_app(), entry=last, namespace=namespace), Destroy)


def test_what_the_rules_do_not_give_is_refused() -> None:
    action = next_of(review_app(fork=True))
    assert isinstance(action, Refuse)
    assert action.error.reason == "NotAllowed"
    assert isinstance(next_of(review_app(fork=True, deleting=True), entry=entry("applied", inputs())), Destroy)


def test_who_has_no_place_waits() -> None:
    crowded = TooManyApps([Refusal("spec", "", "waits")])
    assert next_of(review_app(), crowded=crowded) == Refuse(crowded)
    running = entry("applied", inputs(built=True))
    # What lives is taken down only where the oldest are to make room.
    assert next_of(review_app(), entry=running, crowded=crowded) == Nothing()
    view = View(review_app(), entry=running, namespace=NAMESPACE, crowded=crowded)
    assert isinstance(decide(view, SETTINGS.model_copy(update={"when_full": "oldest-waits"}), NOW), Destroy)


ORPHAN = {naming.ORPHAN_ANNOTATION: "true"}


def test_a_delete_that_was_given_up_leaves_what_there_is() -> None:
    known = entry("destroying", inputs())
    given_up = review_app(deleting=True, annotations=ORPHAN)
    assert next_of(given_up, entry=known) == Abandon(known.inputs.stack, known.namespaces)
    # Nor does it take an engine that never comes to an end, or a journal that was lost.
    assert next_of(given_up) == Abandon(known.inputs.stack, ("review-shop", "reviewapp-builds"))
    assert next_of(review_app(deleting=True, claimed=False, annotations=ORPHAN), entry=known) == Nothing()


@pytest.mark.parametrize("value", ["false", "", "True"])
def test_only_the_word_true_gives_a_delete_up(value: str) -> None:
    item = review_app(deleting=True, annotations={naming.ORPHAN_ANNOTATION: value})
    assert isinstance(next_of(item, entry=entry("applied", inputs())), Destroy)


def test_before_its_deletion_an_orphan_to_be_lives_as_others_do() -> None:
    applied(next_of(review_app(annotations=ORPHAN)))
    known = entry("destroying", inputs())
    assert isinstance(next_of(review_app(annotations=ORPHAN), entry=known), Destroy)
