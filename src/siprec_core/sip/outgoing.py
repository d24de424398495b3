"""Requests that an endpoint sends: INVITE, and ACK, BYE and CANCEL for its calls."""

from collections.abc import Sequence
from dataclasses import replace

from siprec_core.entropy import Ids
from siprec_core.errors import RemoteProtocolError
from siprec_core.sip.authorisation import authorise, copy_credentials
from siprec_core.sip.dialog import Dialog
from siprec_core.sip.digest import Responder
from siprec_core.sip.headers import Headers
from siprec_core.sip.identity import EndpointConfig, contact, leads_to_sips, next_hop, sent_by, via
from siprec_core.sip.locate import FailoverList, HopFailure, is_large
from siprec_core.sip.message import Request
from siprec_core.sip.names import numeric_host
from siprec_core.sip.reasons import Reason
from siprec_core.sip.transaction_layer import OutgoingRequest, ResponseArrived, TransactionLayer
from siprec_core.sip.transport import Hop
from siprec_core.sip.uri import SipUri
from siprec_core.types import Address, Flow, Listening, Transport

_ADDED_SIZE = 240
"""Octets that Via and Contact add to a request at most, near enough."""
_TARGET_REFRESH = frozenset(("INVITE", "UPDATE"))


def is_too_large(config: EndpointConfig, request: Request) -> bool:
    """Tell whether a request without Via and Contact is to go over TCP because of its size (RFC 3261 18.1.1)."""
    return config.large_over_tcp and is_large(len(request.to_bytes()) + _ADDED_SIZE)


def failure_of(arrival: ResponseArrived) -> HopFailure | None:
    """Tell whether a response, or what stands for its absence, says that another place may be tried (RFC 3263 4.3)."""
    outgoing = arrival.outgoing
    if arrival.response is not None:
        return HopFailure.SERVICE_UNAVAILABLE if arrival.status == 503 else None
    if outgoing.heard:
        return None  # it is being worked on there
    if arrival.status == 408:
        return HopFailure.NO_RESPONSE
    # A firewall discards what it should refuse: whatever keeps a TCP connection from coming about counts as a refusal,
    # because a recording over UDP is better than none.
    return HopFailure.REFUSED if outgoing.hop.transport is Transport.TCP else HopFailure.TRANSPORT_FAILED


