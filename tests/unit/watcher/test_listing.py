"""What `reviewapp ls` and `reviewapp show` say of a ReviewApp."""

from __future__ import annotations

from typing import Any

from stacks import naming
from tests.unit.watcher.views import FIRST, SECOND, deployment, entry, inputs, review_app
from watcher.cluster import Object
from watcher.listing import COLUMNS, NOT_SEEN, WIDE_COLUMNS, row, standing_of, table
from watcher.parts import Declared
from watcher.showing import shown
from watcher.status import status
from watcher.view import View

NOW = 1_767_225_600.0


def ready(**changes: Any) -> Object:
    item = review_app(**changes)
    item["metadata"]["creationTimestamp"] = "2025-12-31T23:00:00Z"
    view = View(item, entry=entry("applied", inputs(built=True)), deployment=deployment())
    item["status"] = status(view, NOW).model_dump(mode="json", by_alias=True)
    return item


def test_a_row() -> None:
    cells = dict(zip(WIDE_COLUMNS, row(ready(), NOW + 30, wide=True), strict=True))
    assert cells == {
        "NAME": "acme-shop-42",
        "REPO": "acme/shop",
        "PR": "42",
        "BRANCH": "main",
        "COMMIT": "aaaaaaaaaaaa",
        "STATUS": "deployed",
        "READY": "Ready",
        "AGE": "60m",
        "URL": "http://shop-42.example.com",
        "BUILD": "success",
        "NAMESPACE": "review-shop",
        "STACK": "acme.shop.42",
        "IMAGE": "registry:5000/acme/shop:42-aaaaaaaaaaaa",
        "MESSAGE": "commit aaaaaaaaaaaa answers",
    }
    header, (narrow,) = table([ready()], NOW, wide=False)
    assert (header, len(narrow)) == (COLUMNS, len(COLUMNS))


def test_one_that_nobody_has_seen_says_so() -> None:
    item = review_app()
    assert standing_of(item).reason == NOT_SEEN
    assert "reviewapp doctor" in standing_of(item).message
    assert row(item, NOW, wide=False)[5:] == ["-", NOT_SEEN, "-", "-"]


def test_a_change_that_nobody_has_seen_is_not_ready() -> None:
    item = ready()
    item["metadata"]["generation"] = 2
    assert (standing_of(item).ready, standing_of(item).reason) == (False, NOT_SEEN)


def test_what_another_program_wrote_is_no_obstacle() -> None:
    item: Object = {"metadata": {"name": "x"}, "spec": {"repo": 7, "branch": "a\x1b[2J"}, "status": "nonsense"}
    assert row(item, NOW, wide=True)[:5] == ["x", "-/7", "-", "a", "-"]


def text_of(item: Object, declared: list[Declared], pods: list[Object] | None = None, wide: bool = False) -> str:
    blocks = shown(item, declared, pods or [], NOW + 30, wide=wide)
    lines = [
        block if isinstance(block, str) else "\n".join(" ".join(cells) for cells in (block[0], *block[1]))
        for block in blocks
    ]
    return "\n".join(lines)


def deployed(commit: str) -> Declared:
    live = deployment(declared=inputs(built=True, commitHash=commit)) | {"kind": "Deployment"}
    return Declared("Deployment review-shop/shop-42", live, "1/1 ready")


def test_all_of_one_at_a_glance() -> None:
    text = text_of(ready(), [deployed(FIRST), Declared("Service review-shop/shop-42", None, "missing")])
    assert "status      deployed, ready for 30s\n" in text
    assert "commit      aaaaaaaaaaaa\n" in text
    assert "build       success, begun 30s ago, Job shop-42--aaaaaaaaaa\n" in text
    assert "\nReady True Ready 30s commit aaaaaaaaaaaa answers\n" in text
    assert "\nService review-shop/shop-42 missing" in text
    assert "paused" not in text


def test_the_commit_that_runs_meanwhile_is_told() -> None:
    item = ready()
    item["spec"]["commitHash"] = SECOND
    assert "commit      bbbbbbbbbbbb (aaaaaaaaaaaa runs until it is there)\n" in text_of(item, [deployed(FIRST)])
    assert "commit      bbbbbbbbbbbb (none runs)\n" in text_of(item, [])


def test_a_paused_one_says_how_it_goes_on() -> None:
    item = ready(annotations={naming.PAUSED_ANNOTATION: "true"})
    assert "paused      yes: reviewapp resume acme-shop-42\n" in text_of(item, [])


def test_long_messages_are_cut_unless_asked_for() -> None:
    item = ready()
    item["status"]["conditions"][3]["message"] = "first\n" + "x" * 500
    assert "x" * 500 not in text_of(item, [])
    assert "…" in text_of(item, [])
    assert f"first {'x' * 500}" in text_of(item, [], wide=True)


def test_pods_are_told_as_kubectl_does() -> None:
    pod: Object = {
        "metadata": {"namespace": "review-shop", "name": "shop-42-abc", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": "app", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
            ],
        },
    }
    assert "\nreview-shop/shop-42-abc CrashLoopBackOff 3 30s" in text_of(ready(), [], [pod])
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert "Terminating 3" in text_of(ready(), [], [pod])
