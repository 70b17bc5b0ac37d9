"""The documentation's site, as `make docs` builds it: each link in it leads somewhere, on the site too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dev.paths import REPOSITORY


def test_it_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "examples/gitlab-ci/.gitlab-ci.yml").is_file()
