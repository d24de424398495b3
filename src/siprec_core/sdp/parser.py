"""Parser of session descriptions: tolerant, with a finding for each deviation, bounded by `Limits.sdp_*`.

One pass over the lines. A line that breaks the grammar costs only itself, with three exceptions: without `v=`, without
a readable `o=`, or with media lines of which none can be read, there is no description. A media line that breaks the
grammar keeps its place with port 0, because an answer has to have a line for it (RFC 3264 section 6).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NoReturn

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.quick import maker
from siprec_core.sdp.attributes import Attribute, shown
from siprec_core.sdp.crypto import SECURE_RTP
from siprec_core.sdp.formats import STATIC_PAYLOAD_TYPES, payload_type_of
from siprec_core.sdp.lines import (
    AttributeBlock,
    MediaLine,
    Problem,
    keep_attribute_block,
    known_attribute_block,
    known_attribute_line,
    read_attribute_line,
    read_bandwidth,
    read_connection,
    read_media_line,
    read_origin,
    read_timing,
)
from siprec_core.sdp.model import (
    Bandwidth,
    Connection,
    MediaDescription,
    Origin,
    RawLine,
    SessionDescription,
)


@dataclass(frozen=True, slots=True)
class ParsedSdp:
    """What became of a text."""

    description: SessionDescription | None
    """None when there is an error."""
    findings: tuple[Finding, ...]
    """Deviations in the order they were met; an error is the last of them, as `sdp-malformed` or `sdp-limit`."""
    error: RemoteProtocolError | None = None
    """Why there is no description; `line` tells where."""


_make_media, _make_description, _make_parsed = maker(MediaDescription), maker(SessionDescription), maker(ParsedSdp)


def parse_sdp(data: bytes | memoryview, *, limits: Limits) -> ParsedSdp:
    """Parse a session description. Never raises for what `data` holds."""
    parser = _Parser(limits)
    try:
        description = parser.parse(bytes(data))
    except _UnusableError as unusable:
        return ParsedSdp(None, tuple(parser.findings), unusable.error)
    return _make_parsed(description, tuple(parser.findings))


class _UnusableError(Exception):
    """There is no description in the text."""

    def __init__(self, error: RemoteProtocolError) -> None:
        super().__init__(str(error))
        self.error = error


_SESSION_ORDER: Final = {letter: rank for rank, letter in enumerate("vosiuepcbtk")} | {"r": 9, "z": 9}
"""Rank of each line type before the first media line; attributes end the section (RFC 8866 section 9)."""
_MEDIA_ORDER: Final = {letter: rank for rank, letter in enumerate("icbk")}
"""Rank of each line type behind a media line; attributes end the section."""
_SESSION_ONLY: Final = frozenset("vosuetprz")
_FREE_TEXT: Final = frozenset("siuep")
"""Lines whose blanks belong to the text."""
_STATIC_FORMATS: Final = frozenset(map(str, STATIC_PAYLOAD_TYPES))
_LOOSE_LINE: Final = re.compile(r"[ \t]*([A-Za-z])[ \t]*=(.*)", re.DOTALL)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_STRAY_LINE_END: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def _count_lines(data: bytes) -> int:
    """Count line ends of every kind."""
    return data.count(b"\r") + data.count(b"\n") - data.count(b"\r\n")


_USUAL_HEAD: Final = re.compile(
    r"v=0\r\no=(\S{1,64}) ([0-9]{1,20}) ([0-9]{1,20}) IN (IP4|IP6) (\S{1,64})\r\ns=([^\r\n]{1,64})\r\n"
    r"c=(IN IP[46] \S{1,48})\r\nt=0 0(?=\r\n|\Z)"
)
_LONG_LINE: Final = "line longer than the limit"
_USUAL_LINES: Final = 5
"""Lines of a usual head."""
_USUAL_SIZE: Final = 256
"""No line of a usual head is longer."""
_NO_TIME: Final = (RawLine("t", "0 0"),)


class _Section:
    """The lines of the session, or of one media line, while they are collected."""

    # Defaults of the class and no slots: most sections set few of them, and every call makes three sections.
    rank = 0
    connection: Connection | None = None
    information: str | None = None
    key: str | None = None
    unusable = False
    """A bound or the grammar was broken: the line's port counts as 0."""
    crypto_line = 0
    """Line number of the first `a=crypto`, 0 without one."""
    bandwidths: tuple[Bandwidth, ...] = ()
    other_lines: tuple[RawLine, ...] = ()
    repeated: list[tuple[str, Attribute, int]] | None = None
    """What may stand once and stands again: mark, attribute and line number."""

    def __init__(self, line: int, media: MediaLine, order: dict[str, int]) -> None:
        self.line = line
        self.media = media
        self.order = order
        self.attributes: list[Attribute] = []
        self.marks: dict[str, int] = {}
        """Line numbers by mark of what may stand once."""

    def add(self, attribute: Attribute, mark: str | None, number: int) -> None:
        """Append an attribute; `mark` names what may stand once."""
        self.attributes.append(attribute)
        if mark is not None and self.marks.setdefault(mark, number) != number:
            self.repeat(mark, attribute, number)

    def repeat(self, mark: str, attribute: Attribute, number: int) -> None:
        """Take what may stand once and stands again."""
        if self.repeated is None:
            self.repeated = []
        self.repeated.append((mark, attribute, number))

    def description(self) -> MediaDescription:
        """Give the value of a media section."""
        media = self.media
        return _make_media(
            media.media,
            0 if self.unusable else media.port,
            media.protocol,
            media.formats,
            tuple(self.attributes),
            self.connection,
            media.port_count,
            self.information,
            self.bandwidths,
            self.key,
            self.other_lines,
            self.line,
        )


