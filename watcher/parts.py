"""What one review app has in the cluster: what its stack declares, its Pods, and the Events of all of them.

Found by names and labels that follow from its ReviewApp, so that reading needs the user's own rights on those objects
alone: not the watcher's settings, and not its journal. Changes nothing.
"""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import urlsplit

from pydantic import SecretStr

from provisioner.databases import Known
from provisioner.desired import stack_inputs, wanted_build
from provisioner.errors import SpecRefused
from provisioner.review_app import Status, parse
from provisioner.settings import StackSettings
from stacks import naming, workload
from stacks.inputs import TLS, Gateway, Route, StackInputs
from stacks.manifest import Manifest
from stacks.review_app import manifests, stack_label_selector
from watcher.cluster import DECLARED, EVENTS, HTTP_ROUTES, PODS, ApiRefused, Cluster, Object, entries, section
from watcher.conditions import JobState, condition, job_state
from watcher.databases import READY, database_attempt
from watcher.observation import asked_stack

# What the kubelet and the controllers add to the names of what they make.
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"


@dataclasses.dataclass(frozen=True)
class Declared:
    """An object that the stack declares.

    Attributes:
        name: as `Kind namespace/name`.
        live: the object, or None where there is none or it may not be read.
        state: in a few words how it is; `missing`, `not needed`, or `not allowed to look`.
    """

    name: str
    live: Object | None
    state: str


def stack_of(review_app: Object) -> str | None:
    """Return the name of a ReviewApp's stack."""
    return Status.read(review_app.get("status")).stack or asked_stack(review_app)


def declared(cluster: Cluster, review_app: Object, build_namespace: str) -> list[Declared]:
    """Return what the stack of a ReviewApp declares, with how each object is; nothing where its spec is refused."""
    found: list[Declared] = []
    for manifest in _manifests(cluster, review_app, build_namespace):
        metadata = manifest["metadata"]
        name = f"{manifest['kind']} {metadata['namespace']}/{metadata['name']}"
        try:
            live = cluster.get(
                DECLARED[manifest["apiVersion"], manifest["kind"]], metadata["namespace"], metadata["name"]
            )
        except ApiRefused as error:
            if error.status != 403:
                raise
            found.append(Declared(name, None, "not allowed to look"))
            continue
        found.append(Declared(name, live, _state(live) if live else _absence(manifest, review_app)))
    return found


def pods(cluster: Cluster, review_app: Object, namespace: str) -> list[Object]:
    """Return the Pods in a namespace that carry the label of a ReviewApp's stack, oldest first."""
    stack = stack_of(review_app)
    items, _ = cluster.list(PODS, namespace, label_selector=stack_label_selector(stack)) if stack else ([], "")
    return sorted(items, key=lambda pod: pod["metadata"]["creationTimestamp"])


def readable_pods(cluster: Cluster, review_app: Object, build_namespace: str) -> list[Object]:
    """Return all Pods of a ReviewApp, of the app and of builds, but for those of a namespace that may not be read."""
    found: list[Object] = []
    for namespace in (app_namespace(review_app) or build_namespace, build_namespace):
        try:
            found += pods(cluster, review_app, namespace)
        except ApiRefused as error:
            if error.status != 403:
                raise
    return found


def is_of_app(pod: Object) -> bool:
    """Whether a Pod is one of the app, not of a build."""
    return section(pod, "metadata", "labels").get(naming.COMPONENT_LABEL) == workload.COMPONENT


def app_namespace(review_app: Object) -> str | None:
    """Return the namespace of a ReviewApp's app, or the one that it asks for where it has none yet."""
    return section(review_app, "status").get("namespace") or section(review_app, "spec", "config").get("namespace")


def events(cluster: Cluster, review_app: Object, build_namespace: str) -> list[Object]:
    """Return the Events of a ReviewApp and of what it has, the last ones last."""
    name, uid = review_app["metadata"]["name"], review_app["metadata"]["uid"]
    found = [
        event
        # Those of objects without a namespace are there.
        for event in cluster.list(EVENTS, "default")[0]
        if (_about(event).get("kind"), _about(event).get("name"), _about(event).get("uid")) == ("ReviewApp", name, uid)
    ]
    patterns = _names(review_app)
    for namespace in sorted({app_namespace(review_app) or build_namespace, build_namespace}):
        found += [event for event in cluster.list(EVENTS, namespace)[0] if _is_of(event, patterns)]
    return sorted(found, key=last_seen)


