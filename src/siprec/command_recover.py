"""`siprec recover`: finishes the recordings that a crash left behind."""

import argparse
import json
from pathlib import Path

from siprec.outcome import CommandError, Exit
from siprec.terminal import clean, write_text
from siprec_core.recording.render import REPORT_NAME
from siprec_sync.listeners import reason_of
from siprec_sync.recovery import RUNNING, Recovery, recover_recording, unfinished

_EXAMPLES = """examples:
  siprec recover recordings
  siprec recover recordings --json
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Makes the files of every recording that is left without a status or active, as `siprec serve` does at its "
        "start. Recordings that are running are passed over. Exit code 1 when one could not be recovered."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("folder", metavar="DIR", type=Path, help="a recordings folder, or one recording")
    parser.add_argument("--json", action="store_true", help="print a list of what was found as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Recover each recording and tell what became of it."""
    root: Path = arguments.folder
    if not root.is_dir():
        raise CommandError(f"{root}: no such folder")
    entries = []
    for folder in unfinished(root):
        entry = _recover(folder, root)
        entries.append(entry)
        if not arguments.json:
            write_text(_line(entry))
    if arguments.json:
        write_text(json.dumps(entries, indent=1))
    else:
        done = sum(entry["status"] not in (RUNNING, "failed") and entry["error"] is None for entry in entries)
        write_text(f"{done} recordings recovered, {sum(map(_is_problem, entries))} problems")
    return Exit.PROBLEMS if any(map(_is_problem, entries)) else Exit.DONE


def _recover(folder: Path, root: Path) -> dict[str, object]:
    error = None
    try:
        recovery = recover_recording(folder, root=root)
    except OSError as problem:
        error = reason_of(problem)
        recovery = Recovery(folder, RUNNING)
    return {"directory": str(folder), "status": recovery.status, "error": error, **_facts(folder)}


def _facts(folder: Path) -> dict[str, object]:
    """Give what `recording.json` says about the length and the end of a recording."""
    try:
        report = json.loads((folder / REPORT_NAME).read_bytes())
        return {key: report[key] for key in ("id", "end_reason", "duration")}
    except (OSError, ValueError, LookupError, TypeError):
        return {"id": None, "end_reason": None, "duration": None}


def _line(entry: dict[str, object]) -> str:
    if entry["error"] is not None:
        text = str(entry["error"])
    elif entry["status"] == RUNNING:
        text = "is running"
    else:
        text = f"{entry['status']}, {entry['duration']} s, ended by {entry['end_reason']}"
    return clean(f"{entry['directory']}: {text}")


def _is_problem(entry: dict[str, object]) -> bool:
    return entry["error"] is not None or entry["status"] == "failed"
