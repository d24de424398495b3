"""What the user agent core tells its owner."""

from dataclasses import dataclass
from typing import NewType, TypeAlias

from siprec_core.findings import Finding
from siprec_core.sip.commands import Resolve, SipCommand
from siprec_core.sip.invite import UsageId
from siprec_core.sip.message import Request, Response
from siprec_core.sip.transaction_layer import LayerOutput, MessageRefused
from siprec_core.sip.transport import Hop
from siprec_core.types import Flow

__all__ = [
    "AckReceived",
    "CallAnswered",
    "CallAttempted",
    "CallChanged",
    "CallEnded",
    "CallGone",
    "CallOffered",
    "CallProgressed",
    "CallRefused",
    "ChangeId",
    "ChangeRefused",
    "CredentialsChecked",
    "EndpointEvent",
    "EndpointItem",
    "EndpointOutput",
    "InfoReceived",
    "InviteReceived",
    "MessageRefused",
    "MessageTraced",
    "OfferReceived",
    "OfferWithdrawn",
    "OptionsReceived",
    "RequestId",
]

RequestId = NewType("RequestId", int)
"""Names a request outside dialogs that waits for the owner's answer."""

ChangeId = NewType("ChangeId", int)
"""Names a re-INVITE or UPDATE of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteReceived:
    """A call came; the owner answers with `accept` or `reject`, now or later."""

    usage: UsageId
    request: Request
    flow: Flow
    local_tag: str
    raw: tuple[bytes, ...]
    """The octets as they came, in pieces."""
    authenticated_user: str | None = None
    """Who called, where the listener asks for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferReceived:
    """A re-INVITE or UPDATE came within a call; the owner answers with `answer_offer` or `refuse_offer`."""

    usage: UsageId
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferWithdrawn:
    """The re-INVITE that waited was cancelled and answered 487: there is nothing to answer any more (RFC 3261 9.2)."""

    usage: UsageId


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsReceived:
    """OPTIONS came; the owner answers with `answer_options` as it would answer an INVITE (RFC 3261 11.2)."""

    request_id: RequestId
    request: Request
    flow: Flow
    authenticated_user: str | None = None
    """Who sent it, where the listener asks for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AckReceived:
    """An ACK to a 2xx came."""

    usage: UsageId
    request: Request
    matched: bool
    """False when its CSeq number fits no INVITE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoReceived:
    """An INFO came within a call and was answered 200: its body is for the owner (RFC 6086 section 4.2.2)."""

    usage: UsageId
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class CallChanged:
    """The peer took a re-INVITE or UPDATE of ours, refreshes of the session timer included."""

    usage: UsageId
    change: ChangeId
    refresh: bool
    """It was a refresh of the session timer, which the owner did not ask for."""
    request: Request
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRefused:
    """The peer refused a re-INVITE or UPDATE of ours, or was silent: the session is as before (RFC 3261 14.1)."""

    usage: UsageId
    change: ChangeId
    refresh: bool
    """As in `CallChanged`."""
    request: Request | None
    """None when it was never sent: the peer's own offer came first (491)."""
    status: int
    reason: str
    local: bool
    """As in `CallRefused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAttempted:
    """Our INVITE was sent to a place: the first, or the next after one that failed (RFC 3263 section 4.3)."""

    usage: UsageId
    hop: Hop


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProgressed:
    """A 1xx to our INVITE came."""

    usage: UsageId
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered:
    """A 2xx to our INVITE came and was acknowledged."""

    usage: UsageId
    response: Response
    findings: tuple[Finding, ...] = ()
    """What was wrong with the challenges and 1xx before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOffered:
    """A 2xx to our INVITE without offer came: the owner answers with `acknowledge`, or hangs up."""

    usage: UsageId
    response: Response
    flow: Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused:
    """Our INVITE failed at every place; what the last one said counts.

    That is an error response, 408 for silence, or 503 for a broken transport (RFC 3261 section 8.1.3.1) and for a name
    that leads nowhere.
    """

    usage: UsageId
    status: int
    reason: str
    local: bool
    """True when no response of the peer's says so."""
    retry_seconds: int | None = None
    """Its Retry-After (RFC 3261 section 20.33)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """The call is over; `request` is the peer's BYE with its body where there was one."""

    usage: UsageId
    reason: str
    """`bye`, `local-bye`, `cancelled`, `rejected`, `expired`, `timeout-ack`, `timeout-prack`, `session-timer`,
    `peer-gone`, or what `hang_up` was given."""
    request: Request | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallGone:
    """No transaction of the call waits any more."""

    usage: UsageId


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsChecked:
    """The credentials of a request were refused, or have something unusual. First challenges are not told."""

    flow: Flow
    method: str
    reason: str | None
    """Why they were refused; None when they were taken."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTraced:
    """A message of a call was received or handed to its transport, retransmissions included."""

    usage: UsageId
    data: bytes
    flow: Flow
    sent: bool


EndpointEvent: TypeAlias = (
    InviteReceived
    | OfferReceived
    | OfferWithdrawn
    | OptionsReceived
    | AckReceived
    | InfoReceived
    | CallChanged
    | ChangeRefused
    | CallAttempted
    | CallProgressed
    | CallAnswered
    | CallOffered
    | CallRefused
    | CallEnded
    | CallGone
    | CredentialsChecked
    | MessageTraced
    | MessageRefused
)
EndpointOutput: TypeAlias = SipCommand | EndpointEvent
EndpointItem: TypeAlias = EndpointEvent | LayerOutput | Resolve
"""What stands in the one queue between the layers and the endpoint."""
