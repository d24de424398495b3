"""Credentials on requests of ours: those that a challenge asks for, and those of later requests (RFC 3261 22.2, 22.3).

Each call has a `Responder` of its own, which every request within the call goes by, whichever side began the call.
"""

from dataclasses import dataclass

from siprec_core.entropy import Entropy
from siprec_core.findings import Finding
from siprec_core.limits import Limits
from siprec_core.sip.digest import Responder, Secret, set_credentials
from siprec_core.sip.message import Request
from siprec_core.sip.transaction_layer import ResponseArrived

__all__ = ["DigestUser", "answer_challenge", "authorise", "copy_credentials", "responder_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestUser:
    """Who we are when we are asked."""

    name: str
    secret: Secret
    """The password, or hashes of it."""
    realm: str | None = None
    """Answer this realm only; None answers whoever asks."""


def responder_of(user: DigestUser | None, *, entropy: Entropy, limits: Limits) -> Responder | None:
    """Make what answers the challenges of one call; None for nobody."""
    if user is None:
        return None
    return Responder(user.name, user.secret, entropy=entropy, realm=user.realm, limits=limits)


def authorise(request: Request, responder: Responder | None) -> None:
    """Give a new request credentials for all challenges that are known; its body has to be there already."""
    if responder is not None:
        set_credentials(request.headers, responder.authorise(request.method, request.uri, request.body))


def answer_challenge(
    arrival: ResponseArrived, responder: Responder | None, *, sequence: int, findings: list[Finding] | None = None
) -> Request | None:
    """Make the next attempt of a request that got 401 or 407, without Via; None when that is of no use.

    `sequence` is the CSeq number of the attempt. RFC 3261 22.2: a UAC "MUST increment the CSeq header field value as it
    would normally when sending an updated request"; everything else is as it was.
    """
    rejected, response = arrival.outgoing.request, arrival.response
    if responder is None or response is None:
        return None
    fields = responder.answer(response, rejected, findings=findings)
    if fields is None:
        return None
    headers = rejected.headers.copy()
    headers.remove("Via")
    headers.set("CSeq", f"{sequence} {rejected.method}")
    set_credentials(headers, fields)
    return Request(rejected.method, rejected.uri, headers, rejected.body)


def copy_credentials(invite: Request, ack: Request) -> None:
    """Give an ACK to a 2xx the credentials of its INVITE: those MUST be the same (RFC 3261 13.2.2.4, 22.1)."""
    for name in ("Authorization", "Proxy-Authorization"):
        for value in invite.headers.get_all(name):
            ack.headers.add(name, value)
