"""Message bodies in one piece: reading that of a message, writing a multipart body (RFC 2046 section 5.1)."""

from collections.abc import Sequence

from siprec_core.errors import LocalProtocolError, RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.sip.body import BodyPart, ParsedBody
from siprec_core.sip.body_reader import BodyReader
from siprec_core.sip.message import Request, Response

_BOUNDARY_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ")


def parse_body(message: Request | Response, *, limits: Limits) -> ParsedBody:
    """Read the body of a message, nested multipart bodies included. Never raises.

    What was read with the same limits while the body came along a stream is not read again.
    """
    body, reading = message.body, message.reading
    if not body:
        return ParsedBody(None)
    if reading is not None and reading.body is body and reading.limits is limits:
        return reading.parsed
    try:
        content_type = message.content_type
    except RemoteProtocolError as error:
        return ParsedBody(None, (), error)
    return BodyReader(message.headers, content_type, len(body), limits=limits).finish(body)


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
