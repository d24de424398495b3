"""From octets to messages: the header with its checks, and whole datagrams.

Checked at once is what a safe answer needs: start line, field syntax, Via, From, To, Call-ID, CSeq and Content-Length.
Everything else is read when it is asked for. Nothing here raises for what a peer sent.
"""

import re

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding, Severity, finding
from siprec_core.limits import Limits
from siprec_core.sip.fields import CSeq, NameAddr, Via
from siprec_core.sip.grammar import TOKEN_CLASS, read_number, split_list
from siprec_core.sip.header_block import HeaderBlock, read_header_block
from siprec_core.sip.header_names import SINGLE
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Malformed, Request, Response

__all__ = ["Head", "Malformed", "find_header_end", "parse_datagram", "parse_head"]

_REQUEST_LINE = re.compile(rf"({TOKEN_CLASS}++)([ \t]++)([^ \t]++)([ \t]++)([^ \t]++)([ \t]*+)")
_METHOD = re.compile(rf"({TOKEN_CLASS}++)[ \t]")
_STATUS_LINE = re.compile(r"([Ss][Ii][Pp]/[^ \t]++)([ \t]++)([0-9]++)(?:([ \t])(.*))?", re.DOTALL)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+:[^\x00- \x7f<>\"]++")
_LARGEST_LENGTH = 2**63
_HOPS = (("Via", 483), ("Route", 400), ("Record-Route", 400), ("Contact", 400))
"""Lists that we read in full, and the status for one that is too long."""


class Head:
    """A message without its body, and how long the body is."""

    __slots__ = ("content_length", "message", "over_limit")

    def __init__(
        self, message: Request | Response | Malformed, content_length: int | None, *, over_limit: bool
    ) -> None:
        self.message = message
        self.content_length = content_length
        """None when the field is absent or cannot be believed; then `message` tells which."""
        self.over_limit = over_limit
        """A limit was passed: on a stream the connection has to be closed."""


def find_header_end(data: bytes | bytearray, start: int, end: int) -> tuple[int, int] | None:
    """Find the empty line in `data[start:end]`: where the header ends and where the body begins.

    Line ends may be CRLF or bare LF. To go on where an earlier search ended, start three octets before it.
    """
    crlf = data.find(b"\n\r\n", start, end)
    lf = data.find(b"\n\n", start, end if crlf == -1 else crlf + 1)
    if lf == -1 and crlf == -1:
        return None
    at, size = (crlf, 3) if lf == -1 else (lf, 2)
    # The line end before the empty line belongs to neither.
    return (at - 1 if at > 0 and data[at - 1] == 0x0D else at), at + size


def parse_head(data: bytes | memoryview, *, limits: Limits, strict: bool) -> Head:
    """Read start line and header fields; `data` ends before the empty line."""
    block = read_header_block(data, limits=limits, start_line=True)
    is_response = block.start_line[:4].upper() == "SIP/"
    content_length = _content_length(block)
    start: Request | Response | None
    if is_response:
        start = _read_status_line(block)
        method = None
    else:
        start = _read_request_line(block)
        begun = _METHOD.match(block.start_line)
        method = None if begun is None else begun[1]
    if block.error is None:
        _check_fields(block, method, limits)
    if strict and block.error is None:
        _refuse_deviations(block)
    if block.error is not None or start is None:
        error = block.error or RemoteProtocolError("malformed start line", line=1)
        malformed = Malformed(
            error=error, request_method=method, headers=block.headers, is_response=is_response, fatal=block.over_limit
        )
        return Head(malformed, content_length, over_limit=block.over_limit)
    if block.findings:
        start.findings = _distinct(block.findings)
    return Head(start, content_length, over_limit=False)


