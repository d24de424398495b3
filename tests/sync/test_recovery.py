"""What counts as unfinished, and what becomes of it."""

import json
from pathlib import Path

import pytest

from siprec_sync.ownership import RootLock
from siprec_sync.recovery import RUNNING, Recovery, is_unfinished, recover_recording, unfinished


def folder_of(root: Path, name: str, status: str | None, journal: bytes | None = b"") -> Path:
    folder = root / "2026" / "01" / "02" / name
    folder.mkdir(parents=True)
    if status is not None:
        report = {"version": 1, "id": name, "status": status, "files": [], "findings": []}
        (folder / "recording.json").write_text(json.dumps(report, indent=1))
    if journal is not None:
        (folder / "journal.pcapng").write_bytes(journal)
    return folder


def test_folders_without_a_final_status_are_unfinished(tmp_path: Path) -> None:
    wanted = [folder_of(tmp_path, "a", "active"), folder_of(tmp_path, "c", None)]
    folder_of(tmp_path, "b", "completed")
    folder_of(tmp_path, "d", "failed")
    folder_of(tmp_path, "e", "recovered", None)
    (tmp_path / "link").symlink_to(wanted[0].parent)
    (tmp_path / "empty").mkdir()
    assert list(unfinished(tmp_path)) == wanted
    assert list(unfinished(wanted[0])) == [wanted[0]]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (b"", True),
        (b"{", True),
        (b"[1]", True),
        (b"{}", True),
        (b"\xff" * 2_000, True),
        (b"[" * 100_000, True),
        (b'{"version":1,"id":"x","status":"active"', True),
        (b'{"version":1,"id":"x","status":"completed","and":"the rest is not read', False),
        (b'{"id": "x", "more": {"status": "active"}, "status": "completed"}', False),
        (b'{"id": "x", "pad": "' + b"x" * 1_000 + b'", "status": "active"}', True),
    ],
)
def test_a_report_of_any_shape_is_read(tmp_path: Path, report: bytes, expected: bool) -> None:
    (tmp_path / "recording.json").write_bytes(report)
    assert is_unfinished(tmp_path) is expected


def test_an_empty_journal_under_an_owner_is_left_to_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a", None)
    owner = RootLock(tmp_path)
    assert owner.take()
    assert recover_recording(folder, root=tmp_path) == Recovery(folder, RUNNING)
    assert recover_recording(folder, root=tmp_path, ours=True).status == "failed"
    owner.release()
    assert list(unfinished(tmp_path)) == []


def test_a_link_in_the_place_of_a_journal_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a", "active", None)
    (tmp_path / "other").write_bytes(b"")
    (folder / "journal.pcapng").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic link"):
        recover_recording(folder)


def test_somebody_else_was_faster(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a", "completed")
    assert recover_recording(folder).status == "completed"


def test_a_folder_of_nothing_stays_so(tmp_path: Path) -> None:
    assert recover_recording(tmp_path).status == "failed"
    assert list(tmp_path.iterdir()) == []
