"""`siprec validate`: prints what is wrong with files, a line each, as compilers do."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from siprec.captures import read_capture
from siprec.documents import Document, decode, is_capture, read_file
from siprec.guess import guess_origin
from siprec.outcome import Exit, unreadable
from siprec.review import review
from siprec.terminal import clean, finding_line, write_text
from siprec_core.clock import format_instant
from siprec_core.findings import Finding, Severity

_EXAMPLES = """examples:
  siprec validate invite.sip
  siprec validate --strict recordings/2024/01/15/*/metadata/0001.xml
"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Prints what is wrong with SIP messages, multipart bodies, SDP, recording metadata and captures as "
        "'file:line:col: severity code message (RFC section)'. Exit code 1 when there is an error among it."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path, help="what to check")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--guess", action="store_true", help="tell on standard error who probably wrote each file")


def run(arguments: argparse.Namespace) -> int:
    """Check each file."""
    bad = {Severity.ERROR, Severity.WARNING} if arguments.strict else {Severity.ERROR}
    sound = True
    for path in arguments.files:
        try:
            for found in _findings(path, guess=arguments.guess):
                sound = sound and found.severity not in bad
                write_text(f"{clean(path)}:{found.line or 1}:{found.column or 1}: {finding_line(found)}")
        except OSError as error:
            raise unreadable(path, error) from error
    return Exit.DONE if sound else Exit.PROBLEMS


def _findings(path: Path, *, guess: bool) -> Iterator[Finding]:
    with path.open("rb") as file:
        start = file.read(4)
    if not is_capture(start):
        document = decode(read_file(path))
        if guess:
            _tell_origin(clean(path), document)
        yield from review(document)
        return
    capture = read_capture(path)
    yield from capture.findings
    for number, message in enumerate(capture.messages, 1):
        place = f"message {number} of {format_instant(message.datagram.at_ns)}"
        if guess:
            _tell_origin(f"{clean(path)}: message {number}", message.document)
        for found in review(message.document):
            # A capture has no lines; those of the message are told with it.
            line = "" if found.line is None else f" line {found.line}"
            yield replace(found, where=f"{place}{line}, {found.where}", line=None, column=None)


def _tell_origin(place: str, document: Document) -> None:
    """Say who may have written it: a guess, and no finding."""
    dialect, vendor = guess_origin(document)
    said = [f"metadata of dialect {dialect}"] if dialect is not None else []
    said += [f"probably {vendor}"] if vendor is not None else []
    if said:
        print(f"{place}: {', '.join(said)}", file=sys.stderr)
