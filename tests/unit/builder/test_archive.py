"""Formats, the top-folder rule, and archives that mean harm."""

import contextlib
import gzip
import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from builder.archive import Contents, Limits, unpack
from builder.errors import ArchiveError, LimitError, UnpackError, UnsafeEntryError
from tests.unit.builder.archives import (
    folder,
    hard_link,
    packed,
    regular,
    special,
    symbolic_link,
    tar,
    tar_gz,
    tar_zst,
)

Pack = Callable[..., bytes]
LIMITS = Limits(unpacked_bytes=1 << 20, entries=100)


def unpacked(archive: bytes, target: Path, limits: Limits = LIMITS) -> Contents:
    return unpack(io.BytesIO(archive), target, limits)


def listing(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize("pack", [tar, tar_gz, tar_zst])
def test_each_format_is_known_by_its_content(tmp_path: Path, pack: Pack) -> None:
    archive = pack(regular("Dockerfile", b"FROM scratch\n"), regular("bin/run", b"#!", mode=0o775))
    contents = unpacked(archive, tmp_path)
    assert contents.root == tmp_path
    assert contents.entries == 2
    assert listing(tmp_path) == ["Dockerfile", "bin", "bin/run"]
    assert (tmp_path / "Dockerfile").read_bytes() == b"FROM scratch\n"
    assert stat.S_IMODE((tmp_path / "bin/run").stat().st_mode) == 0o755


def test_names_that_are_not_utf_8_and_very_long_ones_are_kept(tmp_path: Path) -> None:
    long = "/".join(["folder" * 20] * 5)
    unpacked(tar(regular("caf\udce9"), regular(long)), tmp_path)
    assert b"caf\xe9" in [os.fsencode(path.name) for path in tmp_path.iterdir()]
    assert (tmp_path / long).is_file()


def test_modification_times_are_kept_where_they_make_sense(tmp_path: Path) -> None:
    members = [regular("sound"), regular("absurd")]
    members[0][0].mtime = 1_700_000_000
    members[1][0].mtime = 1 << 60
    unpacked(packed(members), tmp_path)
    assert (tmp_path / "sound").stat().st_mtime == 1_700_000_000
    assert (tmp_path / "absurd").stat().st_mtime < 1 << 40


def test_a_single_top_folder_is_the_source_tree(tmp_path: Path) -> None:
    # As GitHub packs: a global header with the commit, one folder, all else below it.
    archive = packed(
        [folder("shop-8a1f0e3/"), regular("shop-8a1f0e3/Dockerfile"), symbolic_link("shop-8a1f0e3/link", "Dockerfile")],
        pax_headers={"comment": "8a1f0e3c5b7d9e2f4a6c8b0d1e3f5a7c9b1d3e5f"},
    )
    assert unpacked(archive, tmp_path).root == tmp_path / "shop-8a1f0e3"


@pytest.mark.parametrize(
    "members",
    [
        [regular("shop/app.py"), regular("Dockerfile")],
        [folder("./"), regular("./Dockerfile")],
        [regular("shop/app.py"), regular("other/app.py")],
        [regular("Dockerfile")],
        [regular("shop/app.py"), symbolic_link("link", "shop")],
    ],
)
def test_a_top_folder_with_something_beside_it_is_not(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    assert unpacked(packed(members), tmp_path).root == tmp_path


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([regular("../evil")], r"has '\.\.' in its name"),
        ([regular("shop/../../evil")], r"has '\.\.' in its name"),
        ([regular("/evil")], "absolute name"),
        ([symbolic_link("evil", "/etc")], "outside the archive"),
        ([symbolic_link("shop/evil", "../../etc"), regular("x")], "outside the archive"),
        ([symbolic_link("a", "."), symbolic_link("evil", "a/a/../..")], "outside the archive"),
        ([symbolic_link("a", ".."), regular("a/evil")], "which is a file or a link"),
        ([symbolic_link("a", ".."), folder("a/evil")], "which is a file or a link"),
        ([symbolic_link("a", ".."), symbolic_link("a/evil", "x")], "which is a file or a link"),
        ([hard_link("evil", "/etc/passwd")], "absolute name"),
        ([hard_link("evil", "../evil")], r"has '\.\.' in its name"),
        ([symbolic_link("a", "/etc/passwd"), hard_link("evil", "a")], "no file of this archive"),
        ([regular("file"), hard_link("file/evil", "file")], "which is a file or a link"),
        ([special("evil", tarfile.CHRTYPE)], "a character device"),
        ([special("evil", tarfile.BLKTYPE)], "a block device"),
        ([special("evil", tarfile.FIFOTYPE)], "a fifo"),
        ([special("evil", b"Z")], "of an unknown kind"),
        ([regular(".")], "stands for the whole tree"),
        ([regular("x/" * 1500 + "x")], "too long a name"),
    ],
)
def test_hostile_entries_are_refused_and_nothing_lies_outside(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], reason: str
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(UnsafeEntryError, match=reason):
        unpacked(packed(members), target)
    assert listing(tmp_path) == sorted(["target", *(f"target/{name}" for name in listing(target))])


