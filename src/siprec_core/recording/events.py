"""Events: what the application may know. All past tense, all values."""

from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.findings import Finding, Severity
from siprec_core.types import Address, SessionId, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequested:
    """A recording session was asked for and passed the policy; with manual acceptance it waits for a decision."""

    session: SessionId
    call_id: str
    peer: Address
    transport: Transport
    user_agent: str | None
    authenticated_user: str | None = None
    """Who asked, by Digest, where the listener wants that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEstablished:
    """The 200 was sent; media may come."""

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
    """An INVITE was answered with an error, or cancelled before an answer (487)."""

    call_id: str
    peer: Address
    status: int
    reason: str


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
    | SessionEnded
    | SessionRefused
    | FindingRaised
    | Diagnostic
    | ServerDrained
)
