"""Files below a root: new, whole, and never through a link."""

import os
import stat
import sys
from pathlib import Path

import pytest

from siprec_sync.files import FileTree, write_all

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and links of POSIX systems")


def modes_below(root: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_dir()}


def test_a_journal_is_created_new_and_appended(tmp_path: Path) -> None:
    tree = FileTree(tmp_path / "recordings")
    descriptor = tree.create_journal("2026/01/02/id/journal.pcapng")
    write_all(descriptor, b"one")
    write_all(descriptor, b"two")
    os.close(descriptor)
    assert (tmp_path / "recordings/2026/01/02/id/journal.pcapng").read_bytes() == b"onetwo"
    with pytest.raises(FileExistsError):
        tree.create_journal("2026/01/02/id/journal.pcapng")


def test_a_document_appears_whole(tmp_path: Path) -> None:
    tree = FileTree(tmp_path)
    tree.write_document("a/b.json", b"old")
    descriptor, temporary = tree.begin_document("a/b.json")
    write_all(descriptor, b"new")
    os.close(descriptor)
    assert (tmp_path / "a/b.json").read_bytes() == b"old"
    tree.finish_document("a/b.json", temporary)
    assert (tmp_path / "a/b.json").read_bytes() == b"new"
    assert os.listdir(tmp_path / "a") == ["b.json"]


def test_a_discarded_document_leaves_nothing(tmp_path: Path) -> None:
    tree = FileTree(tmp_path)
    descriptor, temporary = tree.begin_document("a/b.json")
    os.close(descriptor)
    tree.discard_document("a/b.json", temporary)
    tree.discard_document("a/b.json", temporary)
    assert os.listdir(tmp_path / "a") == []


def test_a_document_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = FileTree(tmp_path)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("siprec_sync.files.os.write", full)
    with pytest.raises(OSError, match="No space left"):
        tree.write_document("a/b.json", b"x")
    assert os.listdir(tmp_path / "a") == []


@pytest.mark.requirement("7865-10-d")
@posix
def test_modes(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        tree = FileTree(tmp_path)
        tree.write_document("a/b/c.json", b"x")
        os.close(tree.create_journal("a/b/journal.pcapng"))
    finally:
        os.umask(before)
    assert modes_below(tmp_path) == {0o750}
    assert {stat.S_IMODE((tmp_path / "a/b" / name).stat().st_mode) for name in ("c.json", "journal.pcapng")} == {0o640}


@posix
@pytest.mark.parametrize("planted", ["a", "a/b", "a/b/journal.pcapng"])
def test_no_way_leads_through_a_link(tmp_path: Path, planted: str) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    link = root / planted
    link.parent.mkdir(parents=True)
    elsewhere.mkdir()
    link.symlink_to(elsewhere if planted != "a/b/journal.pcapng" else elsewhere / "file")
    with pytest.raises(OSError):  # noqa: PT011 - systems name it differently
        FileTree(root).create_journal("a/b/journal.pcapng")
    assert os.listdir(elsewhere) == []


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "a\\b", "a\0b"])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match="not a name"):
        FileTree(tmp_path / "root").create_journal(name)
    assert os.listdir(tmp_path) == []


def test_names_come_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = FileTree(tmp_path)
    os.close(tree.create_journal("a/b/journal.pcapng"))
    assert tree.changed == {tmp_path, tmp_path / "a", tmp_path / "a/b"}
    synchronised: list[int] = []
    monkeypatch.setattr("siprec_sync.files.os.fsync", synchronised.append)
    tree.synchronise_names()
    assert len(synchronised) == 3
    assert tree.changed == set()


def test_a_directory_removed_meanwhile_needs_no_disk(tmp_path: Path) -> None:
    tree = FileTree(tmp_path)
    tree.changed.add(tmp_path / "gone")
    tree.synchronise_names()
    assert tree.changed == set()


def test_without_directory_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siprec_sync.files._BY_DESCRIPTOR", False)
    tree = FileTree(tmp_path)
    tree.write_document("a/b.json", b"x")
    os.close(tree.create_journal("a/journal.pcapng"))
    descriptor, temporary = tree.begin_document("a/c.json")
    os.close(descriptor)
    tree.discard_document("a/c.json", temporary)
    assert sorted(os.listdir(tmp_path / "a")) == ["b.json", "journal.pcapng"]


def test_writing_at_an_offset(tmp_path: Path) -> None:
    descriptor, _ = FileTree(tmp_path).begin_document("a")
    write_all(descriptor, b"abcdef")
    write_all(descriptor, b"XY", 2)
    os.lseek(descriptor, 0, os.SEEK_SET)
    (written,) = [path.read_bytes() for path in tmp_path.iterdir()]
    os.close(descriptor)
    assert written == b"abXYef"
