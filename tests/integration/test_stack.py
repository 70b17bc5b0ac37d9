"""Stacks on a real engine, provider and API server: what an update makes, costs and leaves behind."""

from __future__ import annotations

import base64
import gzip
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.errors import SecretsUnreadable
from provisioner.ownership import Ownership, ownership
from provisioner.settings import Settings
from provisioner.stack import Stacks, UpdateResult
from stacks.inputs import StackInputs
from stacks.review_app import manifests
from tests import samples
from tests.integration.conftest import SECRET_VALUE, MakeInputs, label_of, never
from watcher.cluster import DECLARED, JOBS, SECRETS, Cluster, Object

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

Objects = Callable[[str], dict[str, Object]]


def declared(inputs: StackInputs) -> set[str]:
    return {f"{manifest['kind']}/{manifest['metadata']['name']}" for manifest in manifests(inputs)}


def applied_at(items: dict[str, Object]) -> dict[str, list[str]]:
    """When the engine last changed each object, by the API server's own record."""
    return {
        name: [entry["time"] for entry in item["metadata"]["managedFields"] if entry["manager"] == label_of(item)]
        for name, item in items.items()
    }


def test_first_update_makes_all_objects_in_two_runs(stacks: Stacks, make_inputs: MakeInputs, objects: Objects) -> None:
    inputs = make_inputs()
    result = stacks.up(inputs, 0)
    assert set(objects(inputs.stack)) == declared(inputs)
    assert result.engine_runs == 2
    assert result.changes["create"] == len(declared(inputs)) + 1  # The stack itself is one.
    assert result.outputs == {
        "url": "https://shop-7.review.example.com",
        "image": inputs.workload.image,
        "commit": inputs.workload.commit,
        "namespace": inputs.namespace,
    }


def test_no_change_is_one_run_and_changes_nothing(stacks: Stacks, make_inputs: MakeInputs, objects: Objects) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    before = applied_at(objects(inputs.stack))
    result = stacks.up(inputs, 0)
    assert result.engine_runs == 1
    assert not result.changed
    assert result.outputs["image"] == inputs.workload.image
    assert applied_at(objects(inputs.stack)) == before


