"""What a file holds, told by its content, and each part of it decoded with what is wrong and where."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from siprec_core.containers.pcap import MAGICS
from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, finding
from siprec_core.limits import Limits
from siprec_core.metadata.model import MetadataDocument, RequestSnapshot
from siprec_core.metadata.reader import read_metadata
from siprec_core.recording.policy import METADATA_TYPES
from siprec_core.recording.signalling import SDP_TYPE, looks_like_sip
from siprec_core.sdp.model import SessionDescription
from siprec_core.sdp.parser import parse_sdp
from siprec_core.sip.body import BodyPart, ParsedBody
from siprec_core.sip.header_names import canonical_name
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Malformed, Request, Response
from siprec_core.sip.multipart import parse_body
from siprec_core.sip.parser import find_header_end, parse_head

LIMITS: Final = Limits()
FILE_SIZE: Final = 64 * 1024 * 1024
"""Largest file that is read as a whole; captures are read piece by piece and have no bound."""

_CAPTURE_MAGICS = frozenset((b"\x0a\x0d\x0d\x0a", *MAGICS))
_PACKED_MAGICS = frozenset((b"\x1f\x8b", b"\x28\xb5", b"\xfd\x37", b"BZ", b"PK"))
_BLANKS = b" \t\r\n"
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
_DELIMITER = re.compile(rb"^--([0-9A-Za-z'()+_,\-./:=?][ -~]{0,69}?)[ \t]*\r?$", re.MULTILINE)
_MIME_HEADER = re.compile(rb"content-type[ \t]*:[ \t]*multipart/", re.IGNORECASE)
_START_LINE = re.compile(
    r"(?P<method>[^\s:]+)[ \t]+(?P<uri>\S+)[ \t]+SIP/\S+|SIP/\S+[ \t]+(?P<status>[1-6]\d\d)\b(?P<reason>.*)"
)
_CONTENT_LENGTH_LINE = re.compile(
    rb"^(?:content-length|l)[ \t]*:[^\n]*(?:\n|\Z)(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE
)


@dataclass(slots=True)
class Document:
    """One decoded message, body, description or metadata document."""

    kind: str | None
    """`request`, `response`, `sdp`, `metadata`, `multipart`; None when it is nothing that we know."""
    message: Request | Response | None = None
    malformed: bool = False
    """The message breaks a rule that makes a server refuse it; `message` holds what could be read."""
    body: ParsedBody | None = None
    description: SessionDescription | None = None
    """The first SDP."""
    description_line: int = 1
    """Line of the document, from 1, where the SDP begins."""
    metadata: MetadataDocument | RequestSnapshot | None = None
    """The first metadata document."""
    metadata_line: int = 1
    header: bytes = b""
    """The header of a SIP message as it stands in the file."""
    findings: list[Finding] = field(default_factory=list)
    """Their lines count from the beginning of the document."""

    @property
    def decoded(self) -> bool:
        """False when the octets are nothing that could be decoded."""
        if self.kind is None or self.malformed:
            return False
        if self.kind == "multipart":
            return self.body is not None and any(self.body.leaves())
        return self.message is not None or self.description is not None or self.metadata is not None


def is_capture(start: bytes) -> bool:
    """Tell a pcap or pcapng file, packed ones included, by its first octets."""
    return start[:4] in _CAPTURE_MAGICS or start[:2] in _PACKED_MAGICS


def read_file(path: Path) -> bytes:
    """Read a file that is no capture, one octet more than `FILE_SIZE` at most. Raises OSError."""
    with path.open("rb") as file:
        return file.read(FILE_SIZE + 1)


def decode(data: bytes) -> Document:
    """Decode the content of a file by what it looks like; never raises."""
    if len(data) > FILE_SIZE:
        return _unknown(f"more than {FILE_SIZE // 2**20} MiB, and no capture")
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANKS)
    if not start:
        return _unknown("the file is empty" if not data else "the file holds nothing but blanks")
    if looks_like_sip(start):
        skipped = data.index(start[:1])
        return shifted(decode_message(data[skipped:]), data.count(b"\n", 0, skipped))
    if start.startswith((b"v=", b"V=")):
        return _decode_sdp(data)
    if start.startswith((b"<", *_UTF16)):
        return _decode_metadata(data)
    if start.startswith(b"--") or _MIME_HEADER.match(start) or b"\n--" in start[: LIMITS.header_block_size]:
        return _decode_multipart(data)
    return _unknown("neither SIP nor SDP, metadata, a multipart body or a capture")


def shifted(document: Document, lines: int) -> Document:
    """Count the lines of a document's findings from `lines` lines before it."""
    if lines:
        document.findings = [_moved(found, lines) for found in document.findings]
        document.description_line += lines
        document.metadata_line += lines
    return document


