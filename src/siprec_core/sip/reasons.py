"""Why a request is sent: the Reason header field of BYE and CANCEL (RFC 3326)."""

from dataclasses import dataclass

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.grammar import is_token, quote, read_number
from siprec_core.sip.headers import Headers
from siprec_core.sip.parameters import NO_PARAMETERS, Parameters

_MOST_REASONS = 8
"""Values read of one message."""
_LARGEST_CAUSE = 999


@dataclass(frozen=True, slots=True)
class Reason:
    """One value of the header field (RFC 3326 section 2)."""

    protocol: str
    """`SIP`, `Q.850`, `Preemption` or any other token."""
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> "Reason":
        """Read one value; raises RemoteProtocolError."""
        protocol, semicolon, rest = text.partition(";")
        protocol = protocol.strip()
        if not is_token(protocol):
            raise RemoteProtocolError("not a protocol", field="Reason")
        return cls(protocol, Parameters.parse(semicolon + rest, field="Reason"))

    @classmethod
    def sip(cls, cause: int, text: str) -> "Reason":
        """Make one of a SIP status and a text for people."""
        return cls("SIP", Parameters.from_raw((("cause", str(cause)), ("text", quote(text)))))

    @property
    def cause(self) -> int | None:
        """The cause of the protocol, a status code for `SIP`; None when it is missing or no number below 1,000."""
        return read_number((self.parameters.get("cause") or "").strip(), _LARGEST_CAUSE)

    def __str__(self) -> str:
        return f"{self.protocol}{self.parameters}"


def reasons_of(headers: Headers) -> tuple[Reason, ...]:
    """Give the reasons of a message, several of one protocol too (RFC 9366); unreadable ones are left out."""
    reasons = []
    for value in headers.values("Reason")[:_MOST_REASONS]:
        try:
            reasons.append(Reason.parse(value))
        except RemoteProtocolError:
            continue  # RFC 3261 8.2.2: a malformed field that is not needed is ignored
    return tuple(reasons)


_ENDS = {
    "local-bye": (200, "The recording was ended"),
    "server-bye": (200, "The recording was ended"),
    "forked": (200, "Another branch has answered"),
    "max-duration": (200, "The longest duration was reached"),
    "max-size": (200, "The largest size was reached"),
    "media-timeout": (408, "No media has come"),
    "session-timer": (408, "The session was not refreshed"),
    "timeout-ack": (408, "The ACK has not come"),
    "timeout": (408, "The final response has not come"),
    "peer-gone": (481, "The call is not known there any more"),
    "cancelled": (487, "The caller has given up"),
    "unusable-answer": (502, "The answer cannot be used"),
    "shutdown": (503, "The server is shutting down"),
}


def reason_of_end(end: str) -> Reason:
    """Give what we tell the peer of an end of ours: SIP status and text by the `end_reason` of a recording."""
    return Reason.sip(*_ENDS.get(end, (200, end or "The call was ended")))