class RequestSender:
    """Adds Via, Contact and path to requests and starts their transactions."""

    def __init__(self, config: EndpointConfig, layer: TransactionLayer, *, ids: Ids) -> None:
        self._config = config
        self._layer = layer
        self._ids = ids
        self.listening: Sequence[Listening] = ()
        """Where we listen; while it is empty the addresses of calls and dialogs count."""

    # requests with a transaction

    def start(
        self, request: Request, hop: Hop, *, local: Address, flow: Flow | None, owner: int | None, now: float
    ) -> OutgoingRequest:
        """Start a client transaction for `request` with a Via of ours and a fresh branch.

        INVITE and UPDATE get our Contact. `local` is our address when nothing is known of where we listen.
        """
        places = FailoverList((hop,))
        if hop.transport is Transport.UDP and is_too_large(self._config, request):
            # RFC 3261 18.1.1: a request "within 200 bytes of the path MTU, or [...] larger than 1300 bytes and the path
            # MTU is unknown" MUST go over a transport with congestion control.
            over_tcp = replace(hop, transport=Transport.TCP)
            places, hop = FailoverList((over_tcp, hop), large=True), over_tcp
        return self._begin(request, places, hop, local=local, flow=flow, owner=owner, now=now)

    def start_at(
        self, request: Request, places: FailoverList, *, local: Address, owner: int | None, now: float
    ) -> OutgoingRequest | None:
        """Start a client transaction at the current one of several places; None when no place is left."""
        hop = places.current
        if hop is None:
            return None
        return self._begin(request, places, hop, local=local, flow=None, owner=owner, now=now)

    def start_within(self, request: Request, dialog: Dialog, *, owner: int | None, now: float) -> OutgoingRequest:
        """Start a client transaction within a dialog: along its connection while that is open, else to its next hop."""
        if dialog.located is not None and not self._layer.transport.is_open(dialog.flow):
            places = dialog.located.failover()
            found = self.start_at(request, places, local=dialog.sent_by, owner=owner, now=now)
            if found is not None:
                return found
        hop = next_hop(dialog)
        return self.start(request, hop, local=dialog.sent_by, flow=dialog.flow, owner=owner, now=now)

    def replace(self, sent: OutgoingRequest, request: Request, *, now: float) -> OutgoingRequest:
        """Start a transaction for what takes the place of a request that was answered, where that one went."""
        return self._begin(request, sent.places, sent.hop, local=sent.local, flow=sent.flow, owner=sent.owner, now=now)

    def fail_over(
        self, failed: OutgoingRequest, failure: HopFailure, *, responder: Responder | None = None, now: float
    ) -> OutgoingRequest | None:
        """Send a request to its next place, None when none is left.

        RFC 3263 4.3: that is a new transaction with another branch; all else but Via, Contact and the count of
        credentials stays as it was.
        """
        if failed.places.failed(failure) is None:
            return None
        headers = failed.request.headers.copy()
        headers.remove("Via")
        again = Request(failed.request.method, failed.request.uri, headers, failed.request.body)
        authorise(again, responder)
        return self.start_at(again, failed.places, local=failed.local, owner=failed.owner, now=now)

    def _begin(
        self,
        request: Request,
        places: FailoverList,
        hop: Hop,
        *,
        local: Address,
        flow: Flow | None,
        owner: int | None,
        now: float,
    ) -> OutgoingRequest:
        local = sent_by(self.listening, hop, local)
        if request.method in _TARGET_REFRESH:
            # RFC 3261 12.2.1.1: the Contact is a SIPS URI when the Request-URI is one. RFC 7866 6.1.1, 6.2: the feature
            # tag stands on that of every message that changes the dialog.
            flow_to = Flow(hop.transport, local, hop.remote)
            request.headers.set("Contact", contact(self._config, flow_to, secure=leads_to_sips(request)))
        request.headers.insert_first("Via", via(self._config, hop.transport, local, self._ids.branch()))
        outgoing = self._layer.start(request, hop, local=local, flow=flow, owner=owner, now=now)
        outgoing.places = places
        return outgoing

    # within dialogs

    def unlocated(self, dialog: Dialog) -> SipUri | None:
        """Give the next hop of a dialog when that is a name to be located before a request can be sent.

        While the connection is open requests go along it, and datagrams to where the peer's last one came from.
        """
        if dialog.located is not None or self._layer.transport.is_open(dialog.flow):
            return None
        try:
            uri = SipUri.parse(dialog.next_hop_uri())
        except RemoteProtocolError:
            return None
        return uri if numeric_host(uri.host) is None else None

    def bye(
        self, dialog: Dialog, reason: Reason, *, owner: int | None, responder: Responder | None = None, now: float
    ) -> OutgoingRequest:
        """Send BYE within a dialog (RFC 3261 15.1.1), and say why (RFC 3326)."""
        request = dialog.request("BYE")
        request.headers.add("Reason", str(reason))
        request.headers.add("User-Agent", self._config.product)
        self._add_supported(request.headers)
        authorise(request, responder)
        return self.start_within(request, dialog, owner=owner, now=now)

    def ack(
        self,
        dialog: Dialog,
        *,
        invite: Request,
        again: Request | None,
        owner: int | None,
        answer: bytes = b"",
        now: float,
    ) -> Request:
        """Acknowledge a 2xx with the INVITE's number and a branch of its own (RFC 3261 13.2.2.4), or repeat one.

        `answer` is the session description that answers the offer of the 2xx.
        """
        hop = next_hop(dialog)
        local = sent_by(self.listening, hop, dialog.sent_by)
        request = again
        if request is None:
            request = dialog.request("ACK", sequence=invite.cseq.number)
            copy_credentials(invite, request)
            request.headers.insert_first("Via", via(self._config, hop.transport, local, self._ids.branch()))
            if answer:
                request.headers.add("Content-Type", "application/sdp")
                request.body = answer
        self._layer.send_ack(request, hop, local=local, flow=dialog.flow, owner=owner, now=now)
        return request

    def cancel(self, call: OutgoingRequest, reason: Reason, *, now: float) -> OutgoingRequest:
        """Send CANCEL: the INVITE's URI, Call-ID, To, From, Route, number and top Via (RFC 3261 9.1), and say why."""
        invite = call.request
        headers = Headers()
        headers.add("Via", str(invite.top_via))
        headers.add("Max-Forwards", "70")
        for value in invite.headers.get_all("Route"):
            headers.add("Route", value)
        headers.add("From", invite.headers.get("From") or "")
        headers.add("To", invite.headers.get("To") or "")
        headers.add("Call-ID", invite.call_id)
        headers.add("CSeq", f"{invite.cseq.number} CANCEL")
        headers.add("Reason", str(reason))
        self._add_supported(headers)
        request = Request("CANCEL", invite.uri, headers)
        self._layer.cancelled(call, now=now)
        return self._layer.start(request, call.hop, local=call.local, flow=call.flow, owner=call.owner, now=now)

    def _add_supported(self, headers: Headers) -> None:
        # RFC 4028 7.1: Supported with "timer" stands "in each request (except ACK)".
        if self._config.supported:
            headers.add("Supported", ", ".join(self._config.supported))
