"""Files that come with a Go module: read from Go's module cache, fetched through the module proxy when missing."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from dev.console import fail


def module_folder(module_at: str) -> Path:
    """The unpacked source of a module, `path@version`, read-only.

    Raises:
        SystemExit: the module could not be fetched.
    """
    environment = os.environ | {"GOFLAGS": "-mod=mod", "GOWORK": "off"}
    done = subprocess.run(
        ["go", "mod", "download", "-json", module_at],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        fail(f"the Go module {module_at} was not fetched: {said}", "check that the Go module proxy can be reached")
    return Path(json.loads(done.stdout)["Dir"])
