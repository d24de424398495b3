"""Events: what the application may know. All past tense, all values."""

from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.findings import Finding, Severity
from siprec_core.recording.report import Initiator
from siprec_core.types import Address, SessionId, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequested:
    """A recording session was asked for and passed the policy; with manual acceptance it waits for a decision.

    One that we ask a client for waits for the client's answer instead.
    """

    session: SessionId
    call_id: str
    peer: Address
    transport: Transport
    user_agent: str | None
    """None also where the client has not answered yet."""
    authenticated_user: str | None = None
    """Who asked, by Digest, where the listener wants that."""
    initiator: Initiator = "client"
    """Who asked: the client, or we (RFC 7866 section 6.2)."""
    peer_names: tuple[str, ...] = ()
    """Whom the certificate of the peer names (RFC 5922 section 7.1); none without TLS on both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEstablished:
    """Our answer was sent, in the 200 or in the ACK; media may come."""

    session: SessionId
    labels: tuple[str, ...]
    """Labels of the accepted media lines in order; a line without a label has its index as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamsChanged:
    """A re-offer was answered: lines came, went, were held or resumed."""

    session: SessionId
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataUpdated:
    """A metadata document was received and merged (RFC 7866 section 9)."""

    session: SessionId
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFound:
    """The first valid packets of a line came; its source is now locked."""

    session: SessionId
    label: str
    source: Address
    ssrc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitReceived:
    """A key was pressed: told once for each press, at its first packet (RFC 4733) or its INFO.

    How long it was held stands in `recording.json`.
    """

    session: SessionId
    label: str | None
    """The stream that told, None when it was an INFO."""
    digit: str
    """`0` to `9`, `*`, `#`, `A` to `D`."""
    at_ns: int
    """When it was pressed, nanoseconds since 1970-01-01T00:00:00Z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStalled:
    """No packet came on a line since it was answered, or none any more. The session goes on."""

    session: SessionId
    label: str
    never: bool
    """True when no packet ever came."""
    seconds: float
    """How long packets were missed."""
    reasons: tuple[str, ...]
    """What is likely to be wrong, the likeliest first; empty for a line that had packets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """The recording is over and its final files are there (or cannot be made: status `failed`)."""

    session: SessionId
    reason: str
    """An `end_reason` of `recording.json`."""
    status: str
    """`completed` or `failed`."""
    directory: str
    """Folder of the recording relative to the recordings root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRefused:
    """An INVITE was answered with an error, or cancelled before an answer (487).

    So ends, too, a session that we asked a client for in vain. The status is then the client's, 3xx included, which is
    not followed; or ours: 408 for silence, 487 when it was given up, 488 when nothing of the offer can be recorded, 502
    when the answer is not a recording client's, 503 without a way to the client or a port for its media.
    """

    call_id: str
    peer: Address
    status: int
    reason: str
    session: SessionId | None = None
    """The session, None for an INVITE that was refused before it had one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRaised:
    """A finding of a running session, as it happened."""

    session: SessionId
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """Something an operator's log should show; frontends map it to `logging`."""

    code: str
    severity: Severity
    session: SessionId | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDrained:
    """`shut_down` is complete: no session is left and no transaction waits."""


Event: TypeAlias = (
    SessionRequested
    | SessionEstablished
    | StreamsChanged
    | MetadataUpdated
    | SourceFound
    | DigitReceived
    | StreamStalled
    | SessionEnded
    | SessionRefused
    | FindingRaised
    | Diagnostic
    | ServerDrained
)
