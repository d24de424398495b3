"""What a user agent server checks before a request reaches its usage, in the order of RFC 3261 section 8.2."""

from dataclasses import dataclass

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.message import Request

METHODS = frozenset(
    "INVITE ACK CANCEL BYE OPTIONS UPDATE INFO PRACK SUBSCRIBE NOTIFY REFER MESSAGE PUBLISH REGISTER".split()  # noqa: SIM905
)
"""Methods that RFCs define; any other is unknown to us (501, RFC 3261 21.5.2)."""
ALLOWED = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE")
"""Methods that we take (405 with Allow for the other known ones)."""
ACCEPTED_TYPES = ("application/sdp", "application/rs-metadata+xml", "application/rs-metadata", "multipart/mixed")
"""Body types that we understand (RFC 9806 section 2 and its predecessor's name)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final error response that a request earned: status, optional reason phrase, header fields to add."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


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
    unknown = [tag for tag in required if tag not in understood]
    if unknown:
        # RFC 3261 8.2.2.3: 420 "with an Unsupported header field listing" those not understood.
        return Refusal(420, headers=(("Unsupported", ", ".join(unknown)),))
    return None


def refusal_of(error: RemoteProtocolError) -> Refusal:
    """Give the refusal for a request that a value parser rejected: its status with the fault in the reason phrase."""
    text = "".join(character if " " <= character <= "~" else " " for character in str(error))[:120]
    return Refusal(error.status_hint, f"Bad Request - {text}" if error.status_hint == 400 else None)
