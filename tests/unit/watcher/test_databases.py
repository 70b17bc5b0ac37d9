"""How a database is, from what the cluster says of it."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.database_copy import copy_job_name
from stacks.inputs import Database
from tests.unit.stacks.test_database import database, inputs_with
from watcher.cluster import Object
from watcher.databases import READY, DatabaseState, database_attempt, database_state

RESET = {"reviewtron.k8s.revelry.co/reset-database": "once more"}

UP: dict[str, tuple[str, Object, Object]] = {
    "postgres": ("StatefulSet", {}, {"readyReplicas": 1}),
    "kubedb": ("Postgres", {"init": {"initialized": True}}, {"phase": "Ready"}),
    "cloudnative-pg": ("Cluster", {}, {"readyInstances": 1}),
}


def item(kind: str, spec: Object, status: Object) -> Object:
    return {"kind": kind, "metadata": {"name": "shop-42--db"}, "spec": spec, "status": status}


def job(made: Database, *conditions: str, failed: int = 0) -> Object:
    inputs, _ = inputs_with(made)
    assert made.copy_from
    entries = [{"type": name, "status": "True"} for name in conditions]
    name = copy_job_name(inputs, made, made.copy_from)
    return {"metadata": {"name": name}, "status": {"conditions": entries, "failed": failed}}


def pod(made: Database, *states: Object, kind: str = "initContainerStatuses", server: bool = False) -> Object:
    name = "shop-42--db-0" if server else f"{job(made)['metadata']['name']}-x"
    labels = {"reviewtron.k8s.revelry.co/component": "database"}
    if not server:
        labels = {"batch.kubernetes.io/job-name": job(made)["metadata"]["name"]}
    names = ["dump", "restore", "anonymise"]
    return {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"initContainers": [{"name": n} for n in names[:2]], "containers": [{"name": names[2]}]},
        "status": {kind: [{"name": n, "state": state} for n, state in zip(names, states, strict=False)]},
    }


def ended(message: str, code: int = 1) -> Object:
    return {"terminated": {"exitCode": code, "message": message}}


def state(made: Database, items: list[Object], jobs: list[Object], pods: list[Object]) -> DatabaseState:
    inputs, _ = inputs_with(made)
    return database_state(inputs, made, items, jobs, pods)


@pytest.mark.parametrize("backend", UP)
def test_it_is_ready_with_server_and_copy(backend: str) -> None:
    made = database(backend)
    up = item(*UP[backend])
    done = [job(made, "Complete")]
    assert state(made, [up], done, []).ready
    down = item(UP[backend][0], {}, {"phase": "Provisioning"})
    assert state(made, [down], done, []).reason == "DatabaseStarting"
    assert state(made, [], done, []).reason == "DatabaseStarting"


def test_kubedb_is_ready_only_once_the_script_has_run() -> None:
    made = database("kubedb")
    assert not state(made, [item("Postgres", {"init": {}}, {"phase": "Ready"})], [], []).ready
    without = database("kubedb", copy=None)
    assert state(without, [item("Postgres", {}, {"phase": "Ready"})], [], []).ready


def test_progress_is_said_step_by_step() -> None:
    made = database()
    up = [item(*UP["postgres"])]
    assert state(made, up, [job(made)], []).message == "the data is being copied"
    first = state(made, up, [job(made)], [pod(made, {"running": {}})])
    assert (first.ready, first.reason) == (False, "Copying")
    assert first.message == "the data is being copied: step 1 of 3, dump"
    second = state(made, up, [job(made)], [pod(made, ended("dumped 2 tables, 7 KiB\n", 0), {"running": {}})])
    assert second.message == "the data is being copied: step 2 of 3, restore (dumped 2 tables, 7 KiB)"


def test_a_failure_is_tried_again_and_then_said() -> None:
    made = database()
    up = [item(*UP["postgres"])]
    pods = [pod(made, ended("pg_dump failed:\nConnection refused"))]
    assert state(made, up, [job(made, failed=1)], pods).reason == "CopyRetrying"
    found = state(made, up, [job(made, "Failed", failed=4)], pods)
    assert (found.ready, found.reason) == (False, "CopyFailed")
    assert "Connection refused" in found.message
    assert "correct copyFrom.host" in found.message
    assert "config.database.reset" in found.message


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("pg_restore failed:\nERROR: could not extend file: No space left on device", "storageSize"),
        (
            'pg_restore failed:\npg_restore: error: COPY failed for table "orders": ERROR:  could not extend file '
            '"base/16385/16395": No space left on device\nHINT:  Check free disk space.\nCONTEXT:  COPY orders, line '
            "229941\npg_restore: error: a worker process died unexpectedly",
            "ask for more in config.database.storageSize",
        ),
        (
            "pg_restore failed:\npg_restore: error: error returned by PQputCopyData: server closed the connection "
            "unexpectedly\n\tThis probably means the server terminated abnormally",
            "see the last lines of the database's Pod",
        ),
        (
            'the new database does not answer:\npsql: error: connection to server at "shop-42--db" (10.0.0.1), '
            "port 5432 failed: Connection refused",
            "see the last lines of the database's Pod",
        ),
        ('FATAL: password authentication failed for user "a"', "correct copyFrom.user"),
        ("could not translate host name", "correct copyFrom.host"),
        ("aborting because of server version mismatch", "config.database.version"),
        ("no matching tables were found", "copyFrom.tables"),
        ("permission denied for table secrets", "copyFrom.excludeTables"),
        ('ERROR: type "public.citext" does not exist', "config.database.extensions"),
        ('FATAL: database "x" does not exist', "copyFrom.database"),
        ("copyFrom.database_url does not parse: its port is no number", "correct config.database.copyFrom"),
        ("something else altogether", "mend what it says"),
    ],
)
def test_each_failure_has_its_remedy(said: str, remedy: str) -> None:
    made = database()
    found = state(made, [item(*UP["postgres"])], [job(made, "Failed")], [pod(made, ended(said))])
    assert said in found.message
    assert remedy in found.message.rpartition("→")[2]


def test_a_server_that_ended_under_the_copy_says_why_itself() -> None:
    made = database()
    copied = pod(made, ended("pg_restore: error: server closed the connection unexpectedly"))
    last = 'FATAL:  could not write to file "pg_wal/xlogtemp.806": No space left on device'
    server = pod(made, ended(last), kind="containerStatuses", server=True)
    found = state(made, [item("StatefulSet", {}, {})], [job(made, "Failed")], [copied, server])
    assert found.reason == "CopyFailed"
    assert "server closed the connection unexpectedly" in found.message
    assert last in found.message
    assert found.message.rpartition("→")[2].startswith(" ask for more in config.database.storageSize")


def test_a_secret_that_is_missing() -> None:
    made = database()
    waiting: dict[str, Any] = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "a" not found'}}
    found = state(made, [item(*UP["postgres"])], [job(made)], [pod(made, waiting)])
    assert found.reason == "CreateContainerConfigError"
    assert "create it in the app's namespace" in found.message


def test_kubedbs_script_fails_in_the_server() -> None:
    made = database("kubedb")
    down = item("Postgres", {}, {"phase": "DataRestoring"})
    failed = pod(made, ended("pg_dump failed:\nConnection refused"), kind="containerStatuses", server=True)
    found = state(made, [down], [], [failed])
    assert (found.reason, "Connection refused" in found.message) == ("CopyFailed", True)


def test_one_that_was_ready_and_is_not() -> None:
    made = database(copy=None, settled=True)
    found = state(made, [item("StatefulSet", {}, {})], [], [])
    assert (found.ready, found.reason) == (False, "DatabaseStarting")
    assert state(made, [item(*UP["postgres"])], [], []) == DatabaseState(
        True, READY, "database shop-42--db takes connections"
    )


@pytest.mark.parametrize(("annotations", "again"), [({}, False), ({"x/reset-database": "a"}, False), (RESET, True)])
def test_a_reset_by_annotation(annotations: dict[str, str], again: bool) -> None:
    assert bool(database_attempt({"metadata": {"annotations": annotations}})) == again
    assert database_attempt({"metadata": {}}) == ""
