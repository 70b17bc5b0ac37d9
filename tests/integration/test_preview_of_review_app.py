"""What `reviewapp preview` says of a ReviewApp, by the journal, the cluster and the engine, without a watcher."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import config
from kubernetes.client import Configuration

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.errors import SpecRefused, StackNotFound
from provisioner.preview.model import Preview
from provisioner.render import read
from provisioner.settings import Settings
from provisioner.stack import Stacks
from stacks import naming
from stacks.inputs import StackInputs
from tests import samples
from tests.golden.preview import renderings
from tests.integration.conftest import NAMESPACES, SECRET_VALUE, never
from watcher.cluster import SECRETS, SERVICES, Cluster, Object, Resource
from watcher.decide import wanted
from watcher.journal import Entry, Journal, Phase
from watcher.preview import NotPreviewed, preview
from watcher.view import View

pytestmark = [pytest.mark.engine, pytest.mark.cluster]

_QUOTAS = Resource("v1", "ResourceQuota", "resourcequotas")
_PASSPHRASE = "a passphrase of a test"
_NAME = "acme-shop-7"
# A registry that answers, that it has nothing of these.
_REGISTRY = f"{os.environ.get('REVIEWAPP_REGISTRY', 'registry.example.com')}/of-previews"
_INSECURE = os.environ.get("REVIEWAPP_REGISTRY_INSECURE", "false")


@dataclasses.dataclass(frozen=True)
class Installation:
    """What a watcher would have, without one that runs: no Pod starts in its namespaces."""

    cluster: Cluster
    namespace: str
    system: str
    settings: Settings
    stacks: Stacks

    def review_app(self, commit: str = "a" * 40, **changes: Any) -> Object:
        document = samples.review_app()
        values = [{"name": "SECRET", "value": SECRET_VALUE}]
        document["metadata"] = {"name": _NAME}
        document["spec"] |= {"pr": "7", "commitHash": commit}
        config = {"namespace": self.namespace, "env": {"values": values}, "database": None} | changes
        document["spec"]["config"] |= config
        return document

    def inputs(self, review_app: Object, entry: Entry | None = None) -> StackInputs:
        return wanted(View(review_app, entry), read(review_app).spec, self.settings)

    def note(self, inputs: StackInputs, phase: Phase = "applied", name: str = _NAME) -> Entry:
        """Write into the journal what a watcher would."""
        entry = Entry(name, phase, inputs, (self.namespace, self.system), "watcher-0")
        journal = Journal(self.cluster, self.system)
        journal.load()
        journal.write(entry)
        return entry

    def deployed(self, review_app: Object) -> Entry:
        """Bring its stack to where it is after its build, and note it."""
        inputs = self.inputs(review_app)
        inputs = inputs.model_copy(update={"workload": inputs.workload.model_copy(update={"replicas": 1})})
        self.stacks.up(inputs, 0)
        return self.note(inputs)

    def preview(self, review_app: Object, *, built: bool = False, cluster: Cluster | None = None) -> Preview:
        return preview(cluster or self.cluster, self.settings, self.stacks, review_app, built=built)


@pytest.fixture
def installation(cluster: Cluster, engine: Engine, namespace: str, tmp_path: Path) -> Generator[Installation]:
    system = f"{namespace}-system"
    cluster.create(NAMESPACES, None, {"metadata": {"name": system}})
    allowed = {"metadata": {"annotations": {naming.ALLOW_ANNOTATION: "acme/*"}}}
    cluster.patch(NAMESPACES, None, namespace, allowed)
    for place in (namespace, system):
        cluster.create(_QUOTAS, place, {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}})
    settings = samples.settings(
        passphrase=_PASSPHRASE,
        data_folder=tmp_path / "data",
        namespace=system,
        build_namespace=system,
        registry=_REGISTRY,
        registry_insecure=_INSECURE,
    )
    backend = Backend(settings, engine)
    made = Installation(cluster, namespace, system, settings, Stacks(backend))
    yield made
    made.stacks.destroy("acme.shop.7", 0, never)
    backend.close()
    cluster.delete(NAMESPACES, None, system)


def changes(found: Preview) -> list[tuple[str, str]]:
    return [(change.operation, f"{change.kind}/{change.name}") for change in found.changes]


def test_the_first_commit(installation: Installation) -> None:
    found = installation.preview(installation.review_app())
    assert found.is_new
    assert found.counts["create"] == 6
    assert found.assumptions == (
        "the build of commit aaaaaaaaaaaa has not succeeded yet: what comes after it is shown with --built",
    )
    assert (found.obstacles, found.unseen) == ((), ())


def test_a_push_builds_first_and_the_old_version_stays(installation: Installation) -> None:
    entry = installation.deployed(installation.review_app())
    pushed = installation.review_app("b" * 40)
    found = installation.preview(pushed)
    assert changes(found) == [("create", "Job/shop-7--bbbbbbbbbb"), ("delete", "Job/shop-7--aaaaaaaaaa")]
    assert found.unchanged == 5
    result = installation.stacks.up(installation.inputs(pushed, entry), 0)
    assert (result.changes["create"], result.changes["delete"], result.changes["same"]) == (1, 1, 6)


def test_with_its_build_done_the_new_version_runs(installation: Installation) -> None:
    installation.deployed(installation.review_app())
    found = installation.preview(installation.review_app("b" * 40), built=True)
    assert ("update", "Deployment/shop-7") in changes(found)
    assert found.assumptions == ("the build of commit bbbbbbbbbbbb has succeeded",)
    (deployment,) = [change for change in found.changes if change.kind == "Deployment"]
    images = [difference for difference in deployment.properties if difference.path.endswith("[0].image")]
    assert {difference.new for difference in images} == {f"{_REGISTRY}/acme/shop:7-bbbbbbbbbbbb"}


def test_what_runs_is_not_previewed_as_waiting(installation: Installation) -> None:
    installation.deployed(installation.review_app())
    found = installation.preview(installation.review_app())
    assert (found.changes, found.assumptions) == ((), ())


def test_objects_of_others_are_in_the_way(installation: Installation) -> None:
    service = {"metadata": {"name": "shop-7"}, "spec": {"ports": [{"port": 80}]}}
    installation.cluster.create(SERVICES, installation.namespace, service)
    found = installation.preview(installation.review_app())
    (obstacle,) = found.obstacles
    assert obstacle.startswith(f"Service {installation.namespace}/shop-7 exists and is not this review app's")
    assert "as things are, the update fails" in found.verdict


def test_a_namespace_that_is_not_there_is_in_the_way(installation: Installation) -> None:
    found = installation.preview(installation.review_app(namespace="there-is-no-such-namespace"))
    (obstacle,) = found.obstacles
    assert obstacle.startswith("namespace there-is-no-such-namespace was refused (it is not there)")


def test_a_namespace_that_takes_others_is_in_the_way(installation: Installation) -> None:
    others = {"metadata": {"annotations": {naming.ALLOW_ANNOTATION: "acme/site-*"}}}
    installation.cluster.patch(NAMESPACES, None, installation.namespace, others)
    found = installation.preview(installation.review_app())
    (obstacle,) = found.obstacles
    assert obstacle.startswith(f"spec.config.namespace: '{installation.namespace}' is not open to acme/shop: ")


def test_what_may_not_be_looked_at_is_said(
    installation: Installation, kubectl: Callable[..., str], tmp_path: Path
) -> None:
    kubectl("create", "role", "reader", "--verb=list", "--resource=secrets,pods,jobs.batch", "-n", installation.system)
    account = f"--serviceaccount={installation.system}:default"
    kubectl("create", "rolebinding", "reader", "--role=reader", account, "-n", installation.system)
    document: dict[str, Any] = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    document["users"][0]["user"] = {"token": kubectl("create", "token", "default", "-n", installation.system).strip()}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(document))
    limited = Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=limited)  # pyright: ignore[reportUnknownMemberType]
    found = installation.preview(installation.review_app(), cluster=Cluster(limited))
    assert found.counts["create"] == 6
    assert found.obstacles == ()
    # Two namespaces, whom one of them takes, five objects.
    assert len(found.unseen) == 2 + 1 + 6
    assert found.unseen[0].startswith(f"whether namespace {installation.namespace} is there: ")
    assert f"whether Ingress {installation.namespace}/shop-7 is somebody else's: " in found.unseen[-1]


def test_a_registry_that_does_not_answer_is_said(installation: Installation) -> None:
    settings = installation.settings.model_copy(update={"registry": "127.0.0.1:9/apps"})
    found = dataclasses.replace(installation, settings=settings).preview(installation.review_app())
    image, layers = found.unseen
    assert image.startswith("whether the registry has 127.0.0.1:9/apps/acme/shop:7-aaaaaaaaaaaa already: ")
    assert layers.startswith("whether the registry has 127.0.0.1:9/apps/acme/shop:cache already: ")
    assert "refused" in image


@pytest.fixture
def kubectl() -> Callable[..., str]:
    def run(*arguments: str) -> str:
        done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_an_update_that_is_under_way_is_not_seen(installation: Installation) -> None:
    entry = installation.deployed(installation.review_app())
    installation.note(entry.inputs, "applying")
    found = installation.preview(installation.review_app())
    assert found.unseen == ("what an update changes that is under way, has failed or was cut off",)


def test_a_state_without_the_stack_is_the_wrong_one(installation: Installation) -> None:
    installation.note(installation.inputs(installation.review_app()))
    with pytest.raises(StackNotFound, match="see that backend_url is the one it was made with"):
        installation.preview(installation.review_app())


@pytest.mark.parametrize("phase", ["destroying", "destroyed"])
def test_the_end_of_a_last_life_is_waited_for(installation: Installation, phase: Phase) -> None:
    installation.note(installation.inputs(installation.review_app()), phase)
    with pytest.raises(NotPreviewed, match=r"acme\.shop\.7 of the last ReviewApp acme-shop-7 is on its way out"):
        installation.preview(installation.review_app())


def test_a_review_app_that_goes_is_not_previewed(installation: Installation) -> None:
    review_app = installation.review_app()
    review_app["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    with pytest.raises(NotPreviewed, match="is being deleted"):
        installation.preview(review_app)


def test_another_review_apps_stack_is_refused(installation: Installation) -> None:
    installation.note(installation.inputs(installation.review_app()), name="another")
    with pytest.raises(SpecRefused, match="has the ReviewApp another already"):
        installation.preview(installation.review_app())


def test_the_certificate_is_copied_and_not_shown(installation: Installation) -> None:
    private = "-----BEGIN PRIVATE KEY----- not for anybody"
    data = {"tls.crt": "a certificate", "tls.key": private}
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    body = {"metadata": {"name": "wildcard"}, "type": "Opaque", "data": encoded}
    installation.cluster.create(SECRETS, installation.system, body)
    installation.deployed(installation.review_app())
    settings = installation.settings.model_copy(update={"tls_secret": f"{installation.system}/wildcard"})
    found = dataclasses.replace(installation, settings=settings).preview(installation.review_app())
    assert changes(found) == [("create", "Secret/shop-7--tls"), ("update", "Ingress/shop-7")]
    for rendering in renderings(found).values():
        assert not {form for form in (private, encoded["tls.key"]) if form in rendering}


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def reviewapp(installation: Installation, tmp_path: Path) -> Run:
    """Runs the command as somebody with the watcher's settings does, with a ReviewApp on stdin."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def run(*arguments: str, given: object = "", **more: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "APP_DOMAIN": "review.example.com",
            "REGISTRY": _REGISTRY,
            "REGISTRY_INSECURE": _INSECURE,
            "PASSPHRASE": _PASSPHRASE,
            "DATA_FOLDER": str(tmp_path / "data"),
            "NAMESPACE": installation.system,
            "BUILD_NAMESPACE": installation.system,
        }
        bare = {name: value for name, value in os.environ.items() if not name.startswith("REVIEWAPP_")}
        environment = bare | {f"REVIEWAPP_{name}": value for name, value in settings.items()}
        return subprocess.run(
            [str(Path(sys.executable).with_name("reviewapp")), "preview", *arguments],
            env=environment | {"TMPDIR": str(temporary)} | more,
            input=given if isinstance(given, str) else json.dumps(given),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_command_in_each_format(installation: Installation, reviewapp: Run, tmp_path: Path) -> None:
    installation.deployed(installation.review_app())
    pushed = installation.review_app("b" * 40)
    expected = renderings(installation.preview(pushed))
    before = files(tmp_path / "data")
    for output, suffix in (("text", "txt"), ("markdown", "md"), ("json", "json")):
        done = reviewapp("-f", "-", "--format", output, given=pushed)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == expected[suffix]
    assert files(tmp_path / "data") == before
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_command_refuses_with_a_line_for_each_error(installation: Installation, reviewapp: Run) -> None:
    wrong = installation.review_app("no commit", applicationPort="no port")
    done = reviewapp("-f", "-", given=wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "standard input: spec.commitHash: 'no commit' must be a commit's hash: 7 to 64 hexadecimal digits",
        "standard input: spec.config.applicationPort: 'no port' must be a whole number",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"metadata": {}}, "standard input: metadata.name: is missing: add it"),
        ({"metadata": "x"}, "standard input: metadata.name: is missing: add it"),
        ({"kind": "Pod"}, "standard input: kind: 'Pod' must be ReviewApp: nothing else is taken"),
    ],
)
def test_the_command_refuses_what_is_no_review_app(
    installation: Installation, reviewapp: Run, change: Object, line: str
) -> None:
    done = reviewapp("-f", "-", given=installation.review_app() | change)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{line}\n")


def test_the_command_refuses_more_than_one(installation: Installation, reviewapp: Run) -> None:
    first = yaml.safe_dump(installation.review_app())
    line = len(first.splitlines()) + 2
    done = reviewapp("-f", "-", given=f"{first}---\n{first}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"standard input:{line}: text: is a further object: preview one at a time\n"


def test_the_command_fails_with_a_line(installation: Installation, reviewapp: Run, tmp_path: Path) -> None:
    given = installation.review_app()
    for more, line in (
        ({"REVIEWAPP_DATA_FOLDER": "/nowhere"}, "error: there is no state in /nowhere/state: run this where"),
        ({"REVIEWAPP_PASSPHRASE": "short"}, "error: passphrase: (not shown) must be at least 16 characters"),
    ):
        done = reviewapp("-f", "-", given=given, **more)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(line)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [(), ("acme-shop-7", "-f", "-"), ("-f", "-", "--commit", "a" * 40)])
def test_the_command_takes_a_name_or_a_file(reviewapp: Run, arguments: tuple[str, ...]) -> None:
    done = reviewapp(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
