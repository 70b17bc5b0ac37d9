"""The init container: `python -m builder.unpack` makes a source tree of a tarball.

Its parameters are environment variables; see `Parameters`. On success the target is there and complete;
else it is not there, the exit code tells the kind of failure (see `builder.errors`), and one line on
stderr and in the container's termination message tells the rest. It can be killed and run again.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

import stamina.instrumentation
from pydantic import AnyUrl, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from builder.archive import Contents, Limits, unpack
from builder.errors import ParameterError, UnpackError, WriteError
from builder.fetch import Source, fetch, shown

TERMINATION_LOG = Path("/dev/termination-log")
"""Where the kubelet reads a container's termination message from."""

_LONGEST_MESSAGE = 2000  # The kubelet keeps 4096 bytes.


class Parameters(BaseSettings):
    """What to fetch, where to put it, and how much of it: each one an environment variable `UNPACK_<NAME>`.

    Raises:
        pydantic.ValidationError: a parameter is missing or does not hold.
    """

    model_config = SettingsConfigDict(env_prefix="UNPACK_", frozen=True, hide_input_in_errors=True)

    url: str = Field(description="https://…, http://… or s3://bucket/key")
    target: Path = Field(description="The folder to make; its parent must be there, on the same volume.")
    maximum_compressed_bytes: int = Field(ge=1)
    maximum_unpacked_bytes: int = Field(ge=1)
    maximum_entries: int = Field(ge=1)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="Of the tarball; any if left out.")
    timeout_seconds: float = Field(gt=0, description="For the fetch, its retries included.")
    s3_endpoint_url: str | None = Field(default=None, validation_alias="S3_ENDPOINT_URL")

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        try:
            scheme = AnyUrl(url).scheme
        except ValidationError:
            raise ValueError("not a URL: give https://…, http://… or s3://bucket/key") from None
        if scheme not in ("https", "http", "s3"):
            raise ValueError(f"scheme {scheme!r} is not known: give https://…, http://… or s3://bucket/key")
        if scheme == "s3" and not (bucket and key):
            raise ValueError("bucket or key is missing: give s3://bucket/key")
        return url


def run(parameters: Parameters, progress: TextIO) -> Contents:
    """Fetch and unpack, and return what the archive held; `root` is then the target.

    Raises:
        UnpackError: it can't be done; the target is not there.
    """
    target = parameters.target
    partial = target.with_name(f".{target.name}.partial")
    started = time.monotonic()
    print(f"fetching {shown(parameters.url)}", file=progress, flush=True)
    try:
        for left_over in (target, partial):
            if left_over.exists():
                shutil.rmtree(left_over)
        with tempfile.TemporaryFile(dir=target.parent) as tarball:
            size = fetch(
                Source(
                    url=parameters.url,
                    maximum_bytes=parameters.maximum_compressed_bytes,
                    timeout_seconds=parameters.timeout_seconds,
                    s3_endpoint_url=parameters.s3_endpoint_url,
                    sha256=parameters.sha256,
                ),
                tarball,
            )
            print(f"fetched {size} bytes in {time.monotonic() - started:.1f} s", file=progress, flush=True)
            partial.mkdir()
            limits = Limits(unpacked_bytes=parameters.maximum_unpacked_bytes, entries=parameters.maximum_entries)
            contents = unpack(tarball, partial, limits)
        contents.root.rename(target)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WriteError(
            f"cannot write to {target.parent}: {reason}: look at the volume that is mounted there"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"unpacked {contents.entries} entries, {contents.size} bytes, to {target}", file=progress, flush=True)
    return contents


def parameters_from_environment() -> Parameters:
    """Return the parameters that the environment gives.

    Raises:
        ParameterError: one is missing or does not hold; the message names each, and no value.
    """
    try:
        return Parameters()  # pyright: ignore[reportCallIssue] - the fields come from the environment.
    except ValidationError as error:
        problems = (
            f"{_variable(str(one['loc'][0]))}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_input=False)
        )
        raise ParameterError(f"{'; '.join(problems)}: set it in the container's environment") from None


def _variable(field: str) -> str:
    return field.upper() if field.upper().startswith("S3_") else f"UNPACK_{field.upper()}"


def _report_retry(details: stamina.instrumentation.RetryDetails) -> None:
    sys.stderr.write(f"{details.caused_by}; try {details.retry_num + 1} in {details.wait_for:.1f} s\n")


def main(termination_log: Path = TERMINATION_LOG) -> int:
    """Run the init container and return its exit code."""
    # stamina's own hooks would log the arguments of what is retried.
    stamina.instrumentation.set_on_retry_hooks([_report_retry])
    try:
        run(parameters_from_environment(), sys.stdout)
    except UnpackError as error:
        line = str(error)[:_LONGEST_MESSAGE]
        sys.stderr.write(f"{line}\n")
        # Only the kubelet makes it: outside of a Pod there is none to write to.
        if termination_log.exists():
            termination_log.write_text(line)
        return error.exit_code
    return 0


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    # Process 1 of a container gets no signal that it doesn't handle.
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