def parse_datagram(
    data: bytes | memoryview, *, limits: Limits, strict: bool = False
) -> Request | Response | Malformed | None:
    """Read one datagram.

    Gives None for what keeps a path open: blanks, line ends and NULs, or STUN (RFC 5626 section 3.5). In strict mode
    every deviation of severity warning or error makes the message malformed.
    """
    if not isinstance(data, bytes):
        data = bytes(data)
    start = 0
    if not data or data[0] <= 0x20:
        stripped = data.lstrip(b"\r\n\0 \t")
        if not stripped or _is_stun(data):
            return None
        # RFC 3261 7.5 asks for it on streams only; it does no harm here.
        start = len(data) - len(data.lstrip(b"\r\n"))
    if len(data) > limits.datagram_size:
        return _malformed(data[start : start + limits.header_block_size], limits, "the datagram is too large", 513)
    end = find_header_end(data, start, len(data))
    if end is None:
        return _malformed(data[start:], limits, "the empty line behind the header is missing", 400)
    if end[0] - start > limits.header_block_size:
        return _malformed(data[start : start + limits.header_block_size], limits, "the header is too large", 513)
    head = parse_head(data[start : end[0]], limits=limits, strict=strict)
    message = head.message
    if isinstance(message, Malformed):
        return message
    return _with_datagram_body(message, data, end[1], head.content_length)


def _with_datagram_body(
    message: Request | Response, data: bytes, body_start: int, content_length: int | None
) -> Request | Response | Malformed:
    # RFC 3261 18.3: without Content-Length the body "is assumed to end at the end of the transport packet".
    present = len(data) - body_start
    if content_length is None or content_length == present:
        message.body = data[body_start:]
    elif content_length < present:
        message.body = data[body_start : body_start + content_length]
        message.findings += (
            finding("sip-excess-octets", "body", f"{present - content_length} octets behind the body were left out"),
        )
    else:
        # RFC 3261 18.3: too few octets are "an error" (400) in a request; a response is discarded.
        error = RemoteProtocolError(f"the body is {content_length - present} octets short", field="Content-Length")
        return Malformed.from_message(error, message)
    return message


def _malformed(data: bytes, limits: Limits, message: str, status: int) -> Malformed:
    """Make the most of what has no end or is too large."""
    head = parse_head(data, limits=limits, strict=False)
    return Malformed.from_message(RemoteProtocolError(message, status_hint=status), head.message)


def _is_stun(data: bytes) -> bool:
    """Tell a STUN message by its two zero bits and magic cookie (RFC 8489 section 5)."""
    return len(data) >= 20 and data[0] < 0x40 and data[4:8] == b"\x21\x12\xa4\x42"


def _read_request_line(block: HeaderBlock) -> Request | None:
    match = _REQUEST_LINE.fullmatch(block.start_line)
    if match is None:
        # RFC 3261 7.1: "The Request-URI MUST NOT contain unescaped spaces or control characters".
        block.fail(RemoteProtocolError("malformed request line", line=1))
        return None
    method, first, uri, second, version, trailing = match.groups()
    _check_version(version, block)
    if _URI.fullmatch(uri) is None:
        # RFC 3261 7.1: and "MUST NOT be enclosed in "<>"".
        block.fail(RemoteProtocolError("malformed Request-URI", line=1))
        return None
    if first != " " or second != " " or trailing:
        block.findings.append(finding("sip-start-line-blanks", "request line", line=1))
    if "?" in uri and "?" in uri.rpartition("@")[2]:
        block.findings.append(finding("sip-uri-headers", "request line", line=1))
    return Request(method, uri, block.headers)


def _read_status_line(block: HeaderBlock) -> Response | None:
    match = _STATUS_LINE.fullmatch(block.start_line)
    status = None if match is None else read_number(match[3], 699)
    if match is None or status is None or status < 100:
        block.fail(RemoteProtocolError("malformed status line", line=1))
        return None
    _check_version(match[1], block)
    if match[2] != " " or match[4] is None:
        block.findings.append(finding("sip-start-line-blanks", "status line", line=1))
    return Response(status, match[5] or "", block.headers)


def _check_version(version: str, block: HeaderBlock) -> None:
    # RFC 3261 7.1: messages "MUST include a SIP-Version of "SIP/2.0"", and the string is case-insensitive.
    if version == "SIP/2.0" or version.upper() == "SIP/2.0":
        return
    if version[:4].upper() == "SIP/":
        # The version decides how all the rest is read, so it goes before any other error.
        block.error = RemoteProtocolError("this SIP version is not supported", status_hint=505, line=1)
    else:
        block.fail(RemoteProtocolError("malformed SIP version", line=1))


