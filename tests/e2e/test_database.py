"""Databases of review apps, one of each backend at once: copied, migrated once a commit, reset, gone with the app.

Of all that is said, shown, kept and called meanwhile, nothing holds a secret.

The operators are stand-ins (dev/stand_ins); the servers, the copies and the app are real.
"""

from __future__ import annotations

import dataclasses
import signal
from base64 import b64decode
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from dev.installation import Installation
from dev.stand_ins.volumes import CLASS
from stacks import naming
from stacks.database_names import COMPONENT
from tests.e2e.conftest import Repository
from tests.e2e.databases import (
    CATALOGUE,
    ROWS,
    SOURCE,
    AppImages,
    commit,
    copy_from,
    operators,
    start_source,
    until_source_answers,
)
from tests.e2e.exposure import Exposure
from tests.e2e.pull_request import BUILDS, SYSTEM, PullRequest
from tests.e2e.waiting import until
from tests.e2e.watching import RunningWatcher
from watcher.cluster import CLAIMS, REVIEW_APPS, SECRETS, Cluster

pytestmark = pytest.mark.cluster

BACKENDS: dict[str, dict[str, Any]] = {
    "postgres": {"storageClass": CLASS},
    "kubedb": {"backend": "kubedb", "version": CATALOGUE, "storageClass": CLASS},
    "cloudnative-pg": {"backend": "cloudnative-pg", "storageClass": CLASS},
}
SETTINGS = {"database_storage_classes": f'["{CLASS}"]', "database_copy_retries": "1"}
COPY = {"excludeTables": ["audit"], "anonymise": "UPDATE orders SET email = 'nobody@example.com'"}
COPIES = {
    "postgres": copy_from(**COPY),
    "kubedb": copy_from(**COPY),
    "cloudnative-pg": {key: {"value": value} for key, value in SOURCE.items()} | {"host": {"value": "source"}} | COPY,
}
RESETS: dict[str, dict[str, Any]] = {
    "postgres": {"spec": {"config": {"database": {"reset": "again"}}}},
    "kubedb": {"metadata": {"annotations": {naming.RESET_DATABASE_ANNOTATION: "again"}}},
    "cloudnative-pg": {"spec": {"config": {"database": {"reset": "again"}}}},
}
PLANTED = {"password of the source": SOURCE["password"], "value of the app": "a value that nobody may read: $(id) `id`"}
MORE = {
    "migrate": {"command": ["sh", "/migrate.sh"]},
    "env": {"values": [{"name": "PLANTED", "value": PLANTED["value of the app"]}]},
}


@dataclasses.dataclass
class Seen:
    """What was seen of one pull request."""

    pull_request: PullRequest
    waiting: list[str] = dataclasses.field(default_factory=list[str])
    first: list[str] = dataclasses.field(default_factory=list[str])
    pushed: list[str] = dataclasses.field(default_factory=list[str])
    reset: list[str] = dataclasses.field(default_factory=list[str])
    claims: list[str] = dataclasses.field(default_factory=list[str])
    left: list[str] = dataclasses.field(default_factory=list[str])


@dataclasses.dataclass(frozen=True)
class Play:
    seen: dict[str, Seen]
    claims_left: list[str]
    unreachable: PullRequest
    unreachable_says: str
    replicas_of_bad: list[int | None]
    missing_says: str
    half_copied_says: str
    log: Path
    held: str
    exposure: Exposure
    generated: dict[str, str]


def config(database: dict[str, Any]) -> dict[str, Any]:
    return {"database": database, **MORE}


def asked(backend: str, **more: Any) -> dict[str, Any]:
    return BACKENDS[backend] | {"copyFrom": COPIES[backend], "extensions": ["citext"]} | more


