"""The user agent core: both sides of a SIP endpoint over one transaction layer (RFC 3261 sections 8 to 15).

It routes: transaction to call, call to owner, and back. Policy (whom to accept, what to answer) belongs to the owner,
which reads `poll_output` and calls the methods below.
"""

from collections.abc import Sequence
from typing import TypeAlias

from siprec_core.entropy import Ids
from siprec_core.machine import Outbox, earliest
from siprec_core.sip.called import BUSY, CalledSide
from siprec_core.sip.calling import CallingSide
from siprec_core.sip.calls import CallTable, Stack
from siprec_core.sip.changing import ChangingSide
from siprec_core.sip.endpoint_events import ChangeId, EndpointItem, EndpointOutput, MessageTraced, RequestId
from siprec_core.sip.identity import EndpointConfig
from siprec_core.sip.invite import UsageId
from siprec_core.sip.locations import Locations
from siprec_core.sip.message import Request
from siprec_core.sip.names import DnsAnswer, QueryId
from siprec_core.sip.outgoing import RequestSender
from siprec_core.sip.rate import SourceRates
from siprec_core.sip.reaching import Reaching
from siprec_core.sip.transaction_layer import (
    AckArrived,
    Overloaded,
    RequestArrived,
    ResponseArrived,
    Traced,
    TransactionEnded,
    TransactionLayer,
    Unreadable,
)
from siprec_core.sip.transport import Hop, TransportLayer
from siprec_core.sip.uas import Refusal, refusal_of
from siprec_core.types import Address, Flow, Listening

_Arrival: TypeAlias = RequestArrived | AckArrived | ResponseArrived | Overloaded | Unreadable | TransactionEnded


