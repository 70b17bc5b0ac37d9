"""What the renderings of previews look like: for each case a file of each format.

`python -m tests.golden.preview` writes them anew. The difference to what was there is then to be read, line by line.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from provisioner.preview.document import document
from provisioner.preview.markdown import markdown
from provisioner.preview.model import Preview, PropertyChange, ResourceChange
from provisioner.preview.text import text

FOLDER = Path(__file__).parent

HOSTILE = "`x`</code>|@org/team\n\x1b[31m<img src=x>\u202e#1 ```"
"""A name or value by someone who wants out of whatever it stands in."""

_COMMIT = 'spec.template.metadata.annotations["reviewtron.k8s.revelry.co/commit"]'
_CLAIM = ResourceChange("delete", "v1", "PersistentVolumeClaim", "review-shop", "shop-42--data")

CASES: dict[str, Preview] = {
    "nothing": Preview("acme.shop.42", False, (), 6),
    "new-stack": Preview(
        "acme.shop.42",
        True,
        (
            ResourceChange("create", "apps/v1", "Deployment", "review-shop", "shop-42"),
            ResourceChange("create", "batch/v1", "Job", "reviewapp-builds", "shop-42--8a1f0e3c5b"),
            ResourceChange("create", "v1", "Service", "review-shop", "shop-42"),
        ),
        0,
    ),
    "built": Preview(
        "acme.shop.42",
        False,
        (
            ResourceChange(
                "update",
                "apps/v1",
                "Deployment",
                "review-shop",
                "shop-42",
                (
                    PropertyChange("spec.replicas", "update", 0, 1),
                    PropertyChange(_COMMIT, "update", "8a1f0e3c5b", "b2c3d4e5f6"),
                    PropertyChange("spec.template.spec.containers[0].envFrom[2]", "add", None, {"b": [1], "a": True}),
                    PropertyChange("spec.template.spec.initContainers[0].args[1]", "delete", "old"),
                ),
            ),
            ResourceChange(
                "update",
                "v1",
                "Secret",
                "review-shop",
                "shop-42--env",
                (
                    PropertyChange("data.A", "add", secret=True),
                    PropertyChange("data.B", "update", secret=True),
                    PropertyChange("data.C", "delete", secret=True),
                ),
            ),
            ResourceChange(
                "replace",
                "batch/v1",
                "Job",
                "reviewapp-builds",
                "shop-42--b2c3d4e5f6",
                (
                    PropertyChange(
                        "spec.template.spec.initContainers[0].image", "update", "unpack:1", "unpack:2", replaces=True
                    ),
                    PropertyChange("metadata.uid", "update", "1", unknown=True),
                ),
            ),
            ResourceChange("delete", "batch/v1", "Job", "reviewapp-builds", "shop-42--8a1f0e3c5b"),
        ),
        3,
        assumptions=("the build of commit b2c3d4e5f6 succeeds",),
    ),
    "loses-data": Preview(
        "acme.shop.42",
        False,
        (
            ResourceChange(
                "replace",
                "kubedb.com/v1",
                "Postgres",
                "review-shop",
                "shop-42--db",
                (PropertyChange("spec.version", "update", "15.2", "16.4", replaces=True),),
            ),
            _CLAIM,
        ),
        1,
        obstacles=("Secret review-shop/shop-42--env exists and is not this review app's",),
        unseen=("whether Ingress review-shop/shop-42 is somebody else's: it can't be read (HTTP 403 Forbidden)",),
    ),
    "hostile": Preview(
        "acme.shop.42",
        False,
        (
            ResourceChange(
                "replace",
                "v1",
                "PersistentVolumeClaim",
                HOSTILE,
                HOSTILE,
                (PropertyChange(HOSTILE, "update", HOSTILE),),
            ),
        ),
        0,
        assumptions=(HOSTILE,),
        obstacles=(HOSTILE,),
        unseen=(HOSTILE,),
    ),
}


def renderings(preview: Preview) -> dict[str, str]:
    """Return what a preview looks like, by the suffix of the file; `ansi` is the text on a terminal."""
    return {
        "txt": _printed(preview, is_terminal=False),
        "ansi": _printed(preview, is_terminal=True),
        "md": markdown(preview),
        "json": json.dumps(document(preview), indent=2, ensure_ascii=False) + "\n",
    }


def _printed(preview: Preview, *, is_terminal: bool) -> str:
    stream = io.StringIO()
    colours = "standard" if is_terminal else None
    console = Console(file=stream, force_terminal=is_terminal, color_system=colours, highlight=False, soft_wrap=True)
    console.print(text(preview))
    return stream.getvalue()
