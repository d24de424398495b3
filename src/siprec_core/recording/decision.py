"""What an application decides about a call, and what it is told for that."""

from dataclasses import dataclass

from siprec_core.metadata.model import MetadataDocument
from siprec_core.recording.journal import JsonValue
from siprec_core.recording.policy import SiprecMarks
from siprec_core.recording.request import RecordingRequest
from siprec_core.types import Address, Flow, SessionId, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRequest:
    """A call that waits for a decision."""

    session: SessionId
    call_id: str
    peer: Address
    transport: Transport
    user_agent: str | None
    authenticated_user: str | None
    """Who called, by Digest, where the listener wants that."""
    peer_names: tuple[str, ...] = ()
    """Whom the certificate of a TLS client names (RFC 5922 section 7.1); empty without one."""
    uri: str
    """The Request-URI."""
    from_: str
    """The From header field as it came."""
    to: str
    """The To header field as it came."""
    marks: SiprecMarks
    metadata: MetadataDocument | None
    """As the metadata filter leaves it; None without any that can be read."""


def policy_request(
    session: SessionId, read: RecordingRequest, *, flow: Flow, authenticated_user: str | None
) -> PolicyRequest:
    """Tell what is known of a call by its INVITE."""
    request = read.request
    return PolicyRequest(
        session=session,
        call_id=request.call_id,
        peer=flow.remote,
        transport=flow.transport,
        user_agent=request.headers.get("User-Agent"),
        authenticated_user=authenticated_user,
        peer_names=flow.peer_names,
        uri=request.uri,
        from_=request.headers.get("From") or "",
        to=request.headers.get("To") or "",
        marks=read.marks,
        metadata=read.metadata,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a call: without `status` it is recorded."""

    status: int | None = None
    """Refuse it with this, 300 to 699."""
    reason: str | None = None
    """Reason phrase of the refusal; None takes the usual one."""
    codecs: tuple[str, ...] | None = None
    """Codecs for this call in place of those of the configuration, as `ENCODING/CLOCK-RATE`."""
    tenant: str | None = None
    """Whose recording it is; this and what follows goes into `policy` of `recording.json`."""
    retention_days: int | None = None
    """How long it is to be kept; for whoever deletes recordings."""
    labels: tuple[str, ...] = ()
    """Words of the application's own."""

    def fields(self) -> dict[str, JsonValue]:
        """Give what is kept of it, empty when there is nothing."""
        kept: dict[str, JsonValue] = {}
        if self.tenant is not None:
            kept["tenant"] = self.tenant
        if self.retention_days is not None:
            kept["retention_days"] = self.retention_days
        if self.labels:
            kept["labels"] = list(self.labels)
        return kept
