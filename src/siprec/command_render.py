"""`siprec render`: makes the files of a recording from its journal, or of the calls of anyone's capture."""

import argparse
import json
from pathlib import Path
from typing import Any

from siprec.documents import LIMITS, is_capture
from siprec.outcome import CommandError, Exit, unreadable
from siprec.terminal import clean, finding_line, octets, write_text
from siprec_core.containers.capture import Statistics
from siprec_core.containers.datagrams import DatagramReader
from siprec_core.findings import Finding, Severity
from siprec_core.recording.journal import NOTE_KEY, read_note
from siprec_core.recording.mixing import Mix
from siprec_core.recording.render import JOURNAL_NAME, REPORT_NAME
from siprec_sync.captured_calls import render_calls
from siprec_sync.rendering import render_capture

_HEAD_SIZE = 64 * 1024
"""Within so many octets a journal shows that it is one."""
_EXAMPLES = """examples:
  siprec render recordings/2024/01/15/0123/journal.pcapng
  siprec render capture.pcap -o files
  siprec render capture.pcap -o files --mix stereo
  siprec render day.pcapng -o files --json
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Makes the WAV files, the metadata files and recording.json from a journal, or from any pcap or pcapng of a "
        "SIPREC calls; several calls get a folder each. A journal that was cut short is rendered as far as it goes, "
        "with findings."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("journal", metavar="JOURNAL", type=Path, help="journal.pcapng of a recording, or a capture")
    parser.add_argument(
        "--gaps",
        metavar="NAME",
        choices=("pad", "cut"),
        default="pad",
        help="what becomes of silence of all lines, loss and holds: pad (it keeps its time, default) or cut (what is "
        "a second or longer is left out)",
    )
    parser.add_argument(
        "--mix",
        metavar="NAME",
        choices=[each.value for each in Mix],
        default=Mix.CHANNELS.value,
        help="what mix.wav is: channels (one for each line, default), stereo (left who speaks on the first line, right "
        "everybody else) or mono",
    )
    parser.add_argument("--json", action="store_true", help="print a list of what was made as JSON")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="where the files go (default: beside the journal; for other captures a new folder of their name)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Render, and tell which files were made."""
    capture: Path = arguments.journal
    try:
        with capture.open("rb") as file:
            head = file.read(_HEAD_SIZE)
    except OSError as error:
        raise unreadable(capture, error) from error
    if not is_capture(head):
        raise CommandError(f"{capture}: neither pcap nor pcapng", Exit.PROBLEMS)
    journal = is_journal(head)
    folder = arguments.output or _default_folder(capture, journal=journal)
    mix, cut_gaps = Mix(arguments.mix), arguments.gaps == "cut"
    try:
        if journal:
            made = {folder: render_capture(capture, folder, journal_name=JOURNAL_NAME, mix=mix, cut_gaps=cut_gaps)}
        else:
            made = render_calls(capture, folder, mix=mix, cut_gaps=cut_gaps)
    except OSError as error:
        raise unreadable(error.filename or folder, error, Exit.PROBLEMS) from error
    reports = {each: json.loads((each / REPORT_NAME).read_bytes()) for each in made}
    if arguments.json:
        write_text(json.dumps([_entry(each, reports[each], names) for each, names in made.items()], indent=1))
    else:
        for each, names in made.items():
            _write_recording(each, reports[each], names)
        if len(made) > 1:
            write_text(f"{len(made)} recordings in {clean(folder)}")
    failed = any(report["status"] == "failed" for report in reports.values())
    return Exit.PROBLEMS if failed else Exit.DONE


def is_journal(head: bytes) -> bool:
    """Tell one of our journals from other captures by the beginning of the file."""
    reader = DatagramReader(limits=LIMITS)
    reader.receive(head)
    while (item := reader.poll()) is not None:
        for comment in item.comments if isinstance(item, Statistics) else ():
            note = read_note(comment)
            if note is not None and note[NOTE_KEY] == "start":
                return True
    return False


def _entry(folder: Path, report: dict[str, Any], names: tuple[str, ...]) -> dict[str, object]:
    facts = {key: report[key] for key in ("id", "call_id", "status", "end_reason", "duration")}
    return {"directory": str(folder), **facts, "files": list(names), "findings": report["findings"]}


def _write_recording(folder: Path, report: dict[str, Any], names: tuple[str, ...]) -> None:
    """Print a line for each file and each finding."""
    seconds = {stream["file"]: stream["duration"] for stream in report["streams"] if stream["file"]}
    write_text(f"{clean(folder)}: recording {clean(report['id'])}, {report['status']}")
    for name in names:
        size = octets((folder / name).stat().st_size)
        audio = f", audio of {seconds[name]:.2f} s" if name in seconds else ""
        write_text(f"  {name}  {size}{audio}")
    for entry in report["findings"]:
        found = Finding(**{**entry, "severity": Severity(entry["severity"])})
        write_text(f"  {finding_line(found)}")


def _default_folder(capture: Path, *, journal: bool) -> Path:
    if journal and capture.name == JOURNAL_NAME:
        return capture.parent
    folder = capture.with_suffix("") if capture.suffix else capture.with_name(f"{capture.name}-files")
    if folder.exists() and not any(path.exists() for path in (folder / REPORT_NAME, *folder.glob(f"*/{REPORT_NAME}"))):
        # Not made by us: nothing there may be overwritten.
        raise CommandError(f"{folder} exists; say with -o where the files go")
    return folder