_NO_MEDIA: Final = MediaLine()
_REPEATED_CODES: Final = {"direction": "sdp-directions", "label": "sdp-label", "crypto": "sdp-crypto"}


class _Parser:
    """The state of one run over a text."""

    _version_seen = False
    _origin: Origin | None = None
    _name: str | None = None
    _uri: str | None = None
    _emails: tuple[str, ...] = ()
    _phones: tuple[str, ...] = ()
    _timing: tuple[RawLine, ...] = ()
    _timing_seen = False
    _readable = False
    """A media line has all its fields."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._session = self._section = _Section(1, _NO_MEDIA, _SESSION_ORDER)
        self._media: list[_Section] = []
        self.findings: list[Finding] = []

    def parse(self, data: bytes) -> SessionDescription:
        """Read the whole text. Raises _UnusableError."""
        head, *sections = self._text(data).split("\r\nm=")
        number = self._read_head(head)
        for text in sections:
            line, line_end, block = text.partition("\r\n")
            before = self._section
            if len(line) + len("m=") > self._limits.sdp_line_size:
                self._excess(_LONG_LINE, number)
            else:
                self._read("m", line, number)
            number += 1
            if line_end:
                number = self._read_block(block, number, is_new=self._section is not before)
        return self._finish()

    def _read_head(self, head: str) -> int:
        """Read the lines before the first media line; gives the number of the line behind them.

        Those before the first attribute are read at once if they are as nearly everybody writes them.
        """
        match = _USUAL_HEAD.match(head)
        connection, problem = (None, None) if match is None else read_connection(match[7])
        if match is None or problem is not None or self._limits.sdp_line_size < _USUAL_SIZE:
            return self._read_lines(head.split("\r\n"), 1)
        username, session_id, version, kind, address, self._name, _ = match.groups()
        self._origin = Origin(username, int(session_id), int(version), address, kind)
        self._session.connection = connection
        self._session.rank = _SESSION_ORDER["t"]
        self._timing = _NO_TIME
        self._version_seen = self._timing_seen = True
        rest = head[match.end() :]
        return self._read_lines(rest[2:].split("\r\n"), _USUAL_LINES + 1) if rest else _USUAL_LINES + 1

    def _read_block(self, text: str, number: int, *, is_new: bool) -> int:
        """Read the lines that follow a media line, which began a section or, unreadable, did not."""
        section = self._section
        known = known_attribute_block(text) if is_new else None
        if known is not None:
            section.attributes, section.marks = list(known.attributes), known.marks
            return number + len(known.attributes)
        end = self._read_lines(text.split("\r\n"), number)
        attributes = section.attributes
        if is_new and len(attributes) == end - number and not section.repeated:
            keep_attribute_block(text, AttributeBlock(tuple(attributes), section.marks))
        return end

    def _read_lines(self, lines: Sequence[str], number: int) -> int:
        """Read some lines, the first of which has that number; gives the number of the line behind them."""
        line_size = self._limits.sdp_line_size
        section = self._section
        for line in lines:
            known = known_attribute_line(line)
            if known is not None:
                # As `_Section.add`, without the call: most lines of a description come by here.
                attribute, mark = known
                section.attributes.append(attribute)
                if mark is not None and section.marks.setdefault(mark, number) != number:
                    section.repeat(mark, attribute, number)
                number += 1
                continue
            if len(line) > line_size:
                self._excess(_LONG_LINE, number)
            elif line[1:2] == "=":
                self._read(line[0], line[2:], number)
            else:
                self._read_loose(line, number)
            section = self._section
            number += 1
        return number

    # The text

    def _text(self, data: bytes) -> str:
        """Decode the text; gives its lines with CRLF between them."""
        line_ends = data.count(b"\n")
        strays = data.count(b"\r") != line_ends or data.count(b"\r\n") != line_ends
        # Counted before anything is cut, so that a flood of line ends costs no memory.
        if (_count_lines(data) if strays else line_ends) > self._limits.sdp_lines:
            self._fail(Problem("sdp-limit", "text", "more lines than the limit"), self._limits.sdp_lines)
        text = self._decode(data)
        if not text or text.isspace():
            self._fail(Problem("sdp-malformed", "text", "the description is empty"), 1)
        if strays:
            match = _STRAY_LINE_END.search(data)
            before = 0 if match is None else data.count(b"\n", 0, match.start())
            self._found(Problem("sdp-line-end", "text"), before + 1)
            text = _LINE_END.sub("\r\n", text)
        if text.endswith("\r\n"):
            return text[:-2]
        self._found(Problem("sdp-no-final-line-end", "text"), text.count("\r\n") + 1)
        return text

    def _decode(self, data: bytes) -> str:
        if b"\0" in data:
            self._found(Problem("sdp-nul", "text"), data.count(b"\n", 0, data.index(0)) + 1)
            data = data.replace(b"\0", b"")
        if data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
            self._found(Problem("sdp-charset", "text", "a byte order mark stands in front"), 1)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            text = data.decode("utf-8", "surrogateescape")
            # RFC 8866 6.10: another character set is legal where a=charset names it.
            if b"\na=charset:" not in data:
                self._found(Problem("sdp-charset", "text"), data.count(b"\n", 0, error.start) + 1)
        return text

    # Lines

    def _read(self, letter: str, value: str, number: int) -> None:
        """Read one line of the form `<type>=<value>`."""
        if letter not in _FREE_TEXT:
            stripped = value.strip(" \t")
            if stripped != value:
                self._found(Problem("sdp-blanks", f"{shown(letter)}="), number)
                value = stripped
        if letter == "a":
            self._read_attribute(value, number)
        elif letter == "m":
            self._read_media(value, number)
        else:
            section = self._section
            rank = section.order.get(letter)
            if rank is None or rank < section.rank or section.attributes:
                self._check_order(letter, rank, number)
            else:
                section.rank = rank
            self._readers.get(letter, _Parser._read_unknown)(self, letter, value, number)

    def _read_loose(self, line: str, number: int) -> None:
        """Read a line that does not begin with a letter and `=`."""
        match = _LOOSE_LINE.fullmatch(line)
        if match is not None:
            self._found(Problem("sdp-blanks", f"{match[1]}="), number)
            self._read(match[1], match[2].strip(" \t"), number)
        elif not line.strip():
            self._found(Problem("sdp-blank-line", "text"), number)
        else:
            self._found(Problem("sdp-bad-line", "text"), number)

    def _check_order(self, letter: str, rank: int | None, number: int) -> None:
        """Report a line that stands behind one it has to precede; attributes come last (RFC 8866 section 9)."""
        if rank is not None:
            self._found(Problem("sdp-order", f"{letter}="), number)
        elif letter in _SESSION_ONLY:
            message = "a line of the session stands behind a media line"
            self._found(Problem("sdp-order", f"{letter}=", message), number)

    def _read_attribute(self, value: str, number: int) -> None:
        attribute, mark, problem = read_attribute_line(value)
        section = self._section
        section.add(attribute, mark, number)
        if attribute.name == "crypto" and not section.crypto_line:
            section.crypto_line = number
        if problem is not None:
            self._found(problem, number)

    def _read_version(self, letter: str, value: str, number: int) -> None:
        if self._version_seen:
            self._repeated(letter, value, number)
        elif value != "0":
            self._found(Problem("sdp-version-number", "v=", f"v={shown(value)} read as v=0"), number)
        self._version_seen = True

    def _read_origin(self, letter: str, value: str, number: int) -> None:
        if self._origin is not None:
            self._repeated(letter, value, number)
            return
        self._origin, problem = read_origin(value)
        if problem is not None:
            if self._origin is None:
                self._fail(problem, number)
            self._found(problem, number)

    def _read_name(self, letter: str, value: str, number: int) -> None:
        if self._name is not None:
            self._repeated(letter, value, number)
            return
        self._name = value
        if not value:
            self._name = "-"
            self._found(Problem("sdp-no-session-name", "s=", "the session name is empty"), number)

    def _read_uri(self, letter: str, value: str, number: int) -> None:
        if self._uri is not None:
            self._repeated(letter, value, number)
            return
        self._uri = value

    def _read_email(self, letter: str, value: str, number: int) -> None:
        self._emails += (value,)

    def _read_phone(self, letter: str, value: str, number: int) -> None:
        self._phones += (value,)

    def _read_timing(self, letter: str, value: str, number: int) -> None:
        if letter == "t":
            self._timing_seen = True
            if not read_timing(value):
                self._found(Problem("sdp-timing", "t=", f"t={shown(value)} read as t=0 0"), number)
                value = "0 0"
        self._timing += (RawLine(letter, value),)

    def _read_information(self, letter: str, value: str, number: int) -> None:
        if self._section.information is not None:
            self._repeated(letter, value, number)
            return
        self._section.information = value

    def _read_key(self, letter: str, value: str, number: int) -> None:
        if self._section.key is not None:
            self._repeated(letter, value, number)
            return
        self._section.key = value
        self._found(Problem("sdp-key", "k="), number)

    def _read_bandwidth(self, letter: str, value: str, number: int) -> None:
        bandwidth = read_bandwidth(value)
        if bandwidth is None:
            self._keep(letter, value)
            self._found(Problem("sdp-bad-line", "b=", "malformed bandwidth"), number)
            return
        self._section.bandwidths += (bandwidth,)

    def _read_connection(self, letter: str, value: str, number: int) -> None:
        if self._section.connection is not None:
            # RFC 8866 9 allows several only for the addresses of one multicast session, which nobody records from.
            self._repeated(letter, value, number)
            return
        connection, problem = read_connection(value)
        if connection is None:
            self._keep(letter, value)
        self._section.connection = connection
        if problem is not None:
            self._found(problem, number)

    def _read_unknown(self, letter: str, value: str, number: int) -> None:
        self._keep(letter, value)
        self._found(Problem("sdp-unknown-line", f"{shown(letter)}="), number)

    def _repeated(self, letter: str, value: str, number: int) -> None:
        self._keep(letter, value)
        self._found(Problem("sdp-repeated-line", f"{letter}="), number)

    def _keep(self, letter: str, value: str) -> None:
        self._section.other_lines += (RawLine(letter, value),)

    _readers: ClassVar[dict[str, Callable[["_Parser", str, str, int], None]]] = {
        "v": _read_version,
        "o": _read_origin,
        "s": _read_name,
        "i": _read_information,
        "u": _read_uri,
        "e": _read_email,
        "p": _read_phone,
        "c": _read_connection,
        "b": _read_bandwidth,
        "t": _read_timing,
        "r": _read_timing,
        "z": _read_timing,
        "k": _read_key,
    }

    def _read_media(self, value: str, number: int) -> None:
        limits = self._limits
        if len(self._media) >= limits.sdp_media:
            self._fail(Problem("sdp-limit", "m=", "more media lines than the limit"), number)
        media = read_media_line(value)
        excess = len(media.formats) > limits.sdp_formats
        if excess:
            media = media._replace(formats=media.formats[: limits.sdp_formats])
        self._section = section = _Section(number, media, _MEDIA_ORDER)
        self._media.append(section)
        if media.problem is not None:
            self._found(media.problem, number)
        if media.complete:
            self._readable = True
        else:
            section.unusable = True
        if excess:
            self._excess("more formats than the limit", number)

    # The end

    def _finish(self) -> SessionDescription:
        origin, session = self._origin, self._session
        if not self._version_seen:
            self._fail(Problem("sdp-malformed", "v=", "there is no v= line"), 1)
        if origin is None:
            self._fail(Problem("sdp-malformed", "o=", "there is no o= line"), 1)
        if self._name is None:
            self._name = "-"
            self._found(Problem("sdp-no-session-name", "s="), 1)
        if not self._timing_seen:
            self._timing = (RawLine("t", "0 0"), *self._timing)
            self._found(Problem("sdp-timing", "t="), 1)
        if len(session.attributes) > self._limits.sdp_attributes:
            self._fail(Problem("sdp-limit", "a=", "more attributes than the limit"), 1)
        if session.repeated:
            self._check_repeated(session)
        label_line = session.marks.get("label")
        if label_line is not None:
            self._found(Problem("sdp-label", "a=label", "a label stands before the first media line"), label_line)
        if session.crypto_line:
            # RFC 4568 4: the attribute "can only appear at the SDP media level (not at the session level)".
            message = "keys stand before the first media line"
            self._found(Problem("sdp-crypto-misplaced", "a=crypto", message), session.crypto_line)
        for section in self._media:
            self._check_media(section)
        media = tuple([section.description() for section in self._media])
        if media and not self._readable:
            self._fail(Problem("sdp-malformed", "m=", "no media line can be read"), self._media[0].line)
        return _make_description(
            origin,
            self._name,
            session.connection,
            media,
            tuple(session.attributes),
            self._timing,
            session.information,
            self._uri,
            self._emails,
            self._phones,
            session.bandwidths,
            session.key,
            session.other_lines,
        )

    def _check_media(self, section: _Section) -> None:
        """Check what only the whole section tells."""
        media, limit = section.media, self._limits.sdp_attributes
        if len(section.attributes) > limit:
            del section.attributes[limit:]
            section.unusable = True
            self._found(Problem("sdp-limit", "m=", "more attributes than the limit"), section.line)
        if section.repeated:
            self._check_repeated(section)
        if section.crypto_line and media.protocol.upper() not in SECURE_RTP:
            message = f"keys stand in a line of {shown(media.protocol)}"
            self._found(Problem("sdp-crypto-misplaced", "a=crypto", message), section.crypto_line)
        if section.unusable or media.port == 0:
            return
        if section.connection is None and self._session.connection is None:
            # RFC 8866 5.7: "A session description MUST contain either at least one 'c=' line in each media
            # description or a single 'c=' line at the session level."
            self._found(Problem("sdp-no-connection", "m="), section.line)
        unmapped = [text for text in media.formats if text not in _STATIC_FORMATS and text not in section.marks]
        if unmapped and "RTP/" in media.protocol.upper():
            self._check_unmapped(unmapped, section.line)

    def _check_repeated(self, section: _Section) -> None:
        for mark, attribute, number in section.repeated or ():
            code = _REPEATED_CODES.get(mark.partition(" ")[0], "sdp-rtpmap")
            message = "stands twice in its section; the first counts"
            self._found(Problem(code, f"a={attribute.name}", message), number)

    def _check_unmapped(self, unmapped: list[str], line: int) -> None:
        dynamic = [text for text in unmapped if payload_type_of(text) is not None]
        if dynamic:
            noun = "payload type" if len(dynamic) == 1 else "payload types"
            self._found(Problem("sdp-no-rtpmap", "m=", f"no a=rtpmap for {noun} {' '.join(dynamic)}"), line)
        if len(dynamic) < len(unmapped):
            self._found(Problem("sdp-formats", "m=", "a format of an RTP line is not a payload type"), line)

    def _found(self, problem: Problem, line: int) -> None:
        self.findings.append(finding(problem.code, problem.where, problem.message, line=line))

    def _excess(self, message: str, number: int) -> None:
        """A bound is broken: a media line loses its port, a session its description."""
        problem = Problem("sdp-limit", "text", message)
        if self._section is self._session:
            self._fail(problem, number)
        self._section.unusable = True
        self._found(problem, number)

    def _fail(self, problem: Problem, line: int) -> NoReturn:
        self._found(problem, line)
        raise _UnusableError(RemoteProtocolError(problem.message or problem.code, field=problem.where, line=line))
