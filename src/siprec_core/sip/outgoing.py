"""Requests that an endpoint sends: INVITE, and ACK, BYE and CANCEL for its calls."""

from dataclasses import replace

from siprec_core.entropy import Ids
from siprec_core.sip.dialog import Dialog
from siprec_core.sip.headers import Headers
from siprec_core.sip.identity import EndpointConfig, next_hop, via
from siprec_core.sip.message import Request
from siprec_core.sip.transaction_layer import OutgoingRequest, TransactionLayer
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Flow, Transport

_LARGE = 1_300 - 120
"""Octets of a request, without its Via, up to which it fits an unknown path (RFC 3261 18.1.1)."""


class RequestSender:
    """Adds Via and path to requests and starts their transactions."""

    def __init__(self, config: EndpointConfig, layer: TransactionLayer, *, ids: Ids) -> None:
        self._config = config
        self._layer = layer
        self._ids = ids

    def start(
        self, request: Request, hop: Hop, *, local: Address, flow: Flow | None, owner: int | None, now: float
    ) -> OutgoingRequest:
        """Start a client transaction for `request` with a Via of ours and a fresh branch."""
        if self._config.large_over_tcp and hop.transport is Transport.UDP and len(request.to_bytes()) > _LARGE:
            # RFC 3261 18.1.1: a request "within 200 bytes of the path MTU, or [...] larger than 1300 bytes and the path
            # MTU is unknown" MUST go over a transport with congestion control.
            over_tcp = self._begin(
                request, replace(hop, transport=Transport.TCP), local=local, flow=None, owner=owner, now=now
            )
            over_tcp.fallback = hop
            return over_tcp
        return self._begin(request, hop, local=local, flow=flow, owner=owner, now=now)

    def fall_back(self, failed: OutgoingRequest, *, now: float) -> OutgoingRequest | None:
        """Send a large request over UDP after all, when its connection could not be made (RFC 3261 18.1.1)."""
        if failed.fallback is None or failed.heard:
            return None
        headers = failed.request.headers.copy()
        headers.remove("Via")
        again = Request(failed.request.method, failed.request.uri, headers, failed.request.body)
        return self._begin(again, failed.fallback, local=failed.local, flow=None, owner=failed.owner, now=now)

    def _begin(
        self, request: Request, hop: Hop, *, local: Address, flow: Flow | None, owner: int | None, now: float
    ) -> OutgoingRequest:
        request.headers.insert_first("Via", via(self._config, hop.transport, local, self._ids.branch()))
        return self._layer.start(request, hop, local=local, flow=flow, owner=owner, now=now)

    def bye(self, dialog: Dialog, *, owner: int | None, now: float) -> OutgoingRequest:
        """Send BYE within a dialog (RFC 3261 15.1.1)."""
        request = dialog.request("BYE")
        request.headers.add("User-Agent", self._config.product)
        self._add_supported(request.headers)
        return self.start(request, next_hop(dialog), local=dialog.flow.local, flow=dialog.flow, owner=owner, now=now)

    def ack(self, dialog: Dialog, *, sequence: int, again: Request | None, owner: int | None, now: float) -> Request:
        """Acknowledge a 2xx with the INVITE's number and a branch of its own (RFC 3261 13.2.2.4), or repeat one."""
        hop = next_hop(dialog)
        local = dialog.flow.local
        request = again
        if request is None:
            request = dialog.request("ACK", sequence=sequence)
            request.headers.insert_first("Via", via(self._config, hop.transport, local, self._ids.branch()))
        self._layer.send_ack(request, hop, local=local, flow=dialog.flow, owner=owner, now=now)
        return request

    def cancel(self, call: OutgoingRequest, *, now: float) -> OutgoingRequest:
        """Send CANCEL: the INVITE's URI, Call-ID, To, From, Route, number and top Via (RFC 3261 9.1)."""
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
        self._add_supported(headers)
        request = Request("CANCEL", invite.uri, headers)
        self._layer.cancelled(call, now=now)
        return self._layer.start(request, call.hop, local=call.local, flow=call.flow, owner=call.owner, now=now)

    def _add_supported(self, headers: Headers) -> None:
        # RFC 4028 7.1: Supported with "timer" stands "in each request (except ACK)".
        if self._config.supported:
            headers.add("Supported", ", ".join(self._config.supported))
