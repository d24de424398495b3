"""Finishes what a crash left behind: recordings whose `recording.json` is missing or still says `active`.

Their files are made from the journal, as they would have been at the end of the call. A recording that is running, or
is being finished by somebody else, is left alone: its journal is locked. Only the journal decides what a recording is;
where there is none, or it tells of no call, what `recording.json` knew is kept and the status becomes `failed`.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siprec_core.limits import Limits
from siprec_core.recording.render import JOURNAL_NAME, REPORT_NAME
from siprec_sync.files import FileTree
from siprec_sync.ownership import has_owner, lock_file
from siprec_sync.rendering import render_capture

RUNNING: Final = "active"
"""The outcome for a recording that is running, and the status that is left."""
_HEAD_SIZE = 512
_STATUS = re.compile(rb'^\s*\{\s*"version":\s*\d+,\s*"id":\s*"[^"\\]*",\s*"status":\s*"(\w+)"')
_TEMPORARY = re.compile(r"\..+\.\d+-\d+\.tmp\Z")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of one recording."""

    folder: Path
    status: str
    """As in `recording.json` now; `active` when it is running or somebody else is finishing it."""


def unfinished(root: Path) -> Iterator[Path]:
    """Give the folders below `root`, or `root` itself, whose recording is not finished, in order of their names.

    Links are not followed. Directories that cannot be read are passed over.
    """
    for folder, inner, names in os.walk(root):
        inner.sort()
        if JOURNAL_NAME in names or REPORT_NAME in names:
            inner.clear()
            if is_unfinished(Path(folder)):
                yield Path(folder)


def is_unfinished(folder: Path) -> bool:
    """Tell whether the recording in a folder has no status, or one that says that it runs."""
    try:
        with (folder / REPORT_NAME).open("rb") as file:
            head = file.read(_HEAD_SIZE)
            match = _STATUS.match(head)
            return (match[1].decode() if match else json.loads(head + file.read())["status"]) == RUNNING
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return True


def recover_recording(
    folder: Path, *, root: Path | None = None, ours: bool = False, limits: Limits | None = None
) -> Recovery:
    """Make the final files of one recording that was left unfinished. Raises OSError.

    `root` is its recordings directory. `ours` tells that no other program records there, and that it is none of those
    that we record now; otherwise a journal without any octet may have been opened this moment by the owner of the root.
    """
    journal = folder / JOURNAL_NAME
    try:
        descriptor = os.open(journal, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return Recovery(folder, _keep_report(folder, FileTree(folder)))
    try:
        if not lock_file(descriptor, wait=False):
            return Recovery(folder, RUNNING)
        if not (ours or os.fstat(descriptor).st_size) and root is not None and has_owner(root):
            return Recovery(folder, RUNNING)
        if not is_unfinished(folder):
            return Recovery(folder, _status(folder))
        return Recovery(folder, _finish(folder, limits))
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove documents that were being written when their program ended. Raises OSError."""
    for entry in os.scandir(folder):
        if _TEMPORARY.match(entry.name) and entry.is_file(follow_symlinks=False):
            os.unlink(entry.path)


def _finish(folder: Path, limits: Limits | None) -> str:
    """Make the files of a recording whose journal we hold; give its status."""
    remove_leftovers(folder)
    if (folder / "metadata").is_dir() and not (folder / "metadata").is_symlink():
        remove_leftovers(folder / "metadata")
    before = _report(folder)
    render_capture(folder / JOURNAL_NAME, folder, limits=limits, journal_name=JOURNAL_NAME)
    report = _report(folder)
    if report.get("status") == "failed" and not report.get("id"):
        _write_failed(folder, FileTree(folder), {**report, **before, "findings": report["findings"]}, report["files"])
    return _status(folder)


def _keep_report(folder: Path, tree: FileTree) -> str:
    """Mark a recording that has no journal any more; give its status."""
    remove_leftovers(folder)
    report = _report(folder)
    if report:
        _write_failed(folder, tree, report, [])
    return _status(folder)


def _write_failed(folder: Path, tree: FileTree, report: dict[str, object], files: object) -> None:
    failed = {
        **report,
        "id": report.get("id") or folder.name,
        "status": "failed",
        "end_reason": "crash",
        "files": files,
    }
    tree.write_document(REPORT_NAME, json.dumps(failed, ensure_ascii=False, indent=1).encode() + b"\n")


def _report(folder: Path) -> dict[str, object]:
    try:
        content = json.loads((folder / REPORT_NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _status(folder: Path) -> str:
    return str(_report(folder).get("status", "failed"))
