"""Build one component from its Go module into the cache, once, and say what is going on.

A build is made beside its final folder and renamed into place when whole, so a killed build leaves
nothing that looks finished. Knows nothing about what the programs are for.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from dev.console import Step, fail
from dev.paths import TOOLCHAIN
from dev.toolchain.components import Component


def programs_folder(component: Component) -> Path:
    """The folder that holds, or will hold, the component's programs."""
    return TOOLCHAIN / component.key


def is_built(component: Component) -> bool:
    """Whether every program of the component is in the cache."""
    return all((programs_folder(component) / program).is_file() for program in component.programs)


def build(component: Component) -> Path:
    """Build the component unless it is there; return the folder of its programs.

    Raises:
        SystemExit: Go is missing or the build failed; the message names the log.
    """
    target = programs_folder(component)
    if is_built(component):
        return target
    if shutil.which("go") is None:
        fail(
            "Go is not installed", f"{component.name} is built from source: install Go 1.26 or newer and run this again"
        )
    TOOLCHAIN.mkdir(parents=True, exist_ok=True)
    with _exclusive(TOOLCHAIN / f"{component.key}.lock"):
        if not is_built(component):
            _build(component, target)
    return target


def _build(component: Component, target: Path) -> None:
    module = TOOLCHAIN / f"{component.key}.build"
    programs = module / "bin"
    log = TOOLCHAIN / f"{component.key}.log"
    shutil.rmtree(module, ignore_errors=True)
    programs.mkdir(parents=True)
    (module / "go.mod").write_text(_go_mod(component))
    if component.own_main:
        shutil.copy(component.source, module / "main.go")
    label = f"build {component.name} {component.version} (about {component.minutes:g} min on two cores, once)"
    with Step(label) as step, log.open("w") as output:
        if component.own_main:
            _go(["mod", "tidy"], module, component, output, step)
        _go(
            ["build", "-v", "-trimpath", *_flags(component), "-o", f"{programs}/", *_packages(component)],
            module,
            component,
            output,
            step,
        )
    if component.program and not (programs / component.program).exists():
        next(programs.iterdir()).rename(programs / component.program)
    shutil.rmtree(target, ignore_errors=True)
    programs.rename(target)
    shutil.rmtree(module)


def _go(arguments: list[str], module: Path, component: Component, log: TextIO, step: Step) -> None:
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false", "GOWORK": "off"}
    with subprocess.Popen(
        ["nice", "go", *arguments],
        cwd=module,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        count = 0
        for line in process.stdout:
            log.write(line)
            if re.fullmatch(r"[\w./~-]+\n", line):
                count += 1
                step.progress(f"{count} packages, {line.strip()}")
            elif "downloading" in line:
                step.progress(line.strip().removeprefix("go: "))
    log.flush()
    if process.returncode:
        fail(f"{component.name} was not built (go {arguments[0]}, exit {process.returncode})", f"see {log.name}")


def _go_mod(component: Component) -> str:
    requires = [component.module_at, *component.requires]
    lines = ["module reviewapp.invalid/build", "", "go 1.26", ""]
    if component.staging:
        upstream = _upstream_go_mod(component)
        debug = re.search(r"^godebug default=(\S+)", upstream, re.MULTILINE)
        if debug:
            lines.append(f"godebug default={debug[1]}")
        # Kubernetes keeps these modules in its own tree; each is also released as v0.<minor>.<patch>.
        released = "v0." + component.version.split(".", 1)[1]
        lines += [
            f"replace {m} => {m} {released}" for m in re.findall(r"^\s*(\S+) => \./staging/", upstream, re.MULTILINE)
        ]
    lines += [f"require {path} {version}" for path, version in (r.split("@") for r in requires)]
    return "\n".join(lines) + "\n"


def _upstream_go_mod(component: Component) -> str:
    go_env = os.environ | {"GOFLAGS": "-mod=mod", "GOWORK": "off"}
    subprocess.run(["go", "mod", "download", component.module_at], check=True, env=go_env, cwd="/", capture_output=True)
    cache = subprocess.run(["go", "env", "GOMODCACHE"], check=True, capture_output=True, text=True).stdout.strip()
    return (Path(cache) / component.module_at / "go.mod").read_text()


def _flags(component: Component) -> list[str]:
    variables = [f"-X {name}={value}" for name, value in component.variables]
    flags = ["-ldflags", " ".join(["-s", "-w", *variables])]
    return flags + (["-tags", ",".join(component.tags)] if component.tags else [])


def _packages(component: Component) -> list[str]:
    if component.own_main:
        return ["."]
    return [component.module if package == "." else f"{component.module}/{package}" for package in component.packages]


@contextmanager
def _exclusive(lock: Path) -> Generator[None]:
    """Hold a lock file, so that two clones do not build the same thing at once."""
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with Step(f"wait for the other build that holds {lock.name}"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
