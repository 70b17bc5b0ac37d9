"""What `reviewapp show` says of one review app, block by block. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provisioner.review_app import Status
from stacks import naming
from watcher.cluster import Object, entries, section
from watcher.listing import pull_request_of, short, standing_of
from watcher.parts import Declared, pod_state
from watcher.tables import NOTHING, age, cell, duration

Table = tuple[Sequence[str], list[list[str]]]

_LABEL_WIDTH = 12
_SHORT_MESSAGE = 100


def shown(
    review_app: Object, declared: Sequence[Declared], pods: Sequence[Object], now: float, *, wide: bool
) -> Iterator[str | Table]:
    """Yield lines and tables, in their order.

    Args:
        review_app: as the API has it.
        declared: what its stack declares.
        pods: its Pods, of builds and of the app.
        now: Unix time.
        wide: whether messages are shown whole.
    """
    for label, value in _facts(review_app, declared, now):
        yield f"{label:<{_LABEL_WIDTH}}{cell(value)}"
    yield ""
    yield _conditions(review_app, now, wide=wide)
    yield ""
    if declared:
        yield ("OBJECT", "STATE"), [[item.name, item.state] for item in declared]
    else:
        yield "it declares nothing: its spec is refused"
    if pods:
        yield ""
        yield ("POD", "STATE", "RESTARTS", "AGE"), [_pod(pod, now) for pod in pods]


def _facts(review_app: Object, declared: Sequence[Declared], now: float) -> Iterator[tuple[str, object]]:
    metadata, spec = review_app["metadata"], section(review_app, "spec")
    status = Status.read(review_app.get("status"))
    how = standing_of(review_app)
    since = f" for {age(how.since, now)}" if how.since else ""
    yield "name", metadata["name"]
    yield "for", f"{pull_request_of(review_app)}, branch {spec.get('branch', NOTHING)}"
    yield "status", f"{status.app_status or NOTHING}, {'ready' if how.ready else f'not ready: {how.reason}'}{since}"
    yield "url", status.url
    yield "commit", _commits(spec, declared)
    yield "build", _build(status, now)
    yield "image", status.image
    yield "digest", status.image_digest
    yield "stack", status.stack
    yield "namespace", section(spec, "config").get("namespace")
    annotations = section(metadata, "annotations")
    if annotations.get(naming.PAUSED_ANNOTATION) == "true":
        yield "paused", f"yes: reviewapp resume {metadata['name']}"
    yield "created", f"{metadata.get('creationTimestamp', NOTHING)} ({age(metadata.get('creationTimestamp'), now)} ago)"


def _commits(spec: Object, declared: Sequence[Declared]) -> str:
    """Say which commit is wanted and, where another runs, which does."""
    wanted = short(spec.get("commitHash")) or NOTHING
    running = _running_commit(declared)
    if running is None:
        return f"{wanted} (none runs)"
    return wanted if running == spec.get("commitHash") else f"{wanted} ({short(running)} runs until it is there)"


def _running_commit(declared: Sequence[Declared]) -> str | None:
    for item in declared:
        live = item.live
        if live and live["kind"] == "Deployment" and live["spec"].get("replicas"):
            return section(live, "spec", "template", "metadata", "annotations").get(naming.COMMIT_ANNOTATION)
    return None


def _build(status: Status, now: float) -> str:
    if not status.build_job_name:
        return NOTHING
    began = f", begun {duration(max(0.0, now - status.build_started_at))} ago" if status.build_started_at else ""
    return f"{status.build_status or NOTHING}{began}, Job {status.build_job_name}"


def _conditions(review_app: Object, now: float, *, wide: bool) -> Table:
    rows: list[list[str]] = []
    for entry in Status.read(review_app.get("status")).conditions:
        message = cell(entry.message)
        if not wide and len(message) > _SHORT_MESSAGE:
            message = f"{message[: _SHORT_MESSAGE - 1]}…"
        rows.append([entry.type, entry.status, entry.reason, age(entry.last_transition_time, now), message])
    how = standing_of(review_app)
    if not rows:
        rows.append([NOTHING, NOTHING, how.reason, NOTHING, how.message])
    return ("CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"), rows


def _pod(pod: Object, now: float) -> list[str]:
    metadata = pod["metadata"]
    restarts = sum(status.get("restartCount", 0) for status in entries(pod, "status", "containerStatuses"))
    name = f"{metadata['namespace']}/{metadata['name']}"
    return [name, pod_state(pod), str(restarts), age(metadata["creationTimestamp"], now)]
