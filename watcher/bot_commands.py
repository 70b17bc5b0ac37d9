"""The commands that a bot or a CI job runs: submit, close, comment. Each is a thin skin over functions.

What an option does not say, the CI's variables do. Exit codes: 0, 1 for a failure, 2 for what is refused, 3 when a wait
was too long.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bot.checkout import Checkout
from bot.comment import Report, body, marker
from bot.config import FILE, ignored_by, read_config
from bot.credentials import comments_of
from bot.forge import publish
from bot.job import Forge, Job, owner_and_name, read_job, review_app_name
from bot.outcome import failed_job
from bot.untrusted import logged
from bot.upload import tarball_key, to_bucket, to_url
from provisioner.errors import Refusal, SpecRefused
from provisioner.review_app import Config, Spec, Status, parse
from watcher.cluster import REVIEW_APPS, Cluster, Object, section
from watcher.progress import Waiting, say, tell_retries, uploading
from watcher.submission import PullRequest, TooLate, Written, deleting
from watcher.submission import close as delete_review_app
from watcher.submission import submit as write_review_app
from watcher.waiting import until_gone, until_ready

_REPOSITORY = r"(?!\.{1,2}/)[\w.-]+(/(?!\.{1,2}(/|$))[\w.-]+)+"
_REFUSED = 2
_TOO_LATE = 3
_SHOWN_PATHS = 5

Repository = Annotated[
    str | None,
    typer.Option(help="Where the pull request is opened, as the forge has it: owner/name. (default: the CI job's)"),
]
PullRequestNumber = Annotated[
    str | None, typer.Option("--pr", help="The pull request's number. (default: the CI job's)")
]
Name = Annotated[str | None, typer.Option(help="The ReviewApp's name. (default: <owner>-<repo>-<pr>)")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow it to its end.")]
Timeout = Annotated[float, typer.Option(help="How long --wait waits, in seconds.", min=1)]


def submit(
    repository: Repository = None,
    pull_request: PullRequestNumber = None,
    branch: Annotated[str | None, typer.Option(help="The pull request's branch. (default: the CI job's)")] = None,
    commit: Annotated[
        str | None, typer.Option(help="What to submit. (default: the CI job's, else what is checked out)")
    ] = None,
    name: Name = None,
    fork: Annotated[
        bool | None,
        typer.Option("--fork/--no-fork", help="Whether it comes from a fork. (default: the CI job's)"),
    ] = None,
    checkout: Annotated[Path, typer.Option(help="The git checkout.", file_okay=False)] = Path(),
    config: Annotated[
        Path | None, typer.Option(help=f"A config to take in place of the commit's {FILE}.", dir_okay=False)
    ] = None,
    bucket: Annotated[
        str | None, typer.Option(help="S3 bucket that the tarball is uploaded to, as NAME or s3://NAME/PREFIX.")
    ] = None,
    s3_endpoint_url: Annotated[str | None, typer.Option(help="S3 endpoint other than AWS's own.")] = None,
    upload_url: Annotated[
        str | None, typer.Option(help="Address, signed for a PUT, that the tarball is uploaded to.")
    ] = None,
    tarball_url: Annotated[
        str | None, typer.Option(help="Where the build fetches the tarball; alone, it is there already.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = 1800,
) -> None:
    """Submit a commit: pack and upload it, and make or change the pull request's ReviewApp.

    With --wait, each change of its conditions is shown until the commit
    answers; then its address is printed. The exit code is 1 if it failed,
    2 if the config or an option was refused, and 3 if it took too long.
    """
    with _exit_codes():
        job = read_job(os.environ)
        tell_retries()
        if not (bucket or tarball_url):
            raise typer.BadParameter("say where the tarball goes: --bucket, or --tarball-url with --upload-url")
        if (bucket and (upload_url or tarball_url)) or (upload_url and not tarball_url):
            raise typer.BadParameter("give --bucket, or --tarball-url with --upload-url, or --tarball-url alone")
        repository, number = _where(job, repository, pull_request)
        owner, repo = owner_and_name(repository)
        branch = branch or job.branch or _missing("--branch")
        source = Checkout(checkout)
        commit = source.commit(commit or job.commit or "HEAD")
        wanted = _config(source, commit, config)
        ignored = ignored_by(wanted, branch)
        if ignored is not None:
            say(f"no review app: branch {logged(branch)} is one that ignoreBranches leaves out ({logged(ignored)})")
            return
        place, key = _in_bucket(bucket, tarball_key(owner, repo, commit)) if bucket else ("", "")
        spec = parse(
            {
                "repoOwner": owner,
                "repo": repo,
                "branch": branch,
                "pr": number,
                "commitHash": commit,
                "fork": bool(job.fork if fork is None else fork),
                "tarballUrl": tarball_url or f"s3://{place}/{key}",
                # Else that of another bot's tarball would stay.
                "tarballSha256": None,
                "config": wanted.model_dump(mode="json", by_alias=True, exclude_unset=True),
            }
        )
        name = name or review_app_name(repository, number)
        cluster = Cluster.from_environment()
        if bucket or upload_url:
            with tempfile.TemporaryDirectory() as folder:
                packed = _pack(source, commit, f"{repo}-{commit}", Path(folder) / "source.tar.gz")
                with uploading("upload", packed.stat().st_size) as progress:
                    if upload_url:
                        to_url(packed, upload_url, progress)
                    else:
                        to_bucket(packed, place, key, s3_endpoint_url, progress)
        done, review_app = _write(cluster, name, spec, timeout)
        say(f"ReviewApp {name} {done}: commit {commit[:12]} of {owner}/{repo}#{number}")
        if wait:
            generation = review_app["metadata"]["generation"]
            # None but that of a build that failed before, and is tried once more.
            old = failed_job(Status.read(review_app.get("status")), commit) if done == "built once more" else None

            def is_current(status: Status) -> bool:
                return old is None or status.build_job_name != old

            typer.echo(until_ready(cluster, name, commit, generation, timeout, is_current))


def close(
    repository: Repository = None,
    pull_request: PullRequestNumber = None,
    name: Name = None,
    wait: Wait = False,
    timeout: Timeout = 600,
) -> None:
    """Delete the pull request's ReviewApp, and with it all that it has. None to delete is success.

    With --wait, until nothing of it is left; the exit code is 3 if that
    took too long.
    """
    tell_retries()
    repository, number = _where(read_job(os.environ), repository, pull_request)
    name = name or review_app_name(repository, number)
    cluster = Cluster.from_environment()
    with _exit_codes():
        if not delete_review_app(cluster, name, PullRequest(*owner_and_name(repository), number)):
            say(f"there is no ReviewApp {name}")
            return
        say(f"ReviewApp {name} is being deleted")
        if wait:
            until_gone(cluster, name, timeout)


def comment(
    repository: Repository = None,
    pull_request: PullRequestNumber = None,
    name: Name = None,
    preview: Annotated[
        str | None, typer.Option(help="File with Markdown that is shown as a preview; - is stdin.")
    ] = None,
    forge: Annotated[Forge | None, typer.Option(help="Which forge it is. (default: the CI job's)")] = None,
    api_url: Annotated[str | None, typer.Option(help="The forge's API. (default: the CI job's)")] = None,
) -> None:
    """Write how the review app is into one comment of the pull request, and into the same one from then on.

    The token is GITHUB_TOKEN or GITLAB_TOKEN; a GitHub App is GITHUB_APP_ID
    with GITHUB_APP_PRIVATE_KEY, its PEM file's content. Where there is no
    ReviewApp, a comment that was written before says so, and none is made.
    """
    tell_retries()
    job = read_job(os.environ)
    repository, number = _where(job, repository, pull_request)
    forge = forge or job.forge or _missing("--forge")
    api_url = api_url or (job.api_url if forge == job.forge else None)
    name = name or review_app_name(repository, number)
    found = Cluster.from_environment().get(REVIEW_APPS, None, name)
    report = _report(name, found, _text(preview) if preview else None)
    comments = comments_of(forge, api_url, repository, number, os.environ)
    create = bool(found or preview)
    written = publish(comments, marker(name), body(report, comments.most_characters), create=create)
    say(
        f"commented in {comments.place} {written.url}".strip()
        if written
        else f"no comment in {comments.place} to change"
    )


def _where(job: Job, repository: str | None, pull_request: str | None) -> tuple[str, str]:
    repository = repository or job.repository or _missing("--repository")
    if not re.fullmatch(_REPOSITORY, repository, re.ASCII):
        raise typer.BadParameter(f"--repository: {repository!a} must be owner/name, as the forge has it")
    number = pull_request or job.pull_request or _missing("--pr")
    if not re.fullmatch("[1-9][0-9]{0,9}", number):
        raise typer.BadParameter(f"--pr: {number!a} must be the pull request's number")
    return repository, number


def _missing(option: str) -> NoReturn:
    raise typer.BadParameter(f"the CI's variables don't say it: give {option}")


def _config(source: Checkout, commit: str, instead: Path | None) -> Config:
    if instead:
        try:
            return read_config(instead.read_bytes(), str(instead))
        except OSError as error:
            raise SpecRefused(
                [Refusal(str(instead), "", f"can't be read ({error.strerror}): correct the path")]
            ) from None
    content = source.file(commit, FILE)
    if content is None:
        raise SpecRefused([Refusal(FILE, "", f"is not in commit {commit[:12]}: add it at the top of the repository")])
    return read_config(content)


def _in_bucket(bucket: str, key: str) -> tuple[str, str]:
    """Return a bucket's name and the tarball's key in it, from `NAME` or `s3://NAME/PREFIX`."""
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    return name, f"{prefix.rstrip('/')}/{key}".lstrip("/")


def _pack(source: Checkout, commit: str, prefix: str, target: Path) -> Path:
    with Waiting(f"pack {commit[:12]}") as waiting:
        packed = source.pack(commit, prefix, target)
        waiting.note(f"packed commit {commit[:12]}: {packed.size / 1_000_000:.1f} MB")
    for paths, kind, remedy in (
        (packed.submodules, "submodules are", "vendor them, or upload a tarball of your own with --tarball-url"),
        (packed.lfs_pointers, "files are git-lfs pointers, their content is", "`git lfs install` and pull before"),
    ):
        if paths:
            some = ", ".join(logged(path) for path in paths[:_SHOWN_PATHS])
            more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
            say(f"warning: {len(paths)} {kind} not in the tarball ({some}{more}): {remedy}")
    return target


def _write(cluster: Cluster, name: str, spec: Spec, seconds: float) -> tuple[Written, Object]:
    """Make or change the ReviewApp; one that is on its way out is waited for first."""
    deadline = time.monotonic() + seconds
    while (written := write_review_app(cluster, name, spec)) is None:
        say(f"ReviewApp {name} is still being deleted")
        until_gone(cluster, name, deadline - time.monotonic())
    return written


def _report(name: str, review_app: Object | None, preview: str | None) -> Report:
    if review_app is None:
        return Report(name, preview=preview)
    return Report(
        name,
        Status.read(review_app.get("status")),
        section(review_app, "spec").get("commitHash"),
        review_app["metadata"]["generation"],
        deleting(review_app),
        preview,
    )


def _text(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"--preview: {file!a} can't be read ({error.strerror})") from None
    return content.decode(errors="replace")


@contextmanager
def _exit_codes() -> Generator[None]:
    """End with the code that says what kind of end it is."""
    try:
        yield
    except SpecRefused as error:
        for refusal in error.refusals:
            say(str(refusal))
        raise typer.Exit(_REFUSED) from None
    except TooLate as error:
        say(f"error: {error}")
        raise typer.Exit(_TOO_LATE) from None