def test_a_link_that_is_inside_only_until_the_top_folder_goes_is_refused(tmp_path: Path) -> None:
    members = [regular("shop/Dockerfile"), symbolic_link("shop/evil", "../oci")]
    with pytest.raises(UnsafeEntryError, match=r"'shop/evil' links to '\.\./oci', which is outside"):
        unpacked(tar(*members), tmp_path)
    # With something beside the folder, the same link stays inside.
    assert unpacked(tar(*members, regular("README.md")), tmp_path_beside(tmp_path)).entries == 3


def tmp_path_beside(path: Path) -> Path:
    beside = path.with_name(f"{path.name}-beside")
    beside.mkdir()
    return beside


def test_set_id_bits_do_not_get_through(tmp_path: Path) -> None:
    unpacked(tar(regular("evil", mode=0o6755), folder("shared", mode=0o3777), regular("x")), tmp_path)
    for path in tmp_path.rglob("*"):
        assert not path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    member, content = regular("evil", b"1\n0\n1\n".ljust(512, b"\0") + b"x")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 50)}
    with pytest.raises(UnsafeEntryError, match="sparse file"):
        unpacked(tar((member, content)), tmp_path)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_bomb_ends_at_the_limit(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    archive = compress(tar(regular("bomb", bytes(8 << 20))))
    with pytest.raises(LimitError, match=f"holds more than {1 << 20} bytes unpacked"):
        unpacked(archive, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) <= 1 << 20


def test_a_bomb_behind_the_end_of_the_archive_ends_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(LimitError):
        unpacked(gzip.compress(tar(regular("file")) + bytes(8 << 20)), tmp_path)


def test_too_many_entries(tmp_path: Path) -> None:
    assert unpacked(tar(*(regular(str(n)) for n in range(100))), tmp_path).entries == 100
    with pytest.raises(LimitError, match="more than 100 entries"):
        unpacked(tar(*(folder(str(n)) for n in range(101))), tmp_path_beside(tmp_path))


def test_a_header_made_to_fill_the_memory(tmp_path: Path) -> None:
    member, content = regular("evil")
    member.pax_headers = {"comment": "x" * (1 << 19)}
    with pytest.raises(ArchiveError, match="a header of more than"):
        unpacked(tar((member, content)), tmp_path)


def test_a_sparse_map_that_announces_more_than_there_is(tmp_path: Path) -> None:
    member, content = regular("evil", b"99999999999\n")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}
    with pytest.raises(ArchiveError, match="a header makes no sense"):
        unpacked(tar((member, content)), tmp_path)


def test_what_is_no_archive_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"neither tar nor tar\.gz nor tar\.zst .*3c 21 44 4f"):
        unpacked(b"<!DOCTYPE html><html>Sign in</html>", tmp_path)
    with pytest.raises(ArchiveError, match="the tarball is empty"):
        unpacked(b"", tmp_path)
    with pytest.raises(ArchiveError, match="holds nothing"):
        unpacked(tar(), tmp_path)
    with pytest.raises(ArchiveError, match="damaged"):
        unpacked(gzip.compress(b"no tar in here"), tmp_path)


@pytest.mark.parametrize("pack", [tar, tar_gz, tar_zst])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_cut_off_archive_is_damaged(tmp_path: Path, pack: Pack, kept: float) -> None:
    archive = pack(*(regular(str(n), os.urandom(1000)) for n in range(20)))
    # Of a plain tar, two thirds of the last quarter are padding; without it is where a cut can be seen.
    size = len(archive) if pack is not tar else 20 * (512 + 1024)
    with pytest.raises(ArchiveError):
        unpacked(archive[: int(size * kept)], tmp_path)


def test_an_archive_cut_off_between_two_entries_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="damaged or cut off after 1 entries"):
        unpacked(tar(regular("one"), regular("two"))[:1024], tmp_path)


def test_a_broken_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    archive = bytearray(tar(regular("one"), regular("two")))
    archive[1024 + 148] ^= 0xFF
    with pytest.raises(ArchiveError, match="damaged or cut off after 1 entries"):
        unpacked(bytes(archive), tmp_path)


def test_a_wrong_checksum_at_the_end_is_noticed(tmp_path: Path) -> None:
    archive = bytearray(tar_gz(regular("file")))
    archive[-8] ^= 0xFF
    with pytest.raises(ArchiveError, match="CRC"):
        unpacked(bytes(archive), tmp_path)


@given(st.binary(max_size=2000), st.sampled_from([b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"]))
def test_noise_never_ends_otherwise_than_in_a_reason(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, head: bytes
) -> None:
    with pytest.raises(UnpackError):
        unpacked(head + noise, tmp_path_factory.mktemp("noise"))


@given(st.lists(st.tuples(st.integers(0, 4095), st.integers(1, 255)), min_size=1, max_size=6))
def test_flipped_bits_never_end_otherwise_than_in_a_reason_or_inside(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    outside = tmp_path_factory.mktemp("flips")
    target = outside / "target"
    target.mkdir()
    archive = bytearray(
        tar(folder("a"), regular("a/file"), symbolic_link("a/link", "file"), hard_link("a/hard", "a/file"))
    )
    for position, mask in flips:
        archive[position] ^= mask
    with contextlib.suppress(UnpackError):
        unpacked(bytes(archive), target)
    assert [path.name for path in outside.iterdir()] == ["target"]
