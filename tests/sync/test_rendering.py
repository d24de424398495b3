"""Final files on disk, made from a journal."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from siprec_core.recording.render import FileData, FileEnd, FileStart, RenderItem
from siprec_sync import rendering
from siprec_sync.rendering import render_capture, render_recording

ITEMS: list[RenderItem] = [
    FileStart("1.wav"),
    FileStart("metadata/0001.xml"),
    FileData("1.wav", b"RI"),
    FileData("metadata/0001.xml", b"<recording/>"),
    FileEnd("metadata/0001.xml", 12, ""),
    FileData("1.wav", b"FF"),
    FileEnd("1.wav", 4, ""),
    FileStart("recording.json"),
    FileData("recording.json", b"{}"),
    FileEnd("recording.json", 2, ""),
]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_are_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recording.json").write_text("old")
    seen: list[list[str]] = []

    def items(*arguments: object, **named: object) -> Iterator[RenderItem]:
        for item in ITEMS:
            seen.append(sorted(name for name in files_below(tmp_path) if not name.endswith(".tmp")))
            yield item

    monkeypatch.setattr(rendering, "render", items)
    (tmp_path / "journal.pcapng").write_bytes(b"journal")
    render_recording(tmp_path)
    assert files_below(tmp_path) == {
        "1.wav": b"RIFF",
        "metadata/0001.xml": b"<recording/>",
        "recording.json": b"{}",
        "journal.pcapng": b"journal",
    }
    assert "1.wav" not in seen[6]
    assert "1.wav" in seen[7]


def test_a_failed_rendering_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recording.json").write_text("old")
    (tmp_path / "journal.pcapng").write_bytes(b"")

    def items(*arguments: object, **named: object) -> Iterator[RenderItem]:
        yield from ITEMS[:6]
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(rendering, "render", items)
    with pytest.raises(OSError, match="Input/output error"):
        render_recording(tmp_path)
    assert sorted(files_below(tmp_path)) == ["journal.pcapng", "metadata/0001.xml", "recording.json"]
    assert (tmp_path / "recording.json").read_text() == "old"


def test_a_recording_without_journal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        render_recording(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_capture_of_nothing_gives_a_report(tmp_path: Path) -> None:
    capture, folder = tmp_path / "capture.pcap", tmp_path / "out"
    capture.write_bytes(b"garbage")
    assert render_capture(capture, folder) == ("recording.json",)
    report = json.loads((folder / "recording.json").read_text("utf-8"))
    assert report["files"] == []
    assert report["findings"]


def test_a_journal_is_copied_to_where_its_files_go(tmp_path: Path) -> None:
    journal, folder = tmp_path / "journal.pcapng", tmp_path / "out"
    journal.write_bytes(b"journal")
    for _ in range(2):
        render_capture(journal, folder, journal_name="journal.pcapng")
        assert sorted(files_below(folder)) == ["journal.pcapng", "recording.json"]
        assert (folder / "journal.pcapng").read_bytes() == b"journal"


def test_another_journal_is_never_overwritten(tmp_path: Path) -> None:
    journal, folder = tmp_path / "journal.pcapng", tmp_path / "out"
    journal.write_bytes(b"journal")
    folder.mkdir()
    (folder / "journal.pcapng").write_bytes(b"another")
    with pytest.raises(FileExistsError):
        render_capture(journal, folder, journal_name="journal.pcapng")
    assert files_below(folder) == {"journal.pcapng": b"another"}
