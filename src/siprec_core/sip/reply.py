"""Building responses by the rules of RFC 3261 section 8.2.6."""

from hashlib import sha256

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.fields import NameAddr
from siprec_core.sip.headers import Headers
from siprec_core.sip.message import Request, Response
from siprec_core.sip.status import reason_phrase

_COPIED = ("From", "Call-ID", "CSeq")


def respond(request: Request, status: int, *, reason: str | None = None, to_tag: str | None = None) -> Response:
    """Build a response: Via, From, Call-ID, CSeq copied in order, To with `to_tag` when it has none (RFC 3261 8.2.6.2).

    A 100 gets no tag of ours and copies Timestamp (RFC 3261 8.2.6.1).
    """
    tag = None if status == 100 else to_tag
    headers = copied_headers(request.headers, to_tag=tag)
    if status == 100:
        for value in request.headers.get_all("Timestamp"):
            headers.add("Timestamp", value)
    return Response(status, reason or reason_phrase(status), headers)


def copied_headers(source: Headers, *, to_tag: str | None) -> Headers:
    """Copy the header fields that every response repeats; what is absent or unreadable is left as it came."""
    headers = Headers()
    for value in source.get_all("Via"):
        headers.add("Via", value)
    for name in _COPIED:
        copied = source.get(name)
        if copied is not None:
            headers.add(name, copied)
    to = source.get("To")
    if to is not None:
        headers.add("To", _tagged(to, to_tag))
    return headers


def stateless_tag(source: Headers) -> str:
    """Give the To tag of an answer without a transaction: "the same tag for the same request" (RFC 3261 8.2.7)."""
    fields = (source.get(name) or "" for name in ("Via", *_COPIED))
    return sha256("\n".join(fields).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _tagged(to: str, tag: str | None) -> str:
    if tag is None:
        return to
    try:
        address = NameAddr.parse(to)
    except RemoteProtocolError:
        return to
    return to if address.tag else str(address.with_tag(tag))