def test_a_change_updates_in_place_in_one_run(
    stacks: Stacks, make_inputs: MakeInputs, cluster: Cluster, objects: Objects
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    before = {name: item["metadata"]["uid"] for name, item in objects(inputs.stack).items()}
    changed = inputs.model_copy(
        update={"workload": inputs.workload.model_copy(update={"environment": {"SECRET": "other"}})}
    )
    result = stacks.up(changed, 0)
    assert result.engine_runs == 1
    assert result.changes["update"] == 2  # The Secret, and the Deployment whose Pods have to start anew.
    assert not {"create", "delete", "replace"} & set(result.changes)
    after = objects(inputs.stack)
    assert {name: item["metadata"]["uid"] for name, item in after.items()} == before
    secret = cluster.get(SECRETS, inputs.namespace, "shop-7--env")
    assert secret is not None
    assert base64.b64decode(secret["data"]["SECRET"]) == b"other"


def test_a_superseded_build_is_gone_when_the_update_ends(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects
) -> None:
    first, second = make_inputs(commitHash="a" * 40), make_inputs(commitHash="b" * 40)
    assert first.build
    assert second.build
    stacks.up(first, 0)
    stacks.up(second, 0)
    jobs = {name for name in objects(first.stack) if name.startswith("Job/")}
    assert jobs == {f"Job/{second.build.job_name}"}


def test_destroy_leaves_nothing(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, backend: Backend, tmp_path: Path
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    result = stacks.destroy(inputs.stack, 0, never)
    assert result.engine_runs == 2
    assert objects(inputs.stack) == {}
    left = [path for path in (tmp_path / "data").rglob("*") if inputs.stack in path.name and path.suffix != ".log"]
    assert [path for path in left if path.is_file()] == []
    assert not backend.project(inputs.stack, 0).seems_to_exist


def test_destroy_of_no_stack_does_nothing(stacks: Stacks) -> None:
    result = stacks.destroy("acme.never.1", 0, never)
    assert result.changes == {}
    assert result.engine_runs == 1


def test_destroy_needs_no_work_folder(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, tmp_path: Path
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    for file in (tmp_path / "data" / "work" / inputs.stack).iterdir():
        file.unlink()
    stacks.destroy(inputs.stack, 0, never)
    assert objects(inputs.stack) == {}


def test_a_lost_work_folder_loses_no_secret(stacks: Stacks, make_inputs: MakeInputs, tmp_path: Path) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    for file in (tmp_path / "data" / "work" / inputs.stack).iterdir():
        file.unlink()
    result = stacks.up(inputs, 0)
    assert not result.changed
    assert result.engine_runs == 1


@pytest.mark.parametrize("provider", ["local", "passphrase"])
def test_no_file_of_the_engine_has_a_secret(
    provider: str, engine: Engine, make_inputs: MakeInputs, tmp_path: Path
) -> None:
    settings = samples.settings(data_folder=tmp_path / "data", secrets_provider=provider)
    backend = Backend(settings, engine)
    inputs = make_inputs(build=False)
    stacks = Stacks(backend)
    stacks.up(inputs, 0)
    stacks.up(inputs.model_copy(update={"route": inputs.route.model_copy(update={"ingress_class": "other"})}), 0)
    secrets = [SECRET_VALUE, settings.passphrase.get_secret_value(), samples.CERTIFICATE.key.get_secret_value()]
    forms = [form for text in secrets for form in (text.encode(), base64.b64encode(text.encode()).rstrip(b"="))]
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    checkpoints = [path for path in files if path.name == f"{inputs.stack}.json"]
    assert b"kubernetes:core/v1:Secret" in checkpoints[0].read_bytes()
    assert [path for path in files if inputs.route.host.encode() in _content(path)] != []  # What is no secret is found.
    assert [path for path in files if any(form in _content(path) for form in forms)] == []
    assert stacks.up(inputs, 0).changed
    stacks.destroy(inputs.stack, 0, never)
    backend.close()


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def test_another_passphrase_opens_nothing(
    stacks: Stacks, engine: Engine, make_inputs: MakeInputs, settings: Settings
) -> None:
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    other = Backend(settings.model_copy(update={"passphrase": SecretStr("quite another passphrase")}), engine)
    with pytest.raises(SecretsUnreadable, match="passphrase"):
        Stacks(other).up(inputs, 0)
    with pytest.raises(SecretsUnreadable):
        Stacks(other).destroy(inputs.stack, 0, never)
    other.close()
    stacks.destroy(inputs.stack, 0, never)


def test_a_restart_opens_what_was_made_before(engine: Engine, make_inputs: MakeInputs, settings: Settings) -> None:
    inputs = make_inputs(build=False)
    results: list[UpdateResult] = []
    for _ in range(2):
        backend = Backend(settings, engine)
        results.append(Stacks(backend).up(inputs, 0))
        backend.close()
    assert [(result.changed, result.engine_runs) for result in results] == [(True, 2), (False, 1)]


def test_parallel_updates_do_not_mix(stacks: Stacks, make_inputs: MakeInputs, objects: Objects) -> None:
    count = 4
    everyone_runs = threading.Barrier(count, timeout=60)
    all_inputs = [make_inputs(str(number), build=False, port=6000 + number) for number in range(100, 100 + count)]

    def update(slot: int) -> None:
        for round_number in range(3):
            everyone_runs.wait()
            inputs = all_inputs[slot]
            workload = inputs.workload.model_copy(update={"environment": {"ROUND": str(round_number)}})
            result = stacks.up(inputs.model_copy(update={"workload": workload}), slot)
            assert result.outputs["url"] == f"https://{inputs.name}.review.example.com"
            assert result.changed

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(update, range(count)))
    for slot, inputs in enumerate(all_inputs):
        found = objects(inputs.stack)
        assert set(found) == declared(inputs)
        assert {label_of(item) for item in found.values()} == {inputs.stack}
        port = found[f"Service/{inputs.name}"]["spec"]["ports"][0]["targetPort"]
        assert port == 6100 + slot
        secret = found[f"Secret/{inputs.name}--env"]
        assert base64.b64decode(secret["data"]["ROUND"]) == b"2"


def test_updates_leave_no_temporary_folder(
    stacks: Stacks, make_inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    stacks.destroy(inputs.stack, 0, never)
    assert list(temporary.iterdir()) == []


# To a state in S3 the engine needs what AWS_* has.
@pytest.mark.parametrize("state_kind", ["file"])
def test_the_engine_does_not_see_the_watchers_environment(
    stacks: Stacks, make_inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for the engine")
    monkeypatch.setenv("REVIEWAPP_PASSPHRASE", "not for the engine")
    seen: list[bytes] = []

    def spy(inputs: StackInputs) -> None:
        seen.extend(Path(f"/proc/{pid}/environ").read_bytes() for pid in _engines())

    backend = stacks._backend  # pyright: ignore[reportPrivateUsage]
    Stacks(backend, spy).up(make_inputs(), 0)
    assert len(seen) == 1
    assert b"PULUMI_BACKEND_URL" in seen[0]
    assert b"not for the engine" not in seen[0]
    assert samples.settings().passphrase.get_secret_value().encode() not in seen[0]


def _engines() -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text()
            except OSError:
                continue
            if state.split()[1] == "(pulumi)" and int(state.rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(entry.name))
    return found


def test_ownership_by_what_the_api_server_has(
    stacks: Stacks, make_inputs: MakeInputs, cluster: Cluster, objects: Objects
) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    for manifest in manifests(inputs):
        resource = DECLARED[manifest["apiVersion"], manifest["kind"]]
        live = cluster.get(resource, inputs.namespace, manifest["metadata"]["name"])
        assert ownership(live, inputs.stack) is Ownership.OURS
        assert ownership(live, "acme.other.1") is Ownership.FOREIGN
    stranger = {"metadata": {"name": "stranger", "labels": inputs.labels}, "data": {}}
    made = cluster.create(SECRETS, inputs.namespace, stranger)
    assert ownership(made, inputs.stack) is Ownership.FOREIGN


def test_what_kueue_writes_to_a_build_job_stays(
    stacks: Stacks, make_inputs: MakeInputs, cluster: Cluster, objects: Objects
) -> None:
    inputs = make_inputs()
    assert inputs.build
    inputs = inputs.model_copy(update={"build": inputs.build.model_copy(update={"queue": "builds"})})
    stacks.up(inputs, 0)
    build = inputs.build
    assert build
    job = cluster.get(JOBS, build.namespace, build.job_name)
    assert job
    assert job["spec"]["suspend"] is True

    # What its controller does when the Job's turn comes.
    spec = {"suspend": False, "template": {"spec": {"nodeSelector": {"flavor": "builds"}}}}
    cluster.patch(JOBS, build.namespace, build.job_name, {"spec": spec})
    scaled = inputs.model_copy(update={"workload": inputs.workload.model_copy(update={"replicas": 1})})
    assert stacks.up(scaled, 0).changes.get("update") == 1

    job = cluster.get(JOBS, build.namespace, build.job_name)
    assert job
    assert (job["spec"]["suspend"], job["spec"]["template"]["spec"]["nodeSelector"]) == (False, {"flavor": "builds"})
