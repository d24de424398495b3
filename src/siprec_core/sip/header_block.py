"""Splits the header of a message or body part into fields.

Folding, bare LF and other oddities are put right first where there are any, so that every block takes the same pass.
Whatever is read can be written again: octets that could end a line never reach a value.
"""

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.sip.grammar import is_token
from siprec_core.sip.header_names import CANONICAL_BY_LOWER, USUAL_SPELLINGS
from siprec_core.sip.headers import Headers, key_of

_KNOWN = frozenset(CANONICAL_BY_LOWER.values())


class HeaderBlock:
    """What became of a header block."""

    __slots__ = ("entries", "error", "findings", "headers", "over_limit", "repeats", "start_line")

    headers: Headers

    def __init__(self) -> None:
        self.start_line = ""
        """The first line, when the block has one that is no field."""
        self.findings: list[Finding] = []
        self.error: RemoteProtocolError | None = None
        """The first error; the fields that could be read are there all the same."""
        self.over_limit = False
        """The error is a limit that was passed."""
        self.entries = 0
        """How many entries all fields together have at most, lists counted at their commas."""
        self.repeats = False
        """A field stands more than once."""

    def fail(self, error: RemoteProtocolError) -> None:
        """Keep the first error."""
        if self.error is None:
            self.error = error


def read_header_block(
    data: bytes | bytearray | memoryview, *, limits: Limits, start_line: bool, where: str = "header"
) -> HeaderBlock:
    """Read header fields up to the end of `data`, which holds neither the empty line nor what follows it.

    With `start_line` the first line is taken as it stands. Never raises.
    """
    block = HeaderBlock()
    text = str(data, "utf-8", "surrogateescape")
    lines = text.split("\r\n")
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        lines = _put_right(text, block, where)
    if len(text) > limits.header_field_size:
        _check_sizes(lines, block, limits)
    if start_line:
        block.start_line = lines[0]
        del lines[0]
    if len(lines) > limits.header_fields:
        block.over_limit = True
        block.fail(RemoteProtocolError(f"more than {limits.header_fields} header lines", status_hint=513))
        del lines[limits.header_fields :]
    block.entries = len(lines) + text.count(",")
    if not _split_clean(lines, block):
        _split_odd(lines, 2 if start_line else 1, block)
    return block


def _split_clean(lines: list[str], block: HeaderBlock) -> bool:
    """Split lines that are one field each; False when one is not, or is spelled in an odd way."""
    usual = USUAL_SPELLINGS.get
    parted = [line.partition(":") for line in lines]
    fields = [(usual(written) or _plain_name(written), value.strip(" \t")) for written, _, value in parted]
    index = {name: [value] for name, value in fields}
    if "" in index or "" in [colon for _, colon, _ in parted]:
        return False
    if len(index) != len(fields) or not _KNOWN.issuperset(index):
        index = _index(fields)
        block.repeats = len(index) != len(fields)
    block.headers = Headers.from_parsed(fields, index)
    return True


def _plain_name(written: str) -> str:
    """Give the canonical form of a name that is not among the usual spellings, "" when it is no token."""
    return CANONICAL_BY_LOWER.get(written.lower()) or (written if is_token(written) else "")


def _index(fields: list[tuple[str, str]]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = {}
    for name, value in fields:
        index.setdefault(key_of(name), []).append(value)
    return index


def _split_odd(lines: list[str], first: int, block: HeaderBlock) -> None:
    """Split lines with folding, blanks before the colon, or errors."""
    fields: list[tuple[str, str]] = []
    for number, line in _unfold(lines, first, block):
        if not line:
            continue
        written, colon, value = line.partition(":")
        name = _read_name(written, number, block) if colon else None
        if name is None:
            block.fail(RemoteProtocolError("a line that is no header field", line=number))
        else:
            fields.append((name, value.strip(" \t")))
    index = _index(fields)
    block.repeats = len(index) != len(fields)
    block.headers = Headers.from_parsed(fields, index)


def _read_name(written: str, line: int, block: HeaderBlock) -> str | None:
    """Give the canonical form of a name in an unusual spelling, None when it is no token."""
    name = written.rstrip(" \t")
    if len(name) != len(written):
        block.findings.append(finding("sip-blank-before-colon", name[:80] or "header", line=line))
    return _plain_name(name) or None


def _put_right(text: str, block: HeaderBlock, where: str) -> list[str]:
    """Split at bare LF too; CR and NUL that stand alone are errors and become blanks."""
    lines = text.replace("\r\n", "\n").split("\n")
    if text.count("\n") != text.count("\r\n"):
        block.findings.append(finding("sip-bare-lf", where))
    for i, line in enumerate(lines):
        if "\r" in line or "\0" in line:
            lines[i] = _without_controls(line, i + 1, block)
    return lines


def _without_controls(line: str, number: int, block: HeaderBlock) -> str:
    # RFC 3261 25.1: quoted-pair = "\" (%x00-09 / %x0B-0C / %x0E-7F), so a NUL behind a backslash is legal, a CR never.
    pieces = line.split("\\\0")
    cleaned = "\\\0".join(piece.replace("\0", " ").replace("\r", " ") for piece in pieces)
    if cleaned != line:
        block.fail(RemoteProtocolError("a CR or NUL within a line", line=number))
    return cleaned


def _check_sizes(lines: list[str], block: HeaderBlock, limits: Limits) -> None:
    for i, line in enumerate(lines):
        if len(line) > limits.header_field_size:
            block.over_limit = True
            block.fail(RemoteProtocolError(f"a line of more than {limits.header_field_size} octets", line=i + 1))
            lines[i] = line[: limits.header_field_size]


def _unfold(lines: list[str], first: int, block: HeaderBlock) -> list[tuple[int, str]]:
    """Give each logical line with the number of its first line.

    Line break and blanks "are treated as a single SP character" (RFC 3261 section 7.3.1).
    """
    logical: list[tuple[int, list[str]]] = []
    for number, line in enumerate(lines, first):
        if line[:1] not in (" ", "\t"):
            logical.append((number, [line]))
        elif logical:
            logical[-1][1].append(line.strip(" \t"))
        else:
            block.fail(RemoteProtocolError("a continuation line without a header field", line=number))
    return [(number, " ".join(pieces)) for number, pieces in logical]
