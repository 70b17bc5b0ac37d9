"""Commits of real repositories, packed by the real git."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from bot.checkout import Checkout
from bot.errors import CheckoutUnusable
from tests.samples.repository import Repository

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def checkout(repository: Repository) -> Checkout:
    return Checkout(repository.folder)


def names(path: Path) -> set[str]:
    with tarfile.open(path) as archive:
        return set(archive.getnames())


def test_a_commit_by_any_name(repository: Repository, checkout: Checkout) -> None:
    commit = repository.commit({"a": "1"})
    repository.git("tag", "--annotate", "--message", "m", "v1")
    assert {checkout.commit(name) for name in ("HEAD", "main", "v1", commit, commit[:8])} == {commit}


@pytest.mark.parametrize("revision", ["f" * 40, "nothing", "--all", "HEAD:a", ""])
def test_what_is_no_commit_here(repository: Repository, checkout: Checkout, revision: str) -> None:
    repository.commit({"a": "1"})
    with pytest.raises(CheckoutUnusable, match="not in this checkout: fetch it"):
        checkout.commit(revision)


def test_what_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(CheckoutUnusable, match=r"not a git repository.*: name another folder with --checkout"):
        Checkout(tmp_path).commit("HEAD")
    with pytest.raises(CheckoutUnusable, match="there is no"):
        Checkout(tmp_path / "absent").commit("HEAD")


def test_without_git(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CheckoutUnusable, match="git is not installed"):
        checkout.commit("HEAD")


def test_a_shallow_clone_has_one_commit(repository: Repository, tmp_path: Path) -> None:
    old, new = repository.commit({"a": "1"}), repository.commit({"a": "2"})
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(tmp_path / "shallow"))
    shallow = Checkout(tmp_path / "shallow")
    assert shallow.commit(new) == new
    with pytest.raises(CheckoutUnusable, match="fetch it"):
        shallow.commit(old)


def test_files_are_the_commits_own(repository: Repository, checkout: Checkout) -> None:
    commit = repository.commit({".reviewapp.yaml": "committed", "folder/file": "x"})
    (repository.folder / ".reviewapp.yaml").write_text("changed since")
    assert checkout.file(commit, ".reviewapp.yaml") == b"committed"
    assert checkout.file(commit, "absent") is None
    assert checkout.file(commit, "folder") is None


def test_a_tarball_has_the_commit_below_one_folder(repository: Repository, checkout: Checkout, tmp_path: Path) -> None:
    commit = repository.commit({"Dockerfile": "FROM scratch", "app/main": "x", ".gitattributes": "left export-ignore"})
    (repository.folder / "untracked").write_text("x")
    packed = checkout.pack(commit, "shop-1", tmp_path / "t.tar.gz")
    assert names(packed.path) >= {"shop-1/Dockerfile", "shop-1/app/main"}
    assert "shop-1/untracked" not in names(packed.path)
    assert packed.size == packed.path.stat().st_size
    assert (packed.submodules, packed.lfs_pointers) == ((), ())


def test_the_same_commit_gives_the_same_bytes(repository: Repository, checkout: Checkout, tmp_path: Path) -> None:
    commit = repository.commit({"a": "1", "b/c": "2"})
    tarballs = [checkout.pack(commit, "p", tmp_path / name).path for name in ("one", "two")]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in tarballs}) == 1


def test_submodules_are_told_of(repository: Repository, checkout: Checkout, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    other.commit({"a": "1"})
    repository.git("submodule", "--quiet", "add", f"file://{other.folder}", "vendor/ünlocked")
    packed = checkout.pack(repository.commit(), "p", tmp_path / "t.tar.gz")
    assert packed.submodules == ("vendor/ünlocked",)
    assert "p/vendor/ünlocked/a" not in names(packed.path)


def test_lfs_pointers_are_told_of_where_they_are_packed(
    repository: Repository, checkout: Checkout, tmp_path: Path
) -> None:
    commit = repository.commit({"big.bin": POINTER, "left.bin": POINTER, ".gitattributes": "left.bin export-ignore"})
    assert checkout.pack(commit, "p", tmp_path / "t.tar.gz").lfs_pointers == ("big.bin",)


def test_lfs_content_that_git_fetches_is_no_pointer(repository: Repository, checkout: Checkout, tmp_path: Path) -> None:
    # What git-lfs sets up, with another program in its place: git archive runs the same filter.
    commit = repository.commit({"big.bin": POINTER, ".gitattributes": "*.bin filter=lfs"})
    repository.git("config", "filter.lfs.smudge", "sh -c 'echo content'")
    assert checkout.pack(commit, "p", tmp_path / "t.tar.gz").lfs_pointers == ()


def test_a_compressor_that_does_not_work_is_said(repository: Repository, checkout: Checkout, tmp_path: Path) -> None:
    commit = repository.commit({"a": "1"})
    repository.git("config", "tar.tar.gz.command", "cat")
    with pytest.raises(CheckoutUnusable, match=r"tar\.tar\.gz\.command"):
        checkout.pack(commit, "p", tmp_path / "t.tar.gz")
    repository.git("config", "tar.tar.gz.command", "false")
    with pytest.raises(CheckoutUnusable):
        checkout.pack(commit, "p", tmp_path / "t.tar.gz")
