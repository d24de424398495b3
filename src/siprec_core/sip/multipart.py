"""Message bodies: multipart and single (RFC 2046 section 5.1, RFC 5621).

The content of a part is a view of the body, never a copy. Delimiters are found by searching for the boundary itself,
which keeps the cost linear, and are believed only where they stand alone on a line.
"""

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.sip.fields import ContentDisposition, ContentType
from siprec_core.sip.grammar import read_number
from siprec_core.sip.header_block import read_header_block
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parser import find_header_end

_TEXT_PLAIN = ContentType("text", "plain")
_OCTETS = ContentType("application", "octet-stream")
_SDP = ContentType("application", "sdp")
_BOUNDARY_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ")


@dataclass(frozen=True, slots=True)
class BodyPart:
    """A body or a part of one."""

    headers: Headers
    """Those of the part; of the message for the body itself."""
    content: bytes | memoryview
    """As carried: transfer encoding and line ends untouched."""
    content_type: ContentType
    disposition: ContentDisposition | None = None
    parts: tuple["BodyPart", ...] = ()
    """The parts of a multipart body, in order."""

    @classmethod
    def create(
        cls,
        content_type: str,
        content: bytes | memoryview,
        *,
        disposition: str | None = None,
        content_id: str | None = None,
    ) -> Self:
        """Make a part to be written. Raises RemoteProtocolError or LocalProtocolError for values that are none."""
        headers = Headers([("Content-Type", content_type)])
        if disposition is not None:
            headers.add("Content-Disposition", disposition)
        if content_id is not None:
            headers.add("Content-ID", f"<{content_id}>")
        return cls(
            headers,
            content,
            ContentType.parse(content_type),
            None if disposition is None else ContentDisposition.parse(disposition),
        )

    def leaves(self) -> Iterator["BodyPart"]:
        """Give the parts that have no parts themselves, in order; a part without parts gives itself."""
        if self.content_type.type != "multipart":
            yield self
        for part in self.parts:
            yield from part.leaves()

    def decoded(self) -> bytes | memoryview:
        """Give the content without its transfer encoding (RFC 2045 section 6): itself, not a copy, when it has none.

        Raises RemoteProtocolError: status 415 for an unknown encoding, 400 for content that does not follow it.
        """
        encoding = (self.headers.get("Content-Transfer-Encoding") or "binary").strip().lower()
        if encoding in ("binary", "8bit", "7bit"):
            return self.content
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.content)
        if encoding == "base64":
            return _decode_base64(bytes(self.content))
        raise RemoteProtocolError("unknown encoding", status_hint=415, field="Content-Transfer-Encoding")


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """What became of a body."""

    root: BodyPart | None
    """None for a message without body, or with an error."""
    findings: tuple[Finding, ...] = ()
    error: RemoteProtocolError | None = None

    def leaves(self) -> Iterator[BodyPart]:
        """Give the leaf parts in order; a body that is not multipart is one."""
        if self.root is not None:
            yield from self.root.leaves()


def parse_body(message: Request | Response, *, limits: Limits) -> ParsedBody:
    """Read the body of a message, nested multipart bodies included. Never raises."""
    if not message.body:
        return ParsedBody(None)
    reading = _Reading(message.body, limits)
    try:
        content_type = message.content_type
    except RemoteProtocolError as error:
        return ParsedBody(None, (), error)
    if content_type is None:
        # RFC 3261 7.4.1: "The Internet media type of the message body MUST be given by the Content-Type header field."
        reading.note("mime-no-content-type")
        content_type = _SDP if message.body.startswith(b"v=0") else _OCTETS
    try:
        root = reading.read_part(message.headers, 0, len(message.body), content_type, depth=1)
    except RemoteProtocolError as error:
        return ParsedBody(None, tuple(reading.findings), error)
    return ParsedBody(root, tuple(reading.findings))