def _moved(found: Finding, lines: int) -> Finding:
    return found if found.line is None else replace(found, line=found.line + lines)


def _unknown(message: str) -> Document:
    return Document(None, findings=[finding("file-unknown", "file", message, line=1, column=1)])


# SIP messages


def decode_message(data: bytes) -> Document:
    """Decode one SIP message that fills `data`, also one that a server would refuse."""
    end = find_header_end(data, 0, len(data))
    header_end, body_start = (len(data), len(data)) if end is None else end
    header, body = data[:header_end], data[body_start:]
    head = parse_head(header, limits=LIMITS, strict=False)
    found: list[Finding] = []
    if end is None and not data.endswith(b"\n"):
        found.append(finding("file-message-end", "header"))
    message, length = head.message, head.content_length
    if isinstance(message, Malformed) and message.error.field == "Content-Length":
        # A file tells by its own end how long the body is.
        found.append(_length_finding(message.error.message))
        rest = _CONTENT_LENGTH_LINE.sub(b"", header).rstrip(b"\r\n")
        message, length = parse_head(rest, limits=LIMITS, strict=False).message, None
    if length is not None and length != len(body):
        found.append(_length_finding(f"Content-Length is {length}, and {len(body)} octets follow the header"))
    document = _document_of(message, header, found)
    if document.message is not None:
        document.message.body = body
    document.header = header
    document.findings = [at_header(each, header) for each in document.findings]
    _decode_body(document, data.count(b"\n", 0, body_start))
    return document


def document_of(message: Request | Response) -> Document:
    """Decode the body of a message that was parsed already, one of a capture."""
    document = Document("request" if isinstance(message, Request) else "response", message=message)
    document.findings = list(message.findings)
    _decode_body(document, 0)
    return document


def _length_finding(message: str) -> Finding:
    return finding("file-content-length", "Content-Length", message)


def _document_of(message: Request | Response | Malformed, header: bytes, found: list[Finding]) -> Document:
    if isinstance(message, Malformed):
        document = refused_document(message)
        document.message = _salvage(header, message.headers)
    else:
        document = Document("request" if isinstance(message, Request) else "response", message=message)
        document.findings += message.findings
    document.findings += found
    return document


def refused_document(malformed: Malformed) -> Document:
    """Make the document of a message of which only the parser's error is known."""
    error = malformed.error
    where = error.field or "message"
    told = finding("sip-malformed", where, error.message, line=error.line, column=error.column)
    return Document("response" if malformed.is_response else "request", malformed=True, findings=[told])


def _salvage(header: bytes, headers: Headers) -> Request | Response | None:
    """Make a message of what could be read of a malformed one."""
    match = _START_LINE.match(header.partition(b"\n")[0].decode("utf-8", "surrogateescape"))
    if match is None:
        return None
    if match["status"]:
        return Response(int(match["status"]), match["reason"].strip(), headers)
    return Request(match["method"], match["uri"], headers)


def at_header(found: Finding, header: bytes) -> Finding:
    """Give a finding about a header field the line of that field."""
    if found.line is not None:
        return found
    for number, line in enumerate(header.split(b"\n"), 1):
        name, colon, _ = line.partition(b":")
        if colon and canonical_name(name.strip().decode("utf-8", "replace")) == found.where:
            return replace(found, line=number, column=1)
    return found


