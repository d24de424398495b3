"""What a user agent server checks before a request reaches its usage, in the order of RFC 3261 section 8.2."""

from dataclasses import dataclass

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.message import Request

METHODS = frozenset(
    "INVITE ACK CANCEL BYE OPTIONS UPDATE INFO PRACK SUBSCRIBE NOTIFY REFER MESSAGE PUBLISH REGISTER".split()  # noqa: SIM905
)
"""Methods that RFCs define; any other is unknown to us (501, RFC 3261 21.5.2)."""
ALLOWED = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "INFO", "PRACK")
"""Methods that we take (405 with Allow for the other known ones).

SUBSCRIBE is among the others: 489 (RFC 6665 section 4.2.1.1) is for notifiers that take SUBSCRIBE, but not that event.
"""
METADATA_TYPES = ("application/rs-metadata+xml", "application/rs-metadata")
"""Media types of metadata: RFC 9806 section 2, and the name of RFC 7866 that most clients still send."""
ACCEPTED_TYPES = ("application/sdp", *METADATA_TYPES, "multipart/mixed")
"""Body types that we understand."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final error response that a request earned: status, optional reason phrase, header fields to add."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


def warning(code: int, text: str) -> tuple[str, str]:
    """Give the header field of a refusal that says why: warn-code, a pseudonym, quoted text (RFC 3261 20.43)."""
    printable = "".join(character if " " <= character <= "~" and character not in '"\\' else " " for character in text)
    return "Warning", f'{code} siprec "{printable[:200]}"'


def check_request(request: Request, *, understood: frozenset[str]) -> Refusal | None:
    """Check method, Request-URI scheme and Require; None when the request may go on.

    `understood` are the option tags in lower case that Require may list.
    """
    if request.method not in METHODS:
        return Refusal(501)
    if request.method not in ALLOWED:
        return Refusal(405, headers=(("Allow", ", ".join(ALLOWED)),))
    try:
        request.sip_uri()  # 416 for another scheme, 400 for a malformed one (RFC 3261 8.2.2.1)
        required = () if request.method in ("CANCEL", "ACK") else request.require
    except RemoteProtocolError as error:
        return refusal_of(error)
    # RFC 4028 9: session timers are part of this user agent, whoever builds on it.
    unknown = [tag for tag in required if tag not in understood and tag != "timer"]
    if unknown:
        # RFC 3261 8.2.2.3: 420 "with an Unsupported header field listing" those not understood.
        return Refusal(420, headers=(("Unsupported", ", ".join(unknown)),))
    return None


def carries_offer(request: Request) -> bool:
    """Tell whether a body is or holds a session description; one of an unknown kind may."""
    if not request.body:
        return False
    try:
        content_type = request.content_type
    except RemoteProtocolError:
        return True
    if content_type is None or content_type.media_type == "application/sdp":
        return True
    return content_type.type == "multipart" and b"application/sdp" in request.body.lower()


def refusal_of(error: RemoteProtocolError) -> Refusal:
    """Give the refusal for a request that a value parser rejected: its status with the fault in the reason phrase."""
    text = "".join(character if " " <= character <= "~" else " " for character in str(error))[:120]
    return Refusal(error.status_hint, f"Bad Request - {text}" if error.status_hint == 400 else None)
