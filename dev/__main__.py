"""`python -m dev`: the development environment's commands. Each is a thin skin over a function."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated, Literal

import typer

from dev import cluster, container_file, debian
from dev import reference as pages
from dev.cluster.processes import ClusterError
from dev.console import fail, say
from dev.images.publish import publish
from dev.release import release as make_release
from dev.target import NO_CLUSTER, foreign, prepare, registry
from dev.toolchain.build import build, is_built, programs_folder
from dev.toolchain.components import CLUSTER, ENGINE, TESTING

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The local cluster and the programs it is made of.")

# The end-to-end tests mostly wait for Pods: the others run beside them. tests/conftest.py says what stays together.
_ALL_TESTS = ("--numprocesses=2",)


@app.command()
def up() -> None:
    """Bring the local cluster up; what it needs is installed and built first."""
    access = cluster.up()
    say(f"KUBECONFIG={access.kubeconfig}  (inside its network namespace: python -m dev run -- kubectl get pods -A)")


@app.command()
def down(wipe: Annotated[bool, typer.Option("--wipe", help="Delete the cluster's state too.")] = False) -> None:
    """Stop all that `up` started; caches stay."""
    cluster.down(wipe=wipe)


@app.command()
def demo() -> None:
    """Play one pull request's life on the cluster of KUBECONFIG, or on the local one."""
    prepare().run(sys.executable, "-m", "dev.demo")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(arguments: Annotated[list[str] | None, typer.Argument(help="Arguments of pytest.")] = None) -> None:
    """Run the tests, on the cluster of KUBECONFIG or on the local one.

    Where neither is to be had, those that need a cluster are skipped and say why; with CI=true that is a failure.
    Without arguments all tests run, on two processes.
    """
    command = [sys.executable, "-m", "pytest", *(arguments or _ALL_TESTS)]
    reason = None if foreign() else cluster.why_not()
    if reason is None:
        # Where the cluster is, nothing could be fetched to build them.
        folders = [str(build(component)) for component in TESTING]
        os.environ["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
        prepare().run(*command)
    os.execvpe(command[0], command, os.environ | {NO_CLUSTER: reason})


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def benchmark(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Another one, with its arguments, as in `crowd --apps 100`.")
    ] = None,
) -> None:
    """Measure against `kubectl apply`, on the cluster of KUBECONFIG or on the local one."""
    name, *rest = arguments or [""]
    prepare().run(sys.executable, "-m", f"benchmarks.{name}" if name else "benchmarks", *rest)


@app.command()
def status() -> None:
    """Show each part of the cluster; exit code 1 unless it is ready."""
    found = cluster.status()
    for part in found.parts:
        say(f"{part.name:<24} {part.pid or 'not running':<12} {part.log}")
    say("ready" if found.ready else "left over from a cluster that is not whole" if found.leftovers else "not ready")
    raise typer.Exit(0 if found.ready else 1)


@app.command()
def toolchain() -> None:
    """Build every program that is not in the cache yet."""
    for component in (*CLUSTER, *ENGINE):
        say(f"{component.name:<24} {build(component)}")


@app.command()
def images() -> None:
    """Push the builder's images to the local registry, and show what they are called."""
    debian.install()
    access = cluster.up()
    for reference in publish(access.registry, access.inside).values():
        say(reference)


@app.command()
def image(
    target: Annotated[
        Literal["watcher", "unpack", "ci"], typer.Argument(help="Which of the images that the Dockerfile has.")
    ] = "watcher",
    publish: Annotated[bool, typer.Option("--publish", help="Push it to the cluster's registry too.")] = False,
) -> None:
    """Build an image by the Dockerfile, with Docker, Podman or Buildah, and say what takes its room.

    The last line is what it is called: with --publish, in the registry of KUBECONFIG's cluster, or of the local one.
    """
    if publish:
        say(container_file.publish(target, *registry()))
        return
    with_, name = container_file.build(target), container_file.name(target)
    for part, size in container_file.sizes(with_, name).items():
        if size:
            say(f"{size / 1e6:>7.0f} MB  {part}")
    say(name)


@app.command()
def reference(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if it is old.")] = False,
) -> None:
    """Write docs/reference/ anew: settings and fields from the models, licences from what is installed."""
    pages.check() if check else pages.write()


@app.command()
def docs() -> None:
    """Build the documentation's site into site/; a link that leads nowhere is an error."""
    # The theme prints an advertisement of its successor otherwise.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    os.execve(sys.executable, [sys.executable, "-m", "mkdocs", "build", "--strict"], environment)


@app.command()
def release() -> None:
    """Make dist/ anew: wheel, source, and a list of what the wheel installs (CycloneDX); the wheel is tried first."""
    say("\n".join(str(file) for file in make_release()))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(command: Annotated[list[str], typer.Argument(help="Program and arguments.")]) -> None:
    """Run a command where the local cluster is reached, with KUBECONFIG and PATH set."""
    access = cluster.ClusterAccess()
    if not cluster.status().ready:
        fail("the local cluster is not up", "run `python -m dev up`")
    folders = [str(programs_folder(component)) for component in (*CLUSTER, *ENGINE) if is_built(component)]
    search = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
    environment = os.environ | {"KUBECONFIG": str(access.kubeconfig), "PATH": search}
    if shutil.which(command[0], path=search) is None:
        fail(f"there is no program {command[0]}", f"it was looked for in {search}")
    os.execvpe(access.inside[0], [*access.inside, *command], environment)


@app.command()
def shell() -> None:
    """Open a shell where the local cluster is reached."""
    run([os.environ.get("SHELL", "/bin/sh")])


def main() -> None:
    """Run the command line; a failure of the cluster is said without a traceback."""
    try:
        app()
    except ClusterError as error:
        fail(
            str(error), "`python -m dev up` cleans up and tries again; `python -m dev down --wipe` starts from nothing"
        )


if __name__ == "__main__":
    main()