def generated_passwords(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Return the passwords of the databases in a namespace, by the names of their Secrets."""
    secrets = cluster.list(SECRETS, namespace, f"{naming.COMPONENT_LABEL}={COMPONENT}")[0]
    return {item["metadata"]["name"]: b64decode(item["data"]["password"]).decode() for item in secrets}


def until_rows(pull_request: PullRequest, version: str) -> list[str]:
    pull_request.until_ready(commit(version))
    answer = until(lambda: pull_request.page("cgi-bin/rows"), f"{pull_request.name} answers")
    return answer.splitlines()


@pytest.fixture(scope="module")
def play(
    new_repository: Callable[[str], AbstractContextManager[Repository]],
    cluster: Cluster,
    installation: Installation,
    session_watcher: RunningWatcher,
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Play]:
    images = AppImages(Path(tmp_path_factory.mktemp("images")))
    if session_watcher.runs:
        assert session_watcher.stop() == 0
    exposure = Exposure()
    with (
        operators(cluster, installation) as stand_ins,
        new_repository("databases") as repository,
        exposure.of_processes(),
    ):
        start_source(cluster, repository.namespace)
        session_watcher.start(**SETTINGS)
        seen = {backend: Seen(repository.pull_request()) for backend in BACKENDS}
        for one in seen.values():
            images.tag("one", one.pull_request.number)
        until_source_answers(cluster, repository.namespace)
        for backend, one in seen.items():
            one.pull_request.open(commit("one"), config(asked(backend)))
        bad = _open_bad(repository, images)
        values = seen["cloudnative-pg"].pull_request
        environment = session_watcher.environment | {
            f"REVIEWAPP_{name.upper()}": text for name, text in SETTINGS.items()
        }
        # Of one that is made anew: every Secret is another one then.
        anew = config(asked("cloudnative-pg", reset="for a preview"))
        exposure.add_previews(environment, values.manifest(commit("one"), anew))
        generated = generated_passwords(cluster, repository.namespace)
        places = (repository.namespace, SYSTEM, BUILDS, "default")
        for one in seen.values():
            exposure.add_objects(cluster, places)
            one.first = until_rows(one.pull_request, "one")
            exposure.add_status(one.pull_request)
        for one in seen.values():
            images.tag("two", one.pull_request.number)
            one.pull_request.push(commit("two"))
        for one in seen.values():
            one.pushed = until_rows(one.pull_request, "two")
        for backend, one in seen.items():
            one.claims = claims(cluster, one.pull_request.namespace)
            cluster.patch(REVIEW_APPS, None, one.pull_request.name, RESETS[backend])
            one.pull_request.until_condition("Ready", "False")
        for one in seen.values():
            one.reset = until_rows(one.pull_request, "two")
        generated |= generated_passwords(cluster, repository.namespace)
        exposure.add_objects(cluster, places)
        for pull_request in [*(one.pull_request for one in seen.values()), *bad]:
            exposure.add_status(pull_request)
        exposure.add_files(session_watcher.folder)
        for pull_request in (bad[0], bad[2]):
            pull_request.until_condition("DatabaseReady", "False", "CopyFailed")
        said = [pull_request.condition("DatabaseReady") for pull_request in bad]
        replicas = [pull_request.replicas() for pull_request in bad]
        stand_ins.send_signal(signal.SIGSTOP)
        for one in [*(one.pull_request for one in seen.values()), *bad]:
            one.close()
        held = _held(seen["kubedb"].pull_request)
        stand_ins.send_signal(signal.SIGCONT)
        for one in seen.values():
            one.pull_request.until_gone()
            one.left = one.pull_request.left()
        until(lambda: not claims(cluster, repository.namespace), "the claims are gone", seconds=30)
        yield Play(
            seen,
            claims(cluster, repository.namespace),
            bad[0],
            said[0]["message"],
            replicas,
            said[1]["message"],
            said[2]["message"],
            session_watcher.log,
            held,
            exposure,
            generated,
        )
    if session_watcher.runs:
        assert session_watcher.stop() == 0


def _held(pull_request: PullRequest) -> str:
    """Return what is said of one whose operator does not answer, once all else of it is gone."""

    def said() -> str | None:
        message: str = pull_request.condition("Ready").get("message", "")
        return message if "held by finalizer" in message else None

    return until(said, f"{pull_request.name} says who holds it", seconds=40)


def _open_bad(repository: Repository, images: AppImages) -> list[PullRequest]:
    """Open one with a source that is not there, one with a Secret that is not, and one that KubeDB can't copy."""
    unreachable = {"database_url": {"value": "postgresql://user:p@ss:w/%@nowhere.invalid/shop"}}
    kubedb = {"backend": "kubedb", "version": CATALOGUE}
    asked = (
        {"copyFrom": unreachable},
        {"copyFrom": {"database_url": {"secretRef": {"name": "nobody", "key": "url"}}}},
        # It has tables of the source by then.
        kubedb | {"copyFrom": copy_from(anonymise="UPDATE nothing SET is_there = 1"), "extensions": ["citext"]},
    )
    found: list[PullRequest] = []
    for database in asked:
        pull_request = repository.pull_request()
        images.tag("one", pull_request.number)
        pull_request.open(commit("one"), config({"ephemeral": True} | database))
        found.append(pull_request)
    return found


def claims(cluster: Cluster, namespace: str) -> list[str]:
    return [claim["metadata"]["name"] for claim in cluster.list(CLAIMS, namespace)[0]]


@pytest.fixture(params=BACKENDS)
def seen(request: pytest.FixtureRequest, play: Play) -> Seen:
    return play.seen[request.param]


def test_it_starts_with_the_sources_data(seen: Seen) -> None:
    rows, tables, _ = seen.first
    total = ROWS * (ROWS + 1) // 2
    # Anonymised: one address for all.
    assert rows == f"{ROWS}|{total}|1"
    assert tables == "public.migrations public.orders"


def test_each_commit_has_migrated_once(seen: Seen) -> None:
    assert seen.first[2] == commit("one")
    assert seen.pushed[2] == f"{commit('one')} {commit('two')}"


def test_a_reset_begins_anew(seen: Seen) -> None:
    assert seen.reset[0] == seen.first[0]
    assert seen.reset[2] == commit("two")


def test_nothing_is_left(seen: Seen, play: Play) -> None:
    assert seen.claims
    assert seen.left == []
    assert play.claims_left == []


def test_an_operator_that_does_not_answer_is_named(play: Play) -> None:
    name = play.seen["kubedb"].pull_request.app
    assert f"/{name}--db" in play.held
    assert "held by finalizer kubedb.com" in play.held


def test_a_source_that_is_not_there_is_said_and_the_app_does_not_start(play: Play) -> None:
    assert "nowhere.invalid" in play.unreachable_says
    assert "p@ss" not in play.unreachable_says
    assert "correct copyFrom.host" in play.unreachable_says


def test_no_app_starts_without_all_its_data(play: Play) -> None:
    assert play.replicas_of_bad == [0, 0, 0]


def test_kubedbs_script_that_failed_half_way_is_said(play: Play) -> None:
    assert "the SQL of copyFrom.anonymise failed" in play.half_copied_says
    assert "correct copyFrom.anonymise" in play.half_copied_says


def test_a_secret_that_is_missing_is_named(play: Play) -> None:
    assert 'secret "nobody" not found' in play.missing_says
    assert "create it in the app's namespace" in play.missing_says


def test_no_secret_comes_to_light(play: Play) -> None:
    texts = play.exposure.texts
    # It was looked through where things are said: what is no secret is found.
    for place, text in {
        "preview as markdown": b"Cluster",
        "ps": b"pg_restore",
        "status of " + play.unreachable.name: b"nowhere.invalid",
        str(play.log): b"updated",
    }.items():
        assert text in texts[place], place
    assert b"pulumi" in texts["ps"]
    assert any(place.startswith("Event ") for place in texts)
    assert any(place.endswith(".json") and "/history/" in place for place in texts)
    assert len(play.generated) >= len(BACKENDS)
    assert play.exposure.of(PLANTED | play.generated) == []