def write_multipart(parts: Sequence[BodyPart], *, boundary: str) -> bytes:
    """Write a multipart body.

    Raises LocalProtocolError without a part, for a boundary that RFC 2046 section 5.1.1 forbids, and for one that
    occurs in a part.
    """
    if not parts:
        raise LocalProtocolError("a multipart body has at least one part")
    if not 1 <= len(boundary) <= 70 or not _BOUNDARY_CHARACTERS.issuperset(boundary) or boundary.endswith(" "):
        raise LocalProtocolError("the boundary breaks RFC 2046 section 5.1.1")
    delimiter = b"--" + boundary.encode("ascii")
    pieces: list[bytes | memoryview] = []
    for part in parts:
        if delimiter in bytes(part.content):
            # RFC 2046 5.1: "Boundary delimiters must not appear within the encapsulated material".
            raise LocalProtocolError("the boundary occurs in a part")
        fields = "".join(f"{name}: {value}\r\n" for name, value in part.headers)
        pieces += (delimiter, b"\r\n", fields.encode("utf-8", "surrogateescape"), b"\r\n", part.content, b"\r\n")
    pieces += (delimiter, b"--\r\n")
    return b"".join(pieces)


class _Reading:
    """One pass over a body: the limits count across all levels, and every part is found in place."""

    __slots__ = ("_data", "_limits", "_parts", "_told", "_view", "findings")

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._data = data
        self._view = memoryview(data)
        self._limits = limits
        self._parts = 0
        self._told: set[str] = set()
        self.findings: list[Finding] = []

    def note(self, code: str, message: str | None = None) -> None:
        """Add a finding, each code once per body."""
        if code not in self._told:
            self._told.add(code)
            self.findings.append(finding(code, "body", message))

    def read_part(self, headers: Headers, start: int, end: int, content_type: ContentType, depth: int) -> BodyPart:
        """Read a part, whose content is given by its place, and what is nested in it. Raises RemoteProtocolError."""
        parts: tuple[BodyPart, ...] = ()
        if content_type.type == "multipart":
            if depth > self._limits.multipart_depth:
                raise RemoteProtocolError(f"multipart bodies nested deeper than {self._limits.multipart_depth}")
            delimiter = self._delimiter(content_type)
            parts = tuple(self._read_part_at(*place, depth) for place in self._cut(start, end, delimiter))
        return BodyPart(headers, self._view[start:end], content_type, self._disposition(headers), parts)

    def _delimiter(self, content_type: ContentType) -> bytes:
        boundary = content_type.boundary
        if not boundary:
            raise RemoteProtocolError("multipart without a boundary", field="Content-Type")
        delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
        if len(delimiter) > self._limits.multipart_boundary + 2:
            raise RemoteProtocolError(
                f"a boundary of more than {self._limits.multipart_boundary} octets", field="Content-Type"
            )
        return delimiter

    def _cut(self, position: int, end: int, delimiter: bytes) -> Iterator[tuple[int, int]]:
        """Give where each part (header and content) of a multipart content starts and ends."""
        data, first, start = self._data, position, -1
        while (at := data.find(delimiter, position, end)) != -1:
            position = at + len(delimiter)
            # RFC 2046 5.1.1: "the boundary delimiter MUST occur at the beginning of a line".
            if at > first and data[at - 1] != 0x0A:
                continue
            line_end, closing = _delimiter_line(data, position, end)
            if line_end == -1:
                continue
            if start != -1:
                yield start, self._before_delimiter(data, start, at)
            elif closing:
                # RFC 2046 5.1.1: multipart-body := ... dash-boundary transport-padding CRLF body-part *encapsulation
                raise RemoteProtocolError("a multipart body without parts")
            if closing:
                return
            start = position = line_end
        if start == -1:
            raise RemoteProtocolError("no delimiter of the multipart body was found")
        self.note("mime-unterminated")
        if start < end:
            yield start, end

    def _before_delimiter(self, data: bytes, start: int, at: int) -> int:
        # RFC 2046 5.1.1: "the initial CRLF is considered to be attached to the boundary delimiter line".
        if at - 1 < start:
            return start
        if at - 2 >= start and data[at - 2] == 0x0D:
            return at - 2
        self.note("mime-bare-lf")
        return at - 1

    def _read_part_at(self, start: int, end: int, depth: int) -> BodyPart:
        self._parts += 1
        if self._parts > self._limits.multipart_parts:
            raise RemoteProtocolError(f"more than {self._limits.multipart_parts} parts")
        headers, content_start = self._read_part_header(self._data, start, end)
        length = headers.get("Content-Length")
        if length is not None and read_number(length, end) != end - content_start:
            self.note("mime-part-length")
        return self.read_part(headers, content_start, end, self._content_type(headers), depth + 1)

    def _read_part_header(self, data: bytes, start: int, end: int) -> tuple[Headers, int]:
        # RFC 2046 5.1: "NO header fields are actually required in body parts"; the empty line stands all the same.
        if data.startswith(b"\r\n", start, end):
            return Headers(), start + 2
        if data.startswith(b"\n", start, end):
            return Headers(), start + 1
        found = find_header_end(data, start, min(end, start + self._limits.part_header_size + 4))
        header_end, content_start = (end, end) if found is None else found
        if header_end - start > self._limits.part_header_size:
            if b":" not in data[start : start + 80]:
                return self._headless(start)
            raise RemoteProtocolError(f"a part header of more than {self._limits.part_header_size} octets")
        block = read_header_block(data[start:header_end], limits=self._limits, start_line=False, where="body")
        if block.error is None:
            self._keep(block.findings)
            return block.headers, content_start
        if not len(block.headers) or data.startswith(b"v=0", start):
            return self._headless(start)
        self.note("mime-part-header", block.error.message)
        return block.headers, content_start

    def _headless(self, start: int) -> tuple[Headers, int]:
        """The content follows the delimiter at once."""
        self.note("mime-part-header", "a part has no header and no empty line")
        return Headers(), start

    def _keep(self, findings: list[Finding]) -> None:
        for found in findings:
            self.note("mime-bare-lf" if found.code == "sip-bare-lf" else "mime-part-header", found.message)

    def _content_type(self, headers: Headers) -> ContentType:
        value = headers.get("Content-Type")
        if not value:
            return _TEXT_PLAIN
        try:
            return ContentType.parse(value)
        except RemoteProtocolError:
            self.note("mime-part-type", f"not a media type: {value[:80]!r}")
            return _OCTETS

    def _disposition(self, headers: Headers) -> ContentDisposition | None:
        value = headers.get("Content-Disposition")
        if not value:
            return None
        try:
            return ContentDisposition.parse(value)
        except RemoteProtocolError:
            self.note("mime-part-header", f"not a disposition: {value[:80]!r}")
            return None


def _delimiter_line(data: bytes, at: int, end: int) -> tuple[int, bool]:
    """Give where the line of a delimiter that stops at `at` ends and whether it closes; (-1, False) for mere data.

    Only linear whitespace may follow a delimiter (RFC 2046 5.1.1). The content ends at `end`.
    """
    closing = data.startswith(b"--", at, end)
    if closing:
        at += 2
    while at < end and data[at] in b" \t":
        at += 1
    if at == end:
        return at, closing
    if data[at] == 0x0A:
        return at + 1, closing
    if data.startswith(b"\r\n", at, end):
        return at + 2, closing
    return -1, False


def _decode_base64(content: bytes) -> bytes:
    # RFC 2045 6.8: characters outside the alphabet are ignored; missing padding is made up for.
    try:
        return binascii.a2b_base64(content + b"===")
    except binascii.Error as error:
        raise RemoteProtocolError("malformed base64", field="Content-Transfer-Encoding") from error
