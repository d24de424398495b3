"""SIP messages of a recording client, written by hand with everything adjustable."""

from collections.abc import Sequence

from siprec_core.limits import Limits
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parser import parse_datagram

OFFER = (
    "v=0\r\n"
    "o=- 100 1 IN IP4 192.0.2.2\r\n"
    "s=-\r\n"
    "c=IN IP4 192.0.2.2\r\n"
    "t=0 0\r\n"
    "m=audio 41000 RTP/AVP 0 8\r\n"
    "a=sendonly\r\n"
    "a=label:1\r\n"
    "m=audio 41002 RTP/AVP 0 8\r\n"
    "a=sendonly\r\n"
    "a=label:2\r\n"
)
METADATA = (
    '<?xml version="1.0" encoding="UTF-8"?>\r\n'
    '<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>complete</datamode>'
    '<session session_id="c2Vzc2lvbi1vbmUtaWQ="/>'
    '<participant participant_id="cGFydGljaXBhbnQtMQ=="><nameID aor="sip:ann@example.com"/></participant>'
    '<stream stream_id="c3RyZWFtLW9uZS1pZA==" session_id="c2Vzc2lvbi1vbmUtaWQ="><label>1</label></stream>'
    '<stream stream_id="c3RyZWFtLXR3by1pZA==" session_id="c2Vzc2lvbi1vbmUtaWQ="><label>2</label></stream>'
    '<participantstreamassoc participant_id="cGFydGljaXBhbnQtMQ=="><send>c3RyZWFtLW9uZS1pZA==</send>'
    "</participantstreamassoc></recording>"
)


def multipart(*parts: tuple[str, str, str], boundary: str = "edge") -> tuple[str, str]:
    """Give content type and body of (type, disposition or "", content) parts."""
    pieces = []
    for kind, disposition, content in parts:
        extra = f"Content-Disposition: {disposition}\r\n" if disposition else ""
        pieces.append(f"--{boundary}\r\nContent-Type: {kind}\r\n{extra}\r\n{content}\r\n")
    return f"multipart/mixed;boundary={boundary}", "".join(pieces) + f"--{boundary}--\r\n"


def request(
    method: str,
    *,
    body: str = "",
    content_type: str = "",
    cseq: int = 1,
    branch: str | None = None,
    to_tag: str = "",
    from_tag: str = "abc",
    call_id: str = "call-1",
    contact: str | None = "<sip:src@192.0.2.2:5070>;+sip.src",
    extra: Sequence[str] = (),
    uri: str = "sip:recorder@192.0.2.1:5060",
    transport: str = "UDP",
    cseq_method: str | None = None,
) -> bytes:
    """Write a request with the mandatory header fields."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} 192.0.2.2:5070;branch={branch or f'z9hG4bK-{method}-{cseq}-{call_id}'};rport",
        "Max-Forwards: 70",
        f"From: <sip:src@192.0.2.2>;tag={from_tag}",
        f"To: <sip:recorder@192.0.2.1>{f';tag={to_tag}' if to_tag else ''}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {cseq_method or method}",
    ]
    if contact is not None:
        lines.append(f"Contact: {contact}")
    lines += extra
    data = body.encode()
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def invite(
    *,
    offer: str | None = OFFER,
    metadata: str | None = METADATA,
    require: str | None = "siprec",
    cseq: int = 1,
    to_tag: str = "",
    call_id: str = "call-1",
    contact: str | None = "<sip:src@192.0.2.2:5070>;+sip.src",
    extra: Sequence[str] = (),
    branch: str | None = None,
    transport: str = "UDP",
    method: str = "INVITE",
) -> bytes:
    """Write a recording client's INVITE (or another request with the same bodies)."""
    parts = []
    if offer is not None:
        parts.append(("application/sdp", "", offer))
    if metadata is not None:
        parts.append(("application/rs-metadata+xml", "recording-session", metadata))
    kind, body = multipart(*parts) if parts else ("", "")
    fields = [*extra, *([f"Require: {require}"] if require else [])]
    return request(
        method,
        body=body,
        content_type=kind,
        cseq=cseq,
        to_tag=to_tag,
        call_id=call_id,
        contact=contact,
        extra=fields,
        branch=branch,
        transport=transport,
    )


def field(message: bytes, name: str) -> str:
    """Give the value of a header field of a message, empty when it has none."""
    for line in message.split(b"\r\n\r\n", 1)[0].decode(errors="surrogateescape").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.strip().lower() == name.lower():
            return value.strip()
    return ""


def tag(message: bytes) -> str:
    """Give the To tag of a message."""
    return field(message, "To").partition("tag=")[2].partition(";")[0]


def status(message: bytes) -> int:
    """Give the status of a response."""
    return int(message.split(b" ", 2)[1])


def body(message: bytes) -> str:
    """Give the body of a message as text."""
    return message.split(b"\r\n\r\n", 1)[1].decode()


def read(data: bytes) -> Request:
    """Read a request that the test itself has written."""
    message = parse_datagram(data, limits=Limits())
    if not isinstance(message, Request):
        raise TypeError(f"no request: {message}")
    return message


def read_response(data: bytes) -> Response:
    """Read a response that the test itself has written."""
    message = parse_datagram(data, limits=Limits())
    if not isinstance(message, Response):
        raise TypeError(f"no response: {message}")
    return message


def response_to(
    data: bytes,
    code: int,
    *,
    to_tag: str | None = "srs",
    contact: str | None = "<sip:srs@192.0.2.1:5060>;+sip.srs",
    body: str = "",
    extra: Sequence[str] = (),
) -> bytes:
    """Write the response of a server to a request that a client sent."""
    to = field(data, "To")
    if to_tag is not None and "tag=" not in to:
        to += f";tag={to_tag}"
    lines = [
        f"SIP/2.0 {code} Whatever",
        f"Via: {field(data, 'Via')}",
        f"From: {field(data, 'From')}",
        f"To: {to}",
        f"Call-ID: {field(data, 'Call-ID')}",
        f"CSeq: {field(data, 'CSeq')}",
        *extra,
    ]
    if contact is not None:
        lines.append(f"Contact: {contact}")
    octets = body.encode(errors="surrogateescape")
    if octets:
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(octets)}")
    return "\r\n".join(lines).encode(errors="surrogateescape") + b"\r\n\r\n" + octets