# bodies


def _decode_body(document: Document, lines: int) -> None:
    """Decode the parts of a message's body, before which stand `lines` lines."""
    message = document.message
    if message is None or not message.body:
        return
    body = document.body = parse_body(message, limits=LIMITS)
    document.findings += [_moved(found, lines) for found in body.findings]
    if body.error is not None:
        error = body.error
        document.findings.append(finding("body-malformed", error.field or "body", error.message, line=lines + 1))
    for part, line in _located(body, message.body):
        _decode_part(document, part, lines + line)


def _located(body: ParsedBody, data: bytes) -> Iterator[tuple[BodyPart, int]]:
    """Give the leaf parts, each with the number of lines before its content."""
    position = 0
    lines = 0
    for part in body.leaves():
        content = bytes(part.content)
        at = data.find(content, position)
        if at == -1:
            at = position
        lines += data.count(b"\n", position, at)
        yield part, lines
        position = at + len(content)
        lines += content.count(b"\n")


def _decode_part(document: Document, part: BodyPart, lines: int) -> None:
    media_type = part.content_type.media_type
    if media_type not in METADATA_TYPES and media_type != SDP_TYPE:
        return
    try:
        content = bytes(part.decoded())
    except RemoteProtocolError as error:
        document.findings.append(finding("body-malformed", media_type, str(error), line=lines + 1))
        return
    # The lines of an encoded part are not those of the file.
    plain = content == bytes(part.content)
    if media_type == SDP_TYPE:
        if document.description is None:
            document.description_line = lines + 1
        _take_sdp(document, content, lines, plain=plain)
    else:
        if document.metadata is None:
            document.metadata_line = lines + 1
        charset = part.content_type.parameters.get("charset")
        _take_metadata(document, content, lines, charset=charset, plain=plain)


def _take_sdp(document: Document, content: bytes, lines: int, *, plain: bool = True) -> None:
    parsed = parse_sdp(content, limits=LIMITS)
    document.findings += _placed(parsed.findings, lines, plain=plain)
    document.description = document.description or parsed.description


def _take_metadata(
    document: Document, content: bytes, lines: int, *, charset: str | None = None, plain: bool = True
) -> None:
    parsed = read_metadata(content, limits=LIMITS, charset=charset)
    document.findings += _placed(parsed.findings, lines, plain=plain)
    document.metadata = document.metadata or parsed.document


def _placed(found: Iterable[Finding], lines: int, *, plain: bool) -> list[Finding]:
    """Count lines from the beginning of the document; a finding without a line belongs to the part's first one."""
    return [
        replace(each, line=lines + (each.line or 1) if plain else lines + 1, column=each.column if plain else None)
        for each in found
    ]


# files without a SIP header


def _decode_sdp(data: bytes) -> Document:
    document = Document("sdp")
    _take_sdp(document, data, 0)
    return document


def _decode_metadata(data: bytes) -> Document:
    document = Document("metadata")
    _take_metadata(document, data, 0)
    return document


def _decode_multipart(data: bytes) -> Document:
    """Decode a multipart body that stands alone, or behind MIME header fields of its own."""
    header, body = b"", data
    match = _DELIMITER.search(data)
    if _MIME_HEADER.search(data[: match.start() if match else 0]):
        end = find_header_end(data, 0, len(data))
        if end is not None:
            header, body = data[: end[0]], data[end[1] :]
    if match is None:
        return _unknown("no delimiter of a multipart body was found")
    boundary = match[1].decode("ascii").rstrip()
    content_type = f'multipart/mixed;boundary="{boundary}"'
    # The body is read as that of a message; only its Content-Type counts.
    message = Request("INVITE", "sip:localhost", Headers([("Content-Type", content_type)]), body)
    document = Document("multipart", message=message)
    _decode_body(document, data.count(b"\n", 0, len(data) - len(body)) if header else 0)
    document.message = None
    return document