def _content_length(block: HeaderBlock) -> int | None:
    value = block.headers.get("Content-Length")
    if value is None:
        return None
    length = read_number(value, _LARGEST_LENGTH)
    if length is not None and block.repeats:
        # RFC 4475 3.3.9: with two lengths there is no way to know how many octets the body has.
        others = block.headers.get_all("Content-Length")
        length = length if all(read_number(other, _LARGEST_LENGTH) == length for other in others) else None
    if length is None:
        block.fail(RemoteProtocolError("not one number", field="Content-Length"))
    return length


def _check_fields(block: HeaderBlock, method: str | None, limits: Limits) -> None:
    """Check the fields that an answer copies (RFC 3261 section 8.1.1), and keep what was read for the message."""
    headers, findings = block.headers, block.findings
    try:
        if block.repeats:
            _check_single(headers, findings)
        if block.entries > limits.hops:
            _check_hops(headers, limits)
        first = headers.get("Via") or ""
        via = Via.parse(first if "," not in first else next(iter(split_list(first)), ""), findings=findings)
        headers.keep_view("Via", "top", via)
        for name in ("From", "To"):
            value = headers.get(name)
            if not value:
                raise RemoteProtocolError("the header field is missing or empty", field=name)
            headers.keep_view(name, "", NameAddr.parse(value, field=name, findings=findings))
        if not headers.get("Call-ID"):
            raise RemoteProtocolError("the header field is missing or empty", field="Call-ID")
        cseq = CSeq.parse(headers.get("CSeq") or "")
        headers.keep_view("CSeq", "", cseq)
        if method is not None and cseq.method != method:
            # RFC 3261 8.1.1.5: "The method MUST match that of the request."
            raise RemoteProtocolError(f"not the method of the request: {cseq.method[:40]}", field="CSeq")
    except RemoteProtocolError as error:
        block.fail(error)
        return
    if "Contact" in headers:
        _check_contacts(headers, method, findings)


def _check_single(headers: Headers, findings: list[Finding]) -> None:
    for name in SINGLE:
        values = headers.get_all(name)
        if len(values) > 1:
            if len(set(values)) > 1 and name != "Content-Length":
                raise RemoteProtocolError("the header field stands more than once", field=name)
            findings.append(finding("sip-repeated-field", name))


def _check_hops(headers: Headers, limits: Limits) -> None:
    for name, status in _HOPS:
        count = headers.count(name)
        if count > limits.hops and len(headers.values(name)) > limits.hops:
            raise RemoteProtocolError(f"more than {limits.hops} entries", status_hint=status, field=name)


def _check_contacts(headers: Headers, method: str | None, findings: list[Finding]) -> None:
    """Tell what is odd about Contact; an error shows again when somebody asks for it.

    `method` is that of a request, None for a response.
    """
    try:
        contacts = [NameAddr.parse(entry, field="Contact", findings=findings) for entry in headers.values("Contact")]
    except RemoteProtocolError as error:
        findings.append(finding("sip-contact-malformed", "Contact", error.message))
    else:
        headers.keep_view("Contact", "", tuple(contacts))
        if len(contacts) > 1 and method in ("INVITE", "UPDATE"):
            # RFC 3261 8.1.1.8: "exactly one SIP or SIPS URI" in what can make a dialog; RFC 3311 5.1 wants the same.
            message = f"{len(contacts)} addresses in a request that has exactly one"
            findings.append(finding("sip-contact-malformed", "Contact", message))


def _distinct(findings: list[Finding]) -> tuple[Finding, ...]:
    """Keep the first finding of each code and place: one field may hold thousands of the same kind."""
    return tuple({(found.code, found.where): found for found in reversed(findings)}.values())[::-1]


def _refuse_deviations(block: HeaderBlock) -> None:
    for found in block.findings:
        if found.severity is not Severity.INFO:
            block.fail(RemoteProtocolError(found.message, field=found.where, line=found.line))
