"""Previews by a real engine: what they see, and that they leave everything as it was."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from pydantic import SecretStr

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.errors import ApplyRefused, SecretsUnreadable, StackLocked
from provisioner.preview.model import Preview, ResourceChange
from provisioner.settings import Settings
from provisioner.stack import Stacks
from stacks.inputs import StackInputs
from stacks.review_app import declare
from tests import samples
from tests.golden.preview import renderings
from tests.integration.conftest import SECRET_VALUE, MakeInputs, label_of, never
from tests.integration.half_done import HalfDone
from watcher.cluster import Object

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

Objects = Callable[[str], dict[str, Object]]
Change = tuple[str, str]


def changes(preview: Preview) -> list[Change]:
    return [(change.operation, f"{change.kind}/{change.name}") for change in preview.changes]


def state(folder: Path) -> dict[str, bytes]:
    """All files of the backend by name, and of the work folders."""
    files = [path for part in ("state", "work") for path in (folder / "data" / part).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def applied(items: dict[str, Object]) -> dict[str, Object]:
    """What the engine made of each object, and when; not what controllers add to it."""
    kept: dict[str, Object] = {}
    for name, item in items.items():
        fields = [entry for entry in item["metadata"]["managedFields"] if entry["manager"] == label_of(item)]
        metadata = item["metadata"] | {"resourceVersion": None, "managedFields": fields}
        metadata["annotations"] = {**metadata["annotations"], "deployment.kubernetes.io/revision": None}
        kept[name] = item | {"status": None, "metadata": metadata}
    return kept


def test_a_new_stack_is_previewed_and_nothing_of_it_is_left(
    stacks: Stacks, backend: Backend, make_inputs: MakeInputs, objects: Objects, tmp_path: Path
) -> None:
    inputs = make_inputs()
    preview = stacks.preview(inputs, 0)
    assert preview.is_new
    assert preview.counts == {"create": 7, "update": 0, "replace": 0, "delete": 0}
    assert preview.unchanged == 0
    assert objects(inputs.stack) == {}
    assert list((tmp_path / "data" / "work").iterdir()) == []
    assert not any(inputs.stack in path for path in state(tmp_path))
    assert stacks.destroy(inputs.stack, 0, never).changes == {}
    assert not backend.project(inputs.stack, 0).seems_to_exist


def test_the_same_inputs_change_nothing(stacks: Stacks, make_inputs: MakeInputs) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    preview = stacks.preview(inputs, 0)
    assert not preview.is_new
    assert (preview.changes, preview.unchanged) == ((), 7)


def test_no_part_that_is_left_out_is_an_update_for_ever(stacks: Stacks, make_inputs: MakeInputs) -> None:
    inputs = make_inputs(build=False)
    bare = inputs.workload.model_copy(
        update={
            "environment": {},
            "migrate": None,
            "pull_secret_name": None,
            "secret_names": (),
            "config_map_names": (),
        }
    )
    route = inputs.route.model_copy(update={"tls": None})
    inputs = inputs.model_copy(update={"workload": bare, "route": route})
    stacks.up(inputs, 0)
    assert stacks.preview(inputs, 0).changes == ()
    assert not stacks.up(inputs, 0).changed


def test_a_push_is_previewed_and_nothing_is_touched(
    stacks: Stacks, make_inputs: MakeInputs, objects: Objects, tmp_path: Path
) -> None:
    inputs, pushed = make_inputs(commitHash="a" * 40), make_inputs(commitHash="b" * 40, port=5001)
    stacks.up(inputs, 0)
    files, before = state(tmp_path), applied(objects(inputs.stack))
    preview = stacks.preview(pushed, 0)
    assert changes(preview) == [
        ("create", "Job/shop-7--bbbbbbbbbb"),
        ("update", "Deployment/shop-7"),
        ("update", "NetworkPolicy/shop-7"),
        ("update", "Service/shop-7"),
        ("delete", "Job/shop-7--aaaaaaaaaa"),
    ]
    assert preview.unchanged == 3
    (port,) = next(change for change in preview.changes if change.kind == "Service").properties
    assert (port.path, port.old, port.new) == ("spec.ports[0].targetPort", 5000, 5001)
    assert state(tmp_path) == files
    assert applied(objects(inputs.stack)) == before
    assert stacks.preview(pushed, 0) == preview
    result = stacks.up(pushed, 0)
    assert (result.changes["create"], result.changes["update"], result.changes["delete"]) == (1, 3, 1)


def test_a_locked_stack_is_previewed_and_the_lock_stays(backend: Backend, make_inputs: MakeInputs) -> None:
    half_done = HalfDone()
    inputs = make_inputs(build=False)
    changed = inputs.model_copy(update={"workload": inputs.workload.model_copy(update={"port": 5001})})
    Stacks(backend).up(changed, 0)
    with ThreadPoolExecutor(1) as pool:
        update = pool.submit(Stacks(backend, half_done.program).up, inputs, 0)
        assert half_done.reached.wait(60)
        try:
            preview = Stacks(backend).preview(inputs, 1)
            with pytest.raises(StackLocked):
                Stacks(backend).up(inputs, 1)
        finally:
            half_done.go_on.set()
        result = update.result(60)
    assert preview.counts["update"] == result.changes["update"] == 3
    assert Stacks(backend).preview(inputs, 0).changes == ()


def test_previews_of_one_stack_can_go_on_at_the_same_time(stacks: Stacks, make_inputs: MakeInputs) -> None:
    inputs = make_inputs()
    stacks.up(inputs, 0)
    together = threading.Barrier(2, timeout=60)

    def preview(slot: int) -> Preview:
        together.wait()
        return stacks.preview(make_inputs(port=5001), slot)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(preview, range(2))
    assert first == second
    assert first.counts["update"] == 3


def test_no_rendering_has_a_secret(backend: Backend, stacks: Stacks, make_inputs: MakeInputs) -> None:
    inputs = make_inputs(tarballUrl="https://user:the-password@example.com/a.tar.gz?signature=the-signature")
    stacks.up(inputs, 0)
    assert inputs.build
    job = inputs.build.model_copy(update={"tarball_url": inputs.build.tarball_url + "-of-another"})
    environment = {"SECRET": "another value that nobody may read"}
    changed = inputs.model_copy(
        update={
            "build": job,
            "route": inputs.route.model_copy(update={"tls": None}),
            "workload": inputs.workload.model_copy(update={"environment": environment}),
        }
    )

    def with_marked(inputs: StackInputs) -> None:
        declare(inputs)
        data: Any = {"value": pulumi.Output.secret(environment["SECRET"])}
        metadata: Any = {"name": "c", "namespace": inputs.namespace}
        kubernetes.core.v1.ConfigMap("c", metadata=metadata, data=data)

    previews = [stacks.preview(changed, 0), Stacks(backend, with_marked).preview(inputs, 0)]
    Stacks(backend, with_marked).up(inputs, 0)
    previews += [stacks.preview(changed, 0)]
    assert previews[0].counts == {"create": 0, "update": 3, "replace": 1, "delete": 1}
    secrets = [SECRET_VALUE, environment["SECRET"], "the-password", "the-signature"]
    forms = {form for text in secrets for form in (text, base64.b64encode(text.encode()).decode().rstrip("="))}
    forms.add(samples.CERTIFICATE.key.get_secret_value())
    for preview in previews:
        for rendering in [*renderings(preview).values(), repr(preview)]:
            assert not [form for form in forms if form in rendering]
    by_path = {difference.path: difference for change in previews[0].changes for difference in change.properties}
    assert by_path["data.SECRET"].secret
    assert by_path['spec.template.metadata.annotations["reviewtron.k8s.revelry.co/environment"]'].secret
    assert by_path["spec.template.spec.initContainers[0].env[0].value"].secret


def with_claim(name: str | None) -> Callable[[StackInputs], None]:
    """A program that declares a volume too, of that name."""

    def program(inputs: StackInputs) -> None:
        declare(inputs)
        if name is not None:
            metadata: Any = {
                "name": name,
                "namespace": inputs.namespace,
                "annotations": {"pulumi.com/skipAwait": "true", "pulumi.com/patchFieldManager": inputs.stack},
            }
            spec: Any = {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Mi"}},
                "storageClassName": "none",
            }
            kubernetes.core.v1.PersistentVolumeClaim("data", metadata=metadata, spec=spec)

    return program


def test_a_volume_that_goes_is_data_that_is_lost(backend: Backend, make_inputs: MakeInputs) -> None:
    inputs = make_inputs(build=False)
    Stacks(backend, with_claim("one")).up(inputs, 0)
    assert Stacks(backend, with_claim("one")).preview(inputs, 0).losses == ()
    for operation, name, following in (("delete", "one", None), ("replace", "two", "two")):
        preview = Stacks(backend, with_claim(following)).preview(inputs, 0)
        (loss,) = preview.losses
        assert (loss.operation, str(loss)) == (operation, f"PersistentVolumeClaim {inputs.namespace}/{name}")
        assert renderings(preview)["md"].startswith("> [!CAUTION]\n> **Data is lost:**\n")
        assert "data is lost" in preview.verdict
    (difference,) = loss.properties
    assert (difference.path, difference.replaces) == ("metadata.name", True)


def test_what_the_api_server_refuses_is_an_error_of_the_preview(backend: Backend, make_inputs: MakeInputs) -> None:
    def program(inputs: StackInputs) -> None:
        metadata: Any = {"name": "wrong", "namespace": inputs.namespace}
        kubernetes.core.v1.Service("wrong", metadata=metadata, spec={"ports": [{"port": 70_000}]})

    with pytest.raises(ApplyRefused) as caught:
        Stacks(backend, program).preview(make_inputs(), 0)
    assert caught.value.reason == "Invalid"


def test_values_that_only_the_update_decides_are_said_to_be_unknown(backend: Backend, make_inputs: MakeInputs) -> None:
    inputs = make_inputs()

    def program(name: str) -> Callable[[StackInputs], None]:
        def declare_two(inputs: StackInputs) -> None:
            first_metadata: Any = {"name": name, "namespace": inputs.namespace}
            first = kubernetes.core.v1.Secret(name, metadata=first_metadata)
            metadata: Any = {"name": "second", "namespace": inputs.namespace}
            kubernetes.core.v1.ConfigMap("second", metadata=metadata, data={"id": first.id})

        return declare_two

    Stacks(backend, program("first")).up(inputs, 0)
    preview = Stacks(backend, program("other")).preview(inputs, 0)
    (change,) = [change for change in preview.changes if change.name == "second"]
    (difference,) = change.properties
    assert (difference.path, difference.unknown) == ("data.id", True)
    assert (difference.old, difference.new) == (f"{inputs.namespace}/first", None)
    assert "(known after the update)" in renderings(preview)["txt"]


def test_another_passphrase_previews_nothing(
    stacks: Stacks, engine: Engine, make_inputs: MakeInputs, settings: Settings
) -> None:
    inputs = make_inputs(build=False)
    stacks.up(inputs, 0)
    other = Backend(settings.model_copy(update={"passphrase": SecretStr("quite another passphrase")}), engine)
    with pytest.raises(SecretsUnreadable):
        Stacks(other).preview(inputs, 0)
    other.close()


@pytest.mark.parametrize("provider", ["local", "passphrase"])
def test_it_is_the_same_from_elsewhere(provider: str, engine: Engine, make_inputs: MakeInputs, tmp_path: Path) -> None:
    """As `reviewapp preview` does it: the state is another process's, and all folders are its own."""
    settings = samples.settings(data_folder=tmp_path / "data", secrets_provider=provider)
    here = Backend(settings, engine)
    inputs = make_inputs(build=False)
    Stacks(here).up(inputs, 0)
    elsewhere = Backend(
        settings.model_copy(update={"data_folder": tmp_path / "other", "backend_url": here.url}), engine
    )
    changed = make_inputs(build=False, port=5001)
    files = state(tmp_path)
    assert Stacks(elsewhere).preview(changed, 0) == Stacks(here).preview(changed, 0)
    assert state(tmp_path) == files
    new = Stacks(elsewhere).preview(make_inputs("8"), 0)
    assert new.is_new
    assert new.changes[0] == ResourceChange("create", "apps/v1", "Deployment", inputs.namespace, "shop-8")
    for backend in (here, elsewhere):
        backend.close()
