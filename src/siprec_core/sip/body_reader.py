"""Reads a message body while its octets come: multipart and single (RFC 2046 section 5.1, RFC 5621).

The body is looked at in place and from front to back. One search, for a line that begins as the delimiters of all open
levels do, serves every level of nesting; it goes on where it ended, so that the cost is linear however the body is cut
up. Whatever is decided about a part depends on the octets alone, never on where a cut was: what a cut leaves open waits
for the next octets. The content of a part is a view of the body, never a copy.
"""

import re
from dataclasses import dataclass, field

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.sip.body import BodyPart, ParsedBody
from siprec_core.sip.fields import ContentDisposition, ContentType
from siprec_core.sip.grammar import read_number
from siprec_core.sip.header_block import read_header_block
from siprec_core.sip.headers import Headers
from siprec_core.sip.parser import find_header_end

_TEXT_PLAIN = ContentType("text", "plain")
_OCTETS = ContentType("application", "octet-stream")
_UNKNOWN = ContentType("application", "octet-stream")
"""Stands for the type of a body that nobody named."""
_SDP = ContentType("application", "sdp")
_USUAL_TYPES = {
    text: ContentType.parse(text)
    for text in ("application/sdp", "application/rs-metadata+xml", "application/rs-metadata")
}
_USUAL_DISPOSITIONS = {text: ContentDisposition.parse(text) for text in ("session", "recording-session")}
_LINE_REST = re.compile(rb"(--)?[ \t]*+(\r?\n)?")
"""What may follow a delimiter: RFC 2046 5.1.1 allows nothing but linear whitespace."""
_BLANKS = re.compile(rb"[ \t]*+")
_HEADER_SLACK = 4
"""Octets of the longest line end before an empty line and of that line."""
_LOOK_FOR_COLON = 80
"""Octets at the begin of a part within which a header that is too long has a colon."""


@dataclass(slots=True, eq=False)
class ArrivingPart:
    """A part whose header has come; its content may be coming still."""

    headers: Headers
    content_type: ContentType
    disposition: ContentDisposition | None
    start: int
    """Where the content begins in the body."""
    end: int | None = None
    """Where it ends, None until that is known."""
    parts: list["ArrivingPart"] = field(default_factory=list)
    """Those of a multipart content that are known so far."""


class _Level:
    """A multipart content whose end has not come."""

    __slots__ = ("begun", "child", "delimiter", "parts")

    def __init__(self, delimiter: bytes, parts: list[ArrivingPart]) -> None:
        self.delimiter = delimiter
        self.parts = parts
        self.begun = -1
        """Where the part that is coming begins, with its header; -1 before the first delimiter."""
        self.child: ArrivingPart | None = None
        """The part that is coming; None before the first delimiter and until its header is complete."""