class SipEndpoint:
    """One SIP user agent without I/O."""

    def __init__(self, config: EndpointConfig, *, ids: Ids) -> None:
        self._transport = TransportLayer(limits=config.limits, strict=config.strict)
        self._items: Outbox[EndpointItem] = Outbox()
        self._now = 0.0
        limits = config.limits
        rates = SourceRates(rate=limits.requests_per_source, burst=limits.requests_burst, sources=limits.sources)
        self._layer = TransactionLayer(
            self._transport, self._items, ids=ids, most=limits.server_transactions, rates=rates
        )
        self._sender = RequestSender(config, self._layer, ids=ids)
        self._locations = Locations(self._items, fraction=ids.fraction, limits=limits)
        stack = Stack(config, ids, self._transport, self._layer, self._sender, self._locations, self._items)
        self._calls = CallTable(stack)
        self._called = CalledSide(stack, self._calls)
        self._reaching = Reaching(stack, self._calls)
        self._calling = CallingSide(stack, self._calls, self._reaching)
        self._changing = ChangingSide(stack, self._calls)

    # machine

    def poll_output(self) -> EndpointOutput | None:
        """Give the oldest output not yet taken.

        What arrived is worked on here, one message at a time, so that the owner acts on each before the next is looked
        at.
        """
        while True:
            item = self._items.poll()
            if item is None:
                if (found := self._locations.take()) is not None:
                    call = self._reaching.located(*found, now=self._now)
                    if call is not None:
                        self._changing.located(call, now=self._now)
                elif not self._layer.step(now=self._now):
                    return None
            elif isinstance(item, _Arrival):
                self._arrived(item, self._now)
            elif isinstance(item, Traced):
                return MessageTraced(usage=UsageId(item.owner), data=item.data, flow=item.flow, sent=item.sent)
            else:
                return item

    def next_timeout(self) -> float | None:
        """Give the deadline that is due first."""
        return earliest(self._calls.next_timeout(), self._layer.next_timeout(), self._locations.next_timeout())

    def handle_timeout(self, *, now: float) -> None:
        """Fire what is due."""
        self._now = now
        self._layer.handle_timeout(now=now)
        self._locations.handle_timeout(now=now)
        self._calls.handle_timeout(now=now)
        self._changing.handle_timeout(now=now)

    @property
    def calls(self) -> int:
        """Number of calls that are not over yet, those whose BYE waits for its answer included."""
        return len(self._calls)

    # wire

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        """Take one UDP datagram."""
        self._now = now
        self._transport.receive_datagram(data, flow=flow, now=now)

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        """Take a new connection."""
        self._now = now
        self._transport.flow_opened(flow, now=now)

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Take octets of a connection; empty is its end."""
        self._now = now
        self._transport.receive_stream(flow, data, now=now)

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        """Take the failure of a connection."""
        self._now = now
        self._transport.flow_failed(flow, error, now=now)

    def host_resolved(self, query: QueryId, answer: DnsAnswer, *, now: float) -> None:
        """Take the answer to a `Resolve`."""
        self._now = now
        self._locations.resolved(query, answer, now=now)

    def listen(self, listening: Sequence[Listening]) -> None:
        """Say where we listen, the best first: what Via and Contact of our requests name."""
        self._sender.listening = tuple(listening)

    # called side

    def accept(
        self, usage: UsageId, *, body: bytes, content_type: str, description: bytes | None = None, now: float
    ) -> None:
        """Answer a call with 200 and a body; raises LocalProtocolError when it no longer waits.

        `description` is the session description among `body`, when that holds more.
        """
        self._now = now
        self._called.accept(usage, body=body, content_type=content_type, description=description, now=now)

    def reject(self, usage: UsageId, refusal: Refusal, *, now: float) -> None:
        """Answer a call with an error; raises LocalProtocolError when it no longer waits."""
        self._now = now
        self._called.reject(usage, refusal, now=now)

    def trying(self, usage: UsageId, *, now: float) -> None:
        """Tell a caller that an answer will take its time (100); LocalProtocolError when the call no longer waits."""
        self._now = now
        self._called.trying(usage, now=now)

    def answer_offer(self, usage: UsageId, *, body: bytes, content_type: str, now: float) -> None:
        """Answer the re-INVITE or UPDATE that waits; raises LocalProtocolError when none does."""
        self._now = now
        self._called.answer_offer(usage, body=body, content_type=content_type, now=now)

    def refuse_offer(self, usage: UsageId, refusal: Refusal, *, now: float) -> None:
        """Refuse the re-INVITE or UPDATE that waits; raises LocalProtocolError when none does."""
        self._now = now
        self._called.refuse_offer(usage, refusal, now=now)

    def answer_options(self, request_id: RequestId, refusal: Refusal | None, *, now: float) -> None:
        """Answer OPTIONS with 200 and our capabilities, or with what an INVITE would get now (RFC 3261 11.2)."""
        self._now = now
        self._called.answer_options(request_id, refusal, now=now)

    # calling side

    def call(
        self,
        invite: Request,
        hop: Hop | None,
        *,
        local: Address,
        description: bytes = b"",
        offerless: bool = False,
        now: float,
    ) -> UsageId:
        """Start a call with an INVITE that has To, From, Call-ID, CSeq and body; the rest is added.

        Without `hop` its top Route or its Request-URI is located, and one place after the other tried (RFC 3263).
        `description` is the session description among the body. With `offerless` there is none: the 2xx brings an
        offer, of which `CallOffered` tells, and which `acknowledge` answers.
        """
        self._now = now
        return self._calling.call(invite, hop, local=local, description=description, offerless=offerless, now=now)

    def acknowledge(self, usage: UsageId, *, body: bytes, now: float) -> None:
        """Send the ACK with our answer to the offer of a 2xx; LocalProtocolError when none waits for it.

        Who does not want the offer calls `hang_up` instead: the ACK then refuses every line, and BYE follows.
        """
        self._now = now
        self._calling.acknowledge(usage, body=body, now=now)

    # both

    def change(
        self,
        usage: UsageId,
        *,
        body: bytes,
        content_type: str,
        disposition: str | None = None,
        description: bytes = b"",
        method: str | None = None,
        now: float,
    ) -> ChangeId:
        """Send a re-INVITE or UPDATE within a call, now or after those before it.

        `CallChanged` or `ChangeRefused` tells the outcome. `description` is the session description among `body`, empty
        when there is none. Without `method` it is an UPDATE when the peer allows that, else a re-INVITE, which has to
        have a description. Raises LocalProtocolError when the call does not stand or too many changes wait.
        """
        self._now = now
        return self._changing.change(
            usage,
            body=body,
            content_type=content_type,
            disposition=disposition,
            description=description,
            method=method,
            now=now,
        )

    def stands(self, usage: UsageId) -> bool:
        """Tell whether a call has a dialog and is not over, so that it can be changed."""
        return self._changing.stands(usage)

    def allows(self, usage: UsageId, method: str) -> bool:
        """Tell whether the peer's latest Allow lists a method."""
        return self._changing.allows(usage, method)

    def hang_up(self, usage: UsageId, *, reason: str = "", now: float) -> None:
        """End a call in the way its state asks for: error response, CANCEL or BYE; nothing when it has ended.

        `reason` is told to the owner in place of `local-bye`, and to the peer in words (RFC 3326).
        """
        self._now = now
        call = self._calls.get(usage)
        if call is not None:
            self._calls.hang_up(call, now=now, refusal=BUSY, reason=reason)

    # inside

    def _arrived(self, arrival: _Arrival, now: float) -> None:
        match arrival:
            case RequestArrived(incoming=incoming):
                self._called.receive_request(incoming, now=now)
            case AckArrived():
                self._called.receive_ack(arrival, now=now)
            case ResponseArrived():
                if self._reaching.fail_over(arrival, now=now):
                    return
                if not self._changing.receive_response(arrival, now=now):
                    self._calling.receive_response(arrival, now=now)
            case Overloaded(request=request, flow=flow):
                self._called.answer_stateless(request, flow, BUSY, now=now)
            case Unreadable(request=request, flow=flow, error=error):
                self._called.answer_stateless(request, flow, refusal_of(error), now=now)
            case TransactionEnded(incoming=incoming):
                self._called.transaction_ended(incoming)
