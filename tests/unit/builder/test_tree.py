"""Names and links, by example and against what the kernel itself makes of them."""

import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import UnsafeEntryError, WriteError
from builder.tree import Parts, Tree, entry_parts, link_leaves


def add_file(tree: Tree, name: str, content: bytes = b"", mode: int = 0o644) -> None:
    tree.add_file(name, mode, 0, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a/b", ("a", "b")),
        ("./a", ("a",)),
        ("a//b/./c/", ("a", "b", "c")),
        (".", ()),
        ("./", ()),
        ("..a/b..", ("..a", "b..")),
        ("a\\..\\b", ("a\\..\\b",)),
    ],
)
def test_names_inside_are_taken(name: str, parts: Parts) -> None:
    assert entry_parts(name) == parts


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "//etc", "..", "../a", "a/../b", "a/..", "./../a", "a\0b", "x" * 256, "a/" * 1100]
)
def test_names_that_reach_outside_or_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(UnsafeEntryError, match="entry "):
        entry_parts(name)


# Surrogates U+DC80 to U+DCFF are how Python shows the bytes of a name that is not UTF-8.
CHARACTERS = st.one_of(
    st.sampled_from("./ab\\ \n\0~"),
    st.characters(codec="utf-8"),
    st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"]),
)


@given(st.text(CHARACTERS, max_size=40))
def test_any_name_is_refused_or_lies_inside(name: str) -> None:
    try:
        parts = entry_parts(name)
    except UnsafeEntryError as error:
        message = str(error)
    else:
        message = ""
        assert not {"", ".", ".."} & set(parts)
        assert not any("/" in part for part in parts)
    # One line, and one that any stream takes.
    assert message.encode().count(b"\n") == 0


@given(st.text(CHARACTERS, min_size=1, max_size=20), st.text(CHARACTERS, max_size=20))
def test_whatever_is_written_lands_below_the_root(
    tmp_path_factory: pytest.TempPathFactory, name: str, target: str
) -> None:
    outside = tmp_path_factory.mktemp("tree")
    root = outside / "root"
    root.mkdir()
    tree = Tree(root)
    for add in (
        lambda: tree.add_symbolic_link(name, target),
        lambda: add_file(tree, f"{name}/below"),
        lambda: add_file(tree, name),
        lambda: tree.add_hard_link(target, name),
        lambda: tree.add_folder(target, 0o755),
    ):
        try:
            add()
        except (UnsafeEntryError, WriteError):
            continue
    assert [path.name for path in outside.iterdir()] == ["root"]


LINK_NAMES = st.sampled_from(["a", "b", "c", "d/a", "d/b", "d/e/a"])
LINK_TARGETS = st.lists(st.sampled_from(["..", ".", "a", "b", "c", "d", "e", "x"]), min_size=1, max_size=6).map(
    "/".join
)


@given(st.dictionaries(LINK_NAMES, LINK_TARGETS, min_size=1, max_size=6))
def test_links_that_the_kernel_follows_outside_are_found(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str]
) -> None:
    root = tmp_path_factory.mktemp("links") / "r"
    (root / "d/e").mkdir(parents=True)
    for name, target in links.items():
        (root / name).symlink_to(target)
    by_parts = {tuple(name.split("/")): target for name, target in links.items()}
    for name, target in links.items():
        resolved = followed_by_kernel(root / name)
        if resolved and resolved != root and root not in resolved.parents:
            # The other way round need not hold: a link may leave on its way and come back.
            assert link_leaves(tuple(name.split("/")), by_parts), (name, target, resolved)


def followed_by_kernel(path: Path) -> Path | None:
    try:
        descriptor = os.open(path, os.O_PATH)
    except OSError:
        return None
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    finally:
        os.close(descriptor)


def test_a_chain_that_is_inside_by_its_letters_and_outside_by_its_links_is_found() -> None:
    links: dict[Parts, str] = {("here",): ".", ("out",): "here/here/here/../.."}
    assert link_leaves(("out",), links)
    assert not link_leaves(("here",), links)


def test_a_loop_leads_nowhere() -> None:
    links: dict[Parts, str] = {("a",): "b", ("b",): "a", ("grows",): "grows/grows"}
    assert not any(link_leaves(link, links) for link in links)


def test_a_link_may_point_to_what_is_missing_but_not_past_the_root() -> None:
    assert not link_leaves(("a",), {("a",): "missing/file"})
    assert link_leaves(("a",), {("a",): "missing/../../file"})
    assert link_leaves(("a",), {("a",): "/etc/passwd"})
    assert link_leaves(("a",), {("a",): "b", ("b",): "/etc/passwd"})


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    tree = Tree(root)
    tree.add_symbolic_link("link", str(outside))
    with pytest.raises(UnsafeEntryError, match="'link', which is a file or a link"):
        add_file(tree, "link/file")
    with pytest.raises(UnsafeEntryError, match="'link', which is a file or a link"):
        tree.add_folder("link/folder", 0o755)
    # An entry of the same name takes the link's place, and not what it points to.
    add_file(tree, "link", b"in place")
    assert list(outside.iterdir()) == []
    assert (root / "link").read_bytes() == b"in place"


def test_hard_links_reach_only_files_written_before(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.add_symbolic_link("link", "file")
    for target in ("/etc/passwd", "../file", "link", "missing"):
        with pytest.raises(UnsafeEntryError):
            tree.add_hard_link("second", target)
    add_file(tree, "file", b"once")
    tree.add_hard_link("second", "./file")
    tree.add_hard_link("file", "file")
    assert (tmp_path / "second").samefile(tmp_path / "file")


@pytest.mark.parametrize("mode", [0o7777, 0o6755, 0o4755, 0o2711, 0o666, 0])
def test_of_a_mode_only_what_a_build_needs_is_kept(tmp_path: Path, mode: int) -> None:
    tree = Tree(tmp_path)
    add_file(tree, "file", mode=mode)
    tree.add_folder("folder", mode)
    file = stat.S_IMODE((tmp_path / "file").stat().st_mode)
    assert file == mode & 0o755 | 0o600
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == mode & 0o755 | 0o700


def test_a_later_file_replaces_an_earlier_one_and_not_its_hard_links(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    add_file(tree, "file", b"first")
    tree.add_hard_link("kept", "file")
    add_file(tree, "file", b"second")
    assert ((tmp_path / "file").read_bytes(), (tmp_path / "kept").read_bytes()) == (b"second", b"first")
    tree.add_folder("folder", 0o755)
    with pytest.raises(UnsafeEntryError, match="comes twice"):
        add_file(tree, "folder")


def test_the_disk_saying_no_names_the_entry() -> None:
    with pytest.raises(WriteError, match=r"cannot write entry 'file': .*: look at the volume"):
        add_file(Tree(Path("/proc/1")), "file")
