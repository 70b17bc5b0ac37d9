"""Make what a release has beside its images: wheel, source archive, and a bill of materials. The wheel is tried first.

Publishes nothing. The version is that of git's tags.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.utils import canonicalize_name

from dev.console import Step, fail
from dev.licences import packages
from dev.paths import CACHE, REPOSITORY


def release(folder: Path = REPOSITORY / "dist") -> list[Path]:
    """Make wheel, source archive and bill of materials in a folder, in place of what was there; return the files.

    The wheel comes out of the source archive, and is installed alone, with the versions of requirements.lock, into an
    environment that has nothing else: what the bill lists is what is in that.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with Step("build the source archive, and the wheel from it"):
        _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY))
    (wheel,) = folder.glob("*.whl")
    with tempfile.TemporaryDirectory() as name:
        environment = Path(name) / "environment"
        with Step("install the wheel into an empty environment, and run it"):
            install(wheel, environment)
            _run(str(environment / "bin" / "reviewapp"), "--help")
        bill = folder / f"{wheel.name.partition('-py3')[0]}.cdx.json"
        with Step("list what is in there"):
            _run(
                str(Path(sys.executable).with_name("cyclonedx-py")),
                "environment",
                str(environment / "bin" / "python"),
                f"--pyproject={REPOSITORY / 'pyproject.toml'}",
                "--output-format=JSON",
                "--output-reproducible",
                f"--output-file={bill}",
            )
    if not json.loads(bill.read_text())["components"]:
        fail(f"{bill.name} is empty", "see what cyclonedx-py finds")
    return sorted(folder.iterdir())


def install(wheel: Path, environment: Path) -> None:
    """Make an environment with a wheel and what it needs, in the versions of requirements.lock."""
    uv = shutil.which("uv") or next(map(str, sorted(CACHE.glob("uv-*/bin/uv"))), None)
    if uv is None:
        fail("there is no uv", "run `dev/bootstrap.sh release`, which installs it")
    _run(uv, "venv", "--quiet", "--python", sys.executable, str(environment))
    python = str(environment / "bin" / "python")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(_locked({package.name for package in packages("")}))
        file.flush()
        # As whoever runs this has installed them, and so without asking an index for anything.
        options = ("--quiet", "--python", python, "--no-deps")
        _run(uv, "pip", "install", *options, "--require-hashes", "--requirement", file.name)
    _run(uv, "pip", "install", *options, str(wheel))
    _run(uv, "pip", "check", "--quiet", "--python", python)


def _locked(names: set[str]) -> str:
    """Return the entries of requirements.lock with these names."""
    entries = re.findall(r"^(([\w.-]+)==.*\n(?: .*\n)*)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    return "".join(entry for entry, name in entries if canonicalize_name(name) in names)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    if done.returncode:
        fail(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-2000:]}", "mend what it says")
