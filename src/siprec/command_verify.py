"""`siprec verify`: checks size and SHA-256 of every file that a recording lists."""

import argparse
import json
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path, PurePosixPath

from siprec.outcome import CommandError, Exit
from siprec.terminal import clean, write_text
from siprec_core.recording.render import REPORT_NAME

_EXAMPLES = """examples:
  siprec verify recordings
  siprec verify recordings/2024/01/15/0123
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Compares every file of recordings with the size and SHA-256 that recording.json gives. A recording that is "
        "still active is passed over. Exit code 1 when a file is missing or differs, or when there is no recording."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="a recordings folder, or one recording")


def run(arguments: argparse.Namespace) -> int:
    """Check each folder."""
    recordings = files = 0
    problems: list[str] = []
    for folder in arguments.folders:
        if not folder.is_dir():
            raise CommandError(f"{folder}: no such folder")
        reports = [folder / REPORT_NAME] if (folder / REPORT_NAME).exists() else sorted(folder.rglob(REPORT_NAME))
        if not reports:
            problems.append(f"{folder}: no recording")
        for report in reports:
            recordings += 1
            for problem in check_recording(report):
                if problem is not None:
                    problems.append(problem)
                files += 1
    for problem in problems:
        write_text(clean(problem))
    write_text(f"{recordings} recordings, {files} files, {len(problems)} problems")
    return Exit.PROBLEMS if problems else Exit.DONE


def check_recording(report: Path) -> Iterator[str | None]:
    """Give for each file of a recording what is wrong with it, None for a sound one."""
    try:
        entries = _entries(report)
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"{report}: cannot be read: {error}"
        return
    for name, size, digest in entries:
        yield _check_file(report.parent, name, size, digest)


def _entries(report: Path) -> list[tuple[str, int, str]]:
    content = json.loads(report.read_bytes())
    if content["status"] == "active":
        return []
    entries = [(str(entry["name"]), int(entry["size"]), str(entry["sha256"])) for entry in content["files"]]
    if not entries:
        raise ValueError("it lists no files")
    return entries


def _check_file(folder: Path, name: str, size: int, digest: str) -> str | None:
    if name.startswith("/") or ".." in PurePosixPath(name).parts:
        return f"{folder}/{name}: leads out of the recording"
    path = folder / name
    try:
        real = path.stat().st_size
        if real != size:
            return f"{path}: {real} octets instead of {size}"
        with path.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return f"{path}: missing"
    except OSError as error:
        return f"{path}: {(error.strerror or str(error)).lower()}"
    return None if found == digest else f"{path}: SHA-256 differs"
