"""Dialogs: the peer-to-peer relation of RFC 3261 section 12.

A dialog is plain state with the rules that read and change it: route set, targets, tags, sequence numbers.
"""

from dataclasses import dataclass
from typing import NamedTuple

from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.fields import NameAddr
from siprec_core.sip.headers import Headers
from siprec_core.sip.locate import Located
from siprec_core.sip.message import Request, Response
from siprec_core.sip.session_id import joined, session_identifier_of
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Flow


class DialogId(NamedTuple):
    """Call-ID and both tags, seen from our side (RFC 3261 section 12)."""

    call_id: str
    local_tag: str
    remote_tag: str


@dataclass(slots=True, kw_only=True)
class Dialog:
    """One dialog. `remote_tag` is empty for peers of RFC 2543 that send none (RFC 3261 12.1.1)."""

    call_id: str
    local_tag: str
    remote_tag: str
    local: NameAddr
    """Our From or To, with our tag."""
    remote: NameAddr
    """The peer's, with its tag."""
    remote_target: str
    """Request-URI of our requests: the peer's Contact."""
    route_set: tuple[str, ...]
    """Route header values in the order in which we send them."""
    local_sequence: int
    remote_sequence: int | None
    flow: Flow
    """The path the peer's last request or response came along."""
    sent_by: Address
    """Where we listen, as far as the dialog tells: never the port of a connection that we opened."""
    located: Located | None = None
    """Where the next request may go when `flow` is gone and the next hop is a name; None until that was located."""
    session_id: str | None = None
    """Session-ID of our requests, None when the peer began without one (RFC 7989)."""

    @property
    def id(self) -> DialogId:
        """The key of the dialog."""
        return DialogId(self.call_id, self.local_tag, self.remote_tag)

    @classmethod
    def for_uas(cls, request: Request, *, local_tag: str, flow: Flow, first_sequence: int = 0) -> "Dialog":
        """Make the dialog of an INVITE that we answer: Record-Route in order (RFC 3261 12.1.1).

        Raises RemoteProtocolError when From, To or Contact cannot be read.
        """
        contacts = request.contacts
        if not contacts or contacts[0].uri == "*":
            raise RemoteProtocolError("an INVITE has exactly one Contact (RFC 3261 8.1.1.8)", field="Contact")
        to = request.to
        return cls(
            call_id=request.call_id,
            local_tag=local_tag,
            remote_tag=request.from_.tag or "",
            local=to.with_tag(local_tag),
            remote=request.from_,
            remote_target=contacts[0].uri,
            route_set=tuple(str(route) for route in request.record_routes),
            local_sequence=first_sequence,
            remote_sequence=request.cseq.number,
            flow=flow,
            sent_by=flow.local,
            session_id=joined_session_id(request, local_tag),
        )

    @classmethod
    def for_uac(cls, request: Request, response: Response, *, flow: Flow, sent_by: Address) -> "Dialog":
        """Make the dialog that a response to our INVITE forms: Record-Route reversed (RFC 3261 12.1.2).

        `sent_by` is what Via and Contact of the INVITE named.

        Raises RemoteProtocolError when To or Contact cannot be read.
        """
        contacts = response.contacts
        if not contacts or contacts[0].uri == "*":
            raise RemoteProtocolError("a response that forms a dialog has a Contact", field="Contact")
        return cls(
            call_id=request.call_id,
            local_tag=request.from_.tag or "",
            remote_tag=response.to.tag or "",
            local=request.from_,
            remote=response.to,
            remote_target=contacts[0].uri,
            route_set=tuple(str(route) for route in reversed(response.record_routes)),
            local_sequence=request.cseq.number,
            remote_sequence=None,
            flow=flow,
            sent_by=sent_by,
        )

    @classmethod
    def to_end(cls, request: Request, response: Response, *, flow: Flow, sent_by: Address) -> "Dialog":
        """Make the dialog of a 2xx to our INVITE whose Contact or Record-Route is of no use: good for ACK and BYE.

        They go where the INVITE went. Raises RemoteProtocolError when To cannot be read.
        """
        return cls(
            call_id=request.call_id,
            local_tag=request.from_.tag or "",
            remote_tag=response.to.tag or "",
            local=request.from_,
            remote=response.to,
            remote_target=request.uri,
            route_set=tuple(str(route) for route in request.routes),
            local_sequence=request.cseq.number,
            remote_sequence=None,
            flow=flow,
            sent_by=sent_by,
        )

    def accept_sequence(self, request: Request) -> bool:
        """Take the CSeq of a request within the dialog; False when it is lower than one before (RFC 3261 12.2.2).

        ACK and CANCEL repeat a number and are not to be asked about.
        """
        number = request.cseq.number
        if self.remote_sequence is not None and number < self.remote_sequence:
            return False
        self.remote_sequence = number
        if self.session_id is not None:
            # RFC 7989 6: a transfer behind the peer changes its half within the dialog.
            self.session_id = joined_session_id(request, self.local_tag) or self.session_id
        return True

    def follow(self, flow: Flow) -> None:
        """Take the path of the peer's latest message as that of the dialog."""
        self.flow = flow
        self.located = None
        if flow.id is None or flow.id > 0:
            # Of a connection that we opened the local port is the system's choice, and nobody listens there.
            self.sent_by = flow.local

    def refresh_target(self, message: Request | Response) -> None:
        """Take the Contact of a target refresh request or its 2xx, if it is usable (RFC 3261 12.2.1.2, 12.2.2)."""
        try:
            contacts = message.contacts
        except RemoteProtocolError:
            return  # the parser has made a finding of it; the target that is known goes on
        if len(contacts) == 1 and contacts[0].uri != "*":
            self.remote_target = contacts[0].uri
            self.located = None

    def next_hop_uri(self) -> str:
        """URI whose host the next request goes to: top route, else remote target (RFC 3261 8.1.2)."""
        return NameAddr.parse(self.route_set[0]).uri if self.route_set else self.remote_target

    def request(self, method: str, *, sequence: int | None = None) -> Request:
        """Build a request within the dialog, without Via and Contact (RFC 3261 12.2.1.1).

        `sequence` is given for an ACK, which repeats its INVITE's number.
        """
        if sequence is None:
            self.local_sequence += 1
            sequence = self.local_sequence
        uri, routes = self._routing()
        headers = Headers()
        headers.add("Max-Forwards", "70")
        for route in routes:
            headers.add("Route", route)
        headers.add("From", str(self.local))
        headers.add("To", str(self.remote))
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", f"{sequence} {method}")
        if self.session_id is not None:
            headers.add("Session-ID", self.session_id)
        return Request(method, uri, headers)

    def _routing(self) -> tuple[str, tuple[str, ...]]:
        if not self.route_set:
            return self.remote_target, ()
        first = NameAddr.parse(self.route_set[0]).uri
        if _is_loose(first):
            return self.remote_target, self.route_set
        # RFC 3261 12.2.1.1: a strict router's URI becomes the Request-URI, the remote target the last Route.
        return first, (*self.route_set[1:], f"<{self.remote_target}>")


def joined_session_id(request: Request, local_tag: str) -> str | None:
    """Give the Session-ID of our messages to the sender of a request; None when it has sent none."""
    theirs = session_identifier_of(request.headers)
    return None if theirs is None else str(joined(theirs, local_tag=local_tag))


def _is_loose(uri: str) -> bool:
    try:
        return "lr" in SipUri.parse(uri).parameters
    except RemoteProtocolError:
        return True
