"""A commit in a git checkout: its files, and its tarball.

Reads commits, never the working tree: what is submitted is what everyone else can see. Starts git and
nothing else, and changes nothing.
"""

from __future__ import annotations

import dataclasses
import gzip
import subprocess
import tarfile
import zlib
from pathlib import Path

from bot.errors import CheckoutUnusable

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md#the-pointer
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER = 1024
_QUICK_SECONDS = 60
_PACK_SECONDS = 900


@dataclasses.dataclass(frozen=True)
class Packed:
    """A tarball, and what of the commit is not in it.

    Attributes:
        path: where it is.
        size: in bytes.
        submodules: paths of submodules; git archive leaves their folders empty.
        lfs_pointers: paths of files that are in it as git-lfs pointers, without their content.
    """

    path: Path
    size: int
    submodules: tuple[str, ...]
    lfs_pointers: tuple[str, ...]


class Checkout:
    """A folder in which git knows commits. Every method raises `CheckoutUnusable` where git does not play along."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def commit(self, revision: str) -> str:
        """Return the full hash of a commit that is here."""
        done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            if said:
                remedy = ": name another folder with --checkout" if "not a git repository" in said else ""
                raise CheckoutUnusable(f"git can't read {self._folder}: {said}{remedy}")
            raise CheckoutUnusable(
                f"commit {revision} is not in this checkout: fetch it "
                "(actions/checkout: set `ref` to the pull request's head commit; GitLab: raise GIT_DEPTH), "
                "or name another with --commit"
            )
        return done.stdout.decode().strip()

    def file(self, commit: str, path: str) -> bytes | None:
        """Return a file's content in a commit; None where there is no such file."""
        done = self._run("cat-file", "blob", f"{commit}:{path}")
        return None if done.returncode else done.stdout

    def pack(self, commit: str, prefix: str, target: Path) -> Packed:
        """Write a commit's files to a tar.gz, below one folder named `prefix`; return what is in it and what is not.

        The same commit gives the same bytes.
        """
        self._succeed("archive", "--format=tar.gz", f"--prefix={prefix}/", f"--output={target}", commit)
        return Packed(target, target.stat().st_size, tuple(self._submodules(commit)), tuple(_pointers(target)))

    def _submodules(self, commit: str) -> list[str]:
        listed = self._succeed("ls-tree", "-r", "-z", "--full-tree", commit)
        entries = (entry.partition(b"\t") for entry in listed.split(b"\0") if entry)
        return [path.decode(errors="replace") for mode, _, path in entries if mode.startswith(b"160000 ")]

    def _succeed(self, *arguments: str) -> bytes:
        done = self._run(*arguments, seconds=_PACK_SECONDS)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise CheckoutUnusable(f"git {arguments[0]} failed: {said}")
        return done.stdout

    def _run(self, *arguments: str, seconds: float = _QUICK_SECONDS) -> subprocess.CompletedProcess[bytes]:
        command = ["git", *arguments]
        try:
            return subprocess.run(command, cwd=self._folder, capture_output=True, timeout=seconds, check=False)
        except FileNotFoundError:
            missing = "git is not installed: install it" if self._folder.is_dir() else f"there is no {self._folder}"
            raise CheckoutUnusable(missing) from None
        except subprocess.TimeoutExpired:
            raise CheckoutUnusable(f"git {arguments[0]} did not end within {seconds:g} s") from None


def _pointers(tarball: Path) -> list[str]:
    """Return the paths, below the top folder, of files that are git-lfs pointers: only what was packed tells."""
    found: list[str] = []
    try:
        with tarfile.open(tarball, "r|gz") as members:
            for member in members:
                content = members.extractfile(member) if member.isfile() and member.size < _LARGEST_POINTER else None
                if content and content.read(len(_LFS_POINTER)) == _LFS_POINTER:
                    found.append(member.name.partition("/")[2])
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CheckoutUnusable(
            f"git archive wrote what is no tarball ({error}): see `git config tar.tar.gz.command`"
        ) from error
    return found