class BodyReader:
    """Reads one body. Feed it with `receive` as the body grows, then call `finish`; it never raises.

    The limits count across all levels.
    """

    __slots__ = (
        "_blanks_end",
        "_candidate",
        "_findings",
        "_header_searched",
        "_levels",
        "_limits",
        "_part_count",
        "_root",
        "_searched",
        "_size",
        "_sought",
        "_whole",
        "error",
        "over_limit",
        "scanned_size",
    )

    def __init__(self, headers: Headers, content_type: ContentType | None, size: int, *, limits: Limits) -> None:
        """`headers` are those of the message, `content_type` what they say of the body, which has `size` octets."""
        self._limits = limits
        self._size = size
        self._findings: list[Finding] = []
        self._levels: list[_Level] = []
        self._part_count = 0
        """Parts of all levels so far."""
        self._sought = b""
        """What stands before and at the begin of every delimiter that counts now."""
        self._searched = 0
        """Where the next line end before a delimiter can be."""
        self._candidate = 0
        """Where what looks like a delimiter begins that is not yet decided about, -1 when there is none."""
        self._blanks_end = 0
        """Where the blanks behind such a delimiter ended when the octets did, 0 if they did not."""
        self._header_searched = 0
        """How far the end of the header was searched for."""
        self._whole = False
        """All octets are there."""
        self.error: RemoteProtocolError | None = None
        """Why the body is refused; known as soon as the octets so far show it."""
        self.over_limit = False
        """The error is a limit that was passed."""
        self.scanned_size = 0
        """Octets searched for delimiters so far: little more than what was received."""
        if content_type is None:
            # RFC 3261 7.4.1: "The Internet media type of the message body MUST be given by the Content-Type header".
            self._note("mime-no-content-type")
            content_type = _UNKNOWN
        self._root = ArrivingPart(headers, content_type, self._disposition(headers), 0)
        if content_type.type == "multipart":
            try:
                self._open(self._root)
            except RemoteProtocolError as error:
                self._fail(error)

    @property
    def parts(self) -> list[ArrivingPart]:
        """The outermost parts of a multipart body whose headers have come, in order; do not change the list."""
        return self._root.parts

    def receive(self, data: bytes | bytearray) -> None:
        """Take the body as far as it has come; it is the same as before with more at its end, and is not kept."""
        levels = self._levels
        if not levels:
            return
        end = len(data)
        self._whole = end == self._size
        try:
            while levels:
                level = levels[-1]
                if level.child is None and level.begun != -1:
                    if not self._read_header(level, data, end):
                        break
                elif not self._read_delimiter(data, end, end):
                    break
            if levels and self._whole:
                self._close_levels(data, 0, end)
        except RemoteProtocolError as error:
            self._fail(error)

    def finish(self, body: bytes) -> ParsedBody:
        """Give what became of the body, which is whole now and whose parts are views of it."""
        self._size = len(body)
        self.receive(body)
        if self.error is not None:
            return ParsedBody(None, tuple(self._findings), self.error)
        root = self._root
        root.end = len(body)
        if root.content_type is _UNKNOWN and body.startswith(b"v=0"):
            root.content_type = _SDP
        return ParsedBody(_with_content(root, memoryview(body)), tuple(self._findings))

    def _fail(self, error: RemoteProtocolError) -> None:
        # Its traceback would keep the octets.
        self.error = error.with_traceback(None)
        self._levels.clear()

    def _note(self, code: str, message: str | None = None) -> None:
        """Add a finding, each code once per body."""
        if not any(found.code == code for found in self._findings):
            self._findings.append(finding(code, "body", message))

    def _passed(self, message: str, *, field: str | None = None) -> RemoteProtocolError:
        self.over_limit = True
        return RemoteProtocolError(message, field=field)

    # delimiters

    def _read_delimiter(self, data: bytes | bytearray, end: int, bound: int) -> bool:
        """Read the next delimiter that begins before `bound`; False when there is none, or none yet."""
        sought = self._sought
        stop = min(end, bound + len(sought) - 2)
        if self._blanks_end and not self._pass_blanks(data, end):
            return False
        while True:
            if self._candidate == -1:
                searched = self._searched
                found = data.find(sought, searched, stop)
                if found == -1:
                    if stop > searched:
                        self.scanned_size += stop - searched
                        self._searched = max(searched, stop - len(sought) + 1)
                    return False
                self.scanned_size += found - searched
                self._candidate = self._searched = found + 1
            decided = self._examine(data, self._candidate, end)
            if decided is None:
                return False
            self._candidate = -1
            if decided:
                return True

    def _pass_blanks(self, data: bytes | bytearray, end: int) -> bool:
        """Tell whether more has come than blanks behind a delimiter, which are thus not looked at again and again."""
        match = _BLANKS.match(data, self._blanks_end)
        stop = end if match is None else match.end()
        if stop == end and not self._whole:
            self._blanks_end = stop
            return False
        self._blanks_end = 0
        return True

    def _examine(self, data: bytes | bytearray, at: int, end: int) -> bool | None:
        """Take what begins at `at` as a delimiter, of the outermost level that it can be of; False for mere data.

        None when more octets have to tell.
        """
        for index, level in enumerate(self._levels):
            delimiter = level.delimiter
            behind = at + len(delimiter)
            if not data.startswith(delimiter, at):
                if behind > end and not self._whole and delimiter.startswith(data[at:end]):
                    return None
                continue
            if data.startswith(b"\r\n", behind):
                self._take_delimiter(data, index, at, behind + 2, closing=False)
                return True
            line_end, closing, ended = _line_rest(data, behind)
            if not ended and not self._whole:
                if line_end == end:
                    self._blanks_end = line_end
                    return None
                if end - line_end == 1 and data[line_end] in (b"\r-" if line_end == behind else b"\r"):
                    return None
            if ended or line_end == end:
                self._take_delimiter(data, index, at, line_end, closing=closing)
                return True
        return False

    def _take_delimiter(self, data: bytes | bytearray, index: int, at: int, line_end: int, *, closing: bool) -> None:
        level = self._levels[index]
        if level.begun != -1:
            self._end_part(data, index, at)
        elif closing:
            # RFC 2046 5.1.1: multipart-body := ... dash-boundary transport-padding CRLF body-part *encapsulation
            raise RemoteProtocolError("a multipart body without parts")
        if closing:
            del self._levels[index]
            self._seek_levels()
        else:
            level.begun, level.child = line_end, None
            self._header_searched = line_end
        # The end of this line may be the one before the next delimiter.
        self._searched = line_end - 1

    def _seek_levels(self) -> None:
        """Find out how all delimiters that count begin."""
        if len(self._levels) < 2:
            self._sought = b"\n" + self._levels[0].delimiter if self._levels else b""
            return
        delimiters = [level.delimiter for level in self._levels]
        # What the first and the last in the order of octets share, all share.
        first, last = min(delimiters), max(delimiters)
        shared = 0
        while shared < len(first) and first[shared] == last[shared]:
            shared += 1
        self._sought = b"\n" + first[:shared]

    # ends

    def _end_part(self, data: bytes | bytearray, index: int, at: int) -> None:
        """End the part of a level that is coming, and with it all levels within, at the delimiter that begins at `at`.

        RFC 2046 5.1.1: "the initial CRLF is considered to be attached to the boundary delimiter line".
        """
        level = self._levels[index]
        is_crlf = at > 1 and data[at - 2] == 0x0D
        end = max(at - (2 if is_crlf else 1), level.begun)
        child = level.child or self._begin(level, data, end, end)
        end = max(end, child.start)
        if len(self._levels) > index + 1:
            self._close_levels(data, index + 1, end)
        self._end_content(child, end)
        if not is_crlf:
            self._note("mime-bare-lf")

    def _close_levels(self, data: bytes | bytearray, index: int, end: int) -> None:
        """Close the levels from `index` on, whose closing delimiters did not come before `end`."""
        while len(self._levels) > index:
            level = self._levels[-1]
            if level.begun == -1:
                raise RemoteProtocolError("no delimiter of the multipart body was found")
            child = level.child
            if child is None and level.begun < end:
                child = self._begin(level, data, end, end)
                if self._levels[-1] is not level:
                    continue
            self._note("mime-unterminated")
            if child is not None:
                self._end_content(child, max(end, child.start))
            self._levels.pop()
        self._seek_levels()

    def _end_content(self, part: ArrivingPart, end: int) -> None:
        part.end = end
        length = part.headers.get("Content-Length")
        if length is not None and read_number(length, end) != end - part.start:
            self._note("mime-part-length")

    # headers

    def _read_header(self, level: _Level, data: bytes | bytearray, end: int) -> bool:
        """Read the header of the part that begins, or the delimiter that ends it early; False for want of octets."""
        start, largest = level.begun, self._limits.part_header_size
        # RFC 2046 5.1: "NO header fields are actually required in body parts"; the empty line stands all the same.
        if data.startswith((b"\r\n", b"\n"), start):
            self._begin(level, data, start, start + (2 if data[start] == 0x0D else 1))
            return True
        window = min(end, start + largest + _HEADER_SLACK)
        found = find_header_end(data, max(start, self._header_searched - 3), window)
        if self._read_delimiter(data, end, window if found is None else found[1]):
            return True
        if found is not None:
            self._begin(level, data, *found)
            return True
        self._header_searched = window
        # A delimiter that begins before this octet would still end a header that is not too large.
        if self._searched >= start + largest + 2 and self._candidate == -1:
            self._begin(level, data, window, window)
            return True
        return False

    def _begin(self, level: _Level, data: bytes | bytearray, header_end: int, content_start: int) -> ArrivingPart:
        """Begin the part that a level waits for, and another level with it if its content is multipart."""
        self._part_count += 1
        if self._part_count > self._limits.multipart_parts:
            raise self._passed(f"more than {self._limits.multipart_parts} parts")
        start = level.begun
        headers = Headers() if header_end == start else self._read_fields(data, start, header_end)
        if headers is None:
            self._note("mime-part-header", "a part has no header and no empty line")
            headers, content_start = Headers(), start
        part = ArrivingPart(headers, self._content_type(headers), self._disposition(headers), content_start)
        level.child = part
        level.parts.append(part)
        if part.content_type.type == "multipart":
            self._open(part)
        return part

    def _open(self, part: ArrivingPart) -> None:
        """Begin the level of a multipart content. Raises RemoteProtocolError."""
        if len(self._levels) >= self._limits.multipart_depth:
            raise self._passed(f"multipart bodies nested deeper than {self._limits.multipart_depth}")
        boundary = part.content_type.boundary
        if not boundary:
            raise RemoteProtocolError("multipart without a boundary", field="Content-Type")
        delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
        if len(delimiter) > self._limits.multipart_boundary + 2:
            largest = self._limits.multipart_boundary
            raise self._passed(f"a boundary of more than {largest} octets", field="Content-Type")
        self._levels.append(_Level(delimiter, part.parts))
        self._seek_levels()

    def _read_fields(self, data: bytes | bytearray, start: int, end: int) -> Headers | None:
        """Read the header fields of a part, None if it has none and the content follows the delimiter at once."""
        largest = self._limits.part_header_size
        if end - start > largest:
            if b":" in data[start : start + min(largest, _LOOK_FOR_COLON)]:
                raise self._passed(f"a part header of more than {largest} octets")
            return None
        block = read_header_block(data[start:end], limits=self._limits, start_line=False, where="body")
        if block.error is None:
            for found in block.findings:
                self._note("mime-bare-lf" if found.code == "sip-bare-lf" else "mime-part-header", found.message)
            return block.headers
        if not len(block.headers) or data.startswith(b"v=0", start):
            return None
        self._note("mime-part-header", block.error.message)
        return block.headers

    def _content_type(self, headers: Headers) -> ContentType:
        value = headers.get("Content-Type")
        if not value:
            return _TEXT_PLAIN
        try:
            return _USUAL_TYPES.get(value) or ContentType.parse(value)
        except RemoteProtocolError:
            self._note("mime-part-type", f"not a media type: {value[:80]!r}")
            return _OCTETS

    def _disposition(self, headers: Headers) -> ContentDisposition | None:
        value = headers.get("Content-Disposition")
        if not value:
            return None
        try:
            return _USUAL_DISPOSITIONS.get(value) or ContentDisposition.parse(value)
        except RemoteProtocolError:
            self._note("mime-part-header", f"not a disposition: {value[:80]!r}")
            return None


def _line_rest(data: bytes | bytearray, at: int) -> tuple[int, bool, bool]:
    """Give where a line may end whose delimiter ends at `at`, whether it closes, and whether there is a line end."""
    match = _LINE_REST.match(data, at)
    return (at, False, False) if match is None else (match.end(), match[1] is not None, match[2] is not None)


def _with_content(part: ArrivingPart, view: memoryview) -> BodyPart:
    parts = tuple([_with_content(each, view) for each in part.parts])
    return BodyPart(part.headers, view[part.start : part.end], part.content_type, part.disposition, parts)
