"""Printing for people: tables, colours where they are wanted, and no control characters of a peer's."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from siprec_core.findings import Finding, Severity
from siprec_sync.events import printable

_STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}
_SEVERITY_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


def colours(stream: TextIO) -> bool:
    """Tell whether a stream shows colours: a terminal, and nobody said NO_COLOR (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """Give a text in a style (`bold`, `red`, `green`, `yellow`, `dim`) where `stream` (standard output) shows it."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colours(stream or sys.stdout) else text


def clean(value: object) -> str:
    """Give a peer's text fit for a line of output: control characters escaped, length bounded, `-` for nothing."""
    return "-" if value is None or value == "" else printable(str(value))


def write_text(text: str) -> None:
    """Print, whatever the encoding of standard output can express."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, indent: str = "  ") -> str:
    """Lay out rows in columns as wide as they need."""
    lines = [list(head), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    laid = [indent + "  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([styled(laid[0], "bold"), *laid[1:]])


def finding_line(found: Finding) -> str:
    """Give a finding as one line: severity, code, place, message, rule."""
    rule = f" ({found.rfc})" if found.rfc else ""
    severity = styled(found.severity.value, _SEVERITY_STYLES[found.severity])
    return f"{severity} {found.code} {clean(found.where)}: {clean(found.message)}{rule}"


def octets(size: int) -> str:
    """Write a size for people."""
    return f"{size:,} octet{'' if size == 1 else 's'}"