def last_seen(event: Object) -> str:
    """Return when an Event was there last, as the API writes times."""
    times = (event.get("lastTimestamp"), section(event, "series").get("lastObservedTime"), event.get("eventTime"))
    # Some have fractions of a second, which the others lack: without them the text sorts as the time does.
    return re.sub(r"\.\d+", "", next(filter(None, times), None) or event["metadata"]["creationTimestamp"])


def _about(event: Object) -> Object:
    return section(event, "involvedObject")


def _is_of(event: Object, patterns: dict[str, str]) -> bool:
    about = _about(event)
    pattern = patterns.get(about.get("kind", ""))
    return pattern is not None and re.fullmatch(pattern, about.get("name", "")) is not None


def _names(review_app: Object) -> dict[str, str]:
    """Return, by kind, a pattern of the names of what a ReviewApp has, those that are gone included."""
    spec, job = section(review_app, "spec"), Status.read(review_app.get("status")).build_job_name
    try:
        app = re.escape(naming.app_name(str(spec["repo"]), str(spec["pr"])))
    except KeyError:
        return {}
    built = f"{re.escape(job)}-[a-z0-9]+" if job else ""
    return {
        **dict.fromkeys(("Deployment", "Service", "Ingress", "HTTPRoute"), app),
        "ReplicaSet": f"{app}-{_SAFE}+",
        "Pod": f"{app}-{_SAFE}+-{_SAFE}{{5}}|{built}",
        **({"Job": re.escape(job)} if job else {}),
    }


def _manifests(cluster: Cluster, review_app: Object, build_namespace: str) -> list[Manifest]:
    """Return what the stack declares, as far as kinds and names go: what settings decide of the rest is made up.

    Where the settings decide of kinds and namespaces, what is there says which.
    """
    status = Status.read(review_app.get("status"))
    address = urlsplit(status.url or "")
    domain = (address.hostname or "").partition(".")[2] or "example.com"
    # Without a look at the environment, as a call of it would take.
    settings = StackSettings.model_construct(app_domain=domain, registry="example.com", build_namespace=build_namespace)
    tls = TLS(certificate=SecretStr(""), key=SecretStr("")) if address.scheme == "https" else None
    try:
        spec = parse(review_app.get("spec"))
        build = wanted_build(spec, settings)
        if status.build_job_name and status.build_commit == spec.commit_hash:
            build = build.model_copy(update={"job_name": status.build_job_name})
        known = Known(ready=condition(review_app, READY) == "True", attempt=database_attempt(review_app))
        inputs = stack_inputs(spec, settings, previous=None, built=True, tls=tls, build=build, known=known)
    except SpecRefused:
        return []
    inputs = inputs.model_copy(update={"namespace": app_namespace(review_app) or inputs.namespace})
    if _has_http_route(cluster, inputs):
        gateway = Gateway(namespace="any", name="any", scheme="https", noindex=True)
        inputs = inputs.model_copy(update={"route": Route(host=domain, ingress_class=None, tls=None, gateway=gateway)})
    return manifests(inputs)


def _has_http_route(cluster: Cluster, inputs: StackInputs) -> bool:
    try:
        return cluster.get(HTTP_ROUTES, inputs.namespace, inputs.name) is not None
    except ApiRefused:
        return False


def _absence(manifest: Manifest, review_app: Object) -> str:
    is_built = Status.read(review_app.get("status")).build_status == "success"
    return "not needed: the image is there" if manifest["kind"] == "Job" and is_built else "missing"


def _state(live: Object) -> str:
    if "deletionTimestamp" in live["metadata"]:
        return "being deleted"
    if live["kind"] == "Job":
        words: dict[JobState, str] = {"succeeded": "Complete", "failed": "Failed"}
        return words.get(job_state(live), "Running")
    if live["kind"] == "Deployment":
        ready = section(live, "status").get("readyReplicas", 0)
        return f"{ready}/{live['spec'].get('replicas', 1)} ready"
    return "there"


def pod_state(pod: Object) -> str:
    """Return how a Pod is, as kubectl says it: the reason of a container that waits or has ended, else its phase."""
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    for status in entries(pod, "status", "initContainerStatuses") + entries(pod, "status", "containerStatuses"):
        waiting, ended = section(status, "state", "waiting"), section(status, "state", "terminated")
        if waiting.get("reason") not in (None, "PodInitializing"):
            return waiting["reason"]
        if ended.get("exitCode"):
            return ended.get("reason") or f"exit code {ended['exitCode']}"
    phase = section(pod, "status").get("phase", "Unknown")
    return "Starting" if phase == "Running" and condition(pod, "Ready") != "True" else phase
