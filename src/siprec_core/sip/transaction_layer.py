"""The transaction layer: transactions over the transport layer, by key (RFC 3261 section 17).

It absorbs retransmissions and repeats answers; its user, the user agent core above, sees each request and each response
that counts once, as `IncomingRequest` and `OutgoingRequest`.
"""

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from siprec_core.entropy import Ids
from siprec_core.errors import RemoteProtocolError
from siprec_core.machine import Puts, earliest
from siprec_core.sip.commands import FlowCommand, SendDatagram, SendStream
from siprec_core.sip.locate import FailoverList
from siprec_core.sip.matching import TransactionKey, client_key, server_key
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parser import Malformed
from siprec_core.sip.rate import SourceRates, Verdict
from siprec_core.sip.reply import respond
from siprec_core.sip.transaction import (
    ClientTransaction,
    InviteClientTransaction,
    InviteServerTransaction,
    NonInviteClientTransaction,
    NonInviteServerTransaction,
    RequestPassed,
    ResponsePassed,
    ServerTransaction,
    State,
    Terminated,
    TimedOut,
    Transmit,
    TransportFailed,
)
from siprec_core.sip.transport import Hop, Received, Refused, SendFailed, SentLate, TransportLayer
from siprec_core.timers import TimerQueue
from siprec_core.types import Address, Flow


class IncomingRequest:
    """A request that we answer, with its transaction and the path of its answers."""

    __slots__ = ("_raw", "authenticated_user", "flow", "key", "local_tag", "machine", "owner", "request")

    def __init__(self, key: TransactionKey, machine: ServerTransaction, received: Received, local_tag: str) -> None:
        self.key = key
        self.machine = machine
        self.request = machine.request
        self.flow = received.flow
        self._raw = received.raw
        self.local_tag = local_tag
        """To tag of our responses, the same in all of them (RFC 3261 8.2.6.2)."""
        self.owner: int | None = None
        """Call that the messages of this transaction are traced for."""
        self.authenticated_user: str | None = None
        """Who sent it, where its listener asks for that."""

    def take_raw(self) -> tuple[bytes, ...]:
        """Give the octets as they came, once: a large message is not held as long as its transaction lives."""
        raw, self._raw = self._raw, ()
        return raw


class OutgoingRequest:
    """A request of ours, with its transaction and its path."""

    __slots__ = ("error", "flow", "heard", "hop", "key", "local", "machine", "owner", "places", "request")

    def __init__(
        self, machine: ClientTransaction, *, hop: Hop, local: Address, flow: Flow | None, owner: int | None
    ) -> None:
        self.request = machine.request
        self.key = client_key(machine.request)
        self.machine = machine
        self.hop = hop
        self.places = FailoverList((hop,))
        """The places of the request: the current one is `hop`, others are tried when it fails (RFC 3263 4.3)."""
        self.heard = False
        """A response has come."""
        self.error = ""
        """What the transport said when it failed."""
        self.local = local
        self.flow = flow
        self.owner = owner


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestArrived:
    """A new request, other than ACK."""

    incoming: IncomingRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class AckArrived:
    """An ACK to a 2xx; `incoming` is the INVITE's transaction when its branch matched one."""

    request: Request
    incoming: IncomingRequest | None
    received: Received


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseArrived:
    """A response to a request of ours; `received` is None for 408 and 503 made up here (RFC 3261 8.1.3.1)."""

    outgoing: OutgoingRequest
    status: int
    reason: str
    response: Response | None
    flow: Flow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overloaded:
    """A request came beyond the limit of server transactions; `answer_stateless` may refuse it."""

    request: Request
    flow: Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A request whose transaction cannot be told because a header field is malformed."""

    request: Request
    flow: Flow
    error: RemoteProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEnded:
    """A server transaction is over."""

    incoming: IncomingRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A message with an owner was received or handed to its transport."""

    owner: int
    data: bytes
    flow: Flow
    sent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRefused:
    """Octets came that are no SIP message; where possible they were answered."""

    malformed: Malformed
    flow: Flow


LayerOutput: TypeAlias = (
    FlowCommand
    | RequestArrived
    | AckArrived
    | ResponseArrived
    | Overloaded
    | Unreadable
    | TransactionEnded
    | Traced
    | MessageRefused
)


class TransactionLayer:
    """All transactions of one endpoint."""

    def __init__(
        self,
        transport: TransportLayer,
        outbox: Puts[LayerOutput],
        *,
        ids: Ids,
        most: int,
        rates: SourceRates | None = None,
    ) -> None:
        """Outputs go to `outbox`, which the user shares; `most` bounds the server transactions, `rates` new ones."""
        self._rates = rates
        self.transport = transport
        self._ids = ids
        self._most = most
        self._outbox = outbox
        self._incoming: dict[TransactionKey, IncomingRequest] = {}
        self._outgoing: dict[TransactionKey, OutgoingRequest] = {}
        self._timers: TimerQueue[IncomingRequest | OutgoingRequest] = TimerQueue()
        self._arrived_below: deque[Received | Refused | SendFailed] = deque()

    # machine

    def next_timeout(self) -> float | None:
        """Give the deadline that is due first."""
        return earliest(self._timers.next_deadline(), self.transport.next_timeout())

    def handle_timeout(self, *, now: float) -> None:
        """Fire what is due."""
        self.transport.handle_timeout(now=now)
        while (due := self._timers.pop_due(now)) is not None:
            due.machine.handle_timeout(now=now)
            if isinstance(due, IncomingRequest):
                self._drain_incoming(due, now)
            else:
                self._drain_outgoing(due, None, now)

    # user

    def find(self, request: Request, *, method: str) -> IncomingRequest | None:
        """Find the transaction that a request would have with another method: a CANCEL's INVITE (RFC 3261 9.2)."""
        return self._incoming.get(server_key(request, method=method))

    def respond(self, incoming: IncomingRequest, response: Response, *, now: float) -> None:
        """Send a response; ignored when a final one was sent before."""
        incoming.machine.send(response, now=now)
        self._drain_incoming(incoming, now)

    def repeat(self, key: TransactionKey, response: Response, *, now: float) -> None:
        """Send a 2xx again along its transaction, while that lives."""
        incoming = self._incoming.get(key)
        if incoming is not None:
            self.respond(incoming, response, now=now)

    def answer_stateless(self, request: Request, response: Response, flow: Flow, *, now: float) -> None:
        """Send a response without a transaction (RFC 3261 8.2.7)."""
        self.transport.send_response(response.to_bytes(), via=request.top_via, flow=flow)
        self._sort(None)

    def forget(self, incoming: IncomingRequest) -> None:
        """Drop the transaction of a new request, which `answer_stateless` answers in its place."""
        self._incoming.pop(incoming.key, None)
        self._timers.cancel(incoming)

    def start(
        self, request: Request, hop: Hop, *, local: Address, flow: Flow | None, owner: int | None, now: float
    ) -> OutgoingRequest:
        """Start a client transaction; the request's top Via carries the branch."""
        kind = InviteClientTransaction if request.method == "INVITE" else NonInviteClientTransaction
        machine = kind(request, reliable=hop.transport.reliable, now=now)
        outgoing = OutgoingRequest(machine, hop=hop, local=local, flow=flow, owner=owner)
        self._outgoing[outgoing.key] = outgoing
        machine.start(now=now)
        self._drain_outgoing(outgoing, None, now)
        return outgoing

    def cancelled(self, outgoing: OutgoingRequest, *, now: float) -> None:
        """Bound the wait for the final response to an INVITE that a CANCEL follows (RFC 3261 9.1)."""
        if isinstance(outgoing.machine, InviteClientTransaction):
            outgoing.machine.cancelled(now=now)
            self._arm(outgoing)

    def send_ack(
        self, ack: Request, hop: Hop, *, local: Address, flow: Flow | None, owner: int | None, now: float
    ) -> None:
        """Send the ACK to a 2xx: it has no transaction (RFC 3261 13.2.2.4)."""
        self.transport.send_request(ack.to_bytes(), hop, local=local, flow=flow, token="", owner=owner)
        self._sort(owner)

    # transport

    def step(self, *, now: float) -> bool:
        """Work on one thing that the transport layer has put out; False when nothing waits.

        The user reads the outputs of each step before the next, so that it acts on a message in the state that the one
        before left: a re-INVITE and the BYE behind it may come in one piece.
        """
        moved = self._sort(None)
        if not self._arrived_below:
            return moved
        output = self._arrived_below.popleft()
        if isinstance(output, Received):
            self._receive(output, now)
        elif isinstance(output, Refused):
            self._outbox.put(MessageRefused(malformed=output.malformed, flow=output.flow))
        else:
            self._send_failed(output, now)
        return True

    def _sort(self, owner: int | None) -> bool:
        """Pass commands up at once, traced for `owner`, and keep what arrived for its turn; tell whether any passed."""
        moved = False
        while (output := self.transport.poll_output()) is not None:
            if isinstance(output, (Received, Refused, SendFailed)):
                self._arrived_below.append(output)
                continue
            if isinstance(output, SentLate):
                self._outbox.put(Traced(owner=output.owner, data=output.data, flow=output.flow, sent=True))
                continue
            if owner is not None and isinstance(output, (SendDatagram, SendStream)):
                self._outbox.put(Traced(owner=owner, data=output.data, flow=output.flow, sent=True))
            self._outbox.put(output)
            moved = True
        return moved

    def trace(self, owner: int | None, received: Received) -> None:
        """Put out a trace of a message that came for `owner`."""
        if owner is not None:
            self._outbox.put(Traced(owner=owner, data=b"".join(received.raw), flow=received.flow, sent=False))

    def _receive(self, received: Received, now: float) -> None:
        message = received.message
        if isinstance(message, Response):
            self._receive_response(message, received, now)
            return
        try:
            key = server_key(message)
        except RemoteProtocolError as error:
            self._outbox.put(Unreadable(request=message, flow=received.flow, error=error))
            return
        incoming = self._incoming.get(key)
        if message.method == "ACK":
            self._receive_ack(message, incoming, received, now)
        elif incoming is not None:
            self.trace(incoming.owner, received)
            incoming.machine.receive_request(message, now=now)
            self._drain_incoming(incoming, now)
        elif (verdict := self._admit(message, received.flow, now)) is Verdict.PASS:
            self._open(key, message, received, now)
        elif verdict is Verdict.REFUSE:
            self._outbox.put(Overloaded(request=message, flow=received.flow))

    def _admit(self, request: Request, flow: Flow, now: float) -> Verdict:
        """Tell what becomes of a new request before anything is kept of it; those within dialogs are not counted."""
        if len(self._incoming) >= self._most:
            return Verdict.REFUSE
        if self._rates is None or ";tag=" in (request.headers.get("To") or "").lower():
            return Verdict.PASS
        return self._rates.take(flow.remote.host, now=now)

    def _open(self, key: TransactionKey, request: Request, received: Received, now: float) -> None:
        reliable = received.flow.transport.reliable
        kind = InviteServerTransaction if request.method == "INVITE" else NonInviteServerTransaction
        machine = kind(request, respond(request, 100), reliable=reliable, now=now)
        incoming = IncomingRequest(key, machine, received, self._ids.tag())
        self._incoming[key] = incoming
        self._arm(incoming)
        self._outbox.put(RequestArrived(incoming=incoming))

    def _receive_ack(self, request: Request, incoming: IncomingRequest | None, received: Received, now: float) -> None:
        if incoming is not None:
            incoming.machine.receive_request(request, now=now)
            self._drain_incoming(incoming, now)
            if incoming.machine.state is not State.ACCEPTED:
                # RFC 3261 17.2.1: the ACK to an error response is absorbed by its transaction.
                self.trace(incoming.owner, received)
                return
        self._outbox.put(AckArrived(request=request, incoming=incoming, received=received))

    def _receive_response(self, response: Response, received: Received, now: float) -> None:
        try:
            outgoing = self._outgoing.get(client_key(response))
        except RemoteProtocolError:
            return
        # RFC 3261 8.1.3.3: a response with more than one Via was not meant for us.
        if outgoing is None or len(response.headers.values("Via")) != 1:
            return
        outgoing.flow = received.flow
        outgoing.heard = True
        self.trace(outgoing.owner, received)
        outgoing.machine.receive_response(response, now=now)
        self._drain_outgoing(outgoing, received.flow, now)

    def _send_failed(self, failed: SendFailed, now: float) -> None:
        branch, _, method = failed.token.partition(" ")
        outgoing = self._outgoing.get((branch, method))
        if outgoing is not None:
            outgoing.error = failed.error
            outgoing.machine.transport_failed(now=now)
            self._drain_outgoing(outgoing, None, now)

    # machines

    def _drain_incoming(self, incoming: IncomingRequest, now: float) -> None:
        while (output := incoming.machine.poll_output()) is not None:
            if isinstance(output, Transmit):
                via, flow = incoming.request.top_via, incoming.flow
                self.transport.send_response(output.data, via=via, flow=flow, owner=incoming.owner)
                self._sort(incoming.owner)
            elif isinstance(output, Terminated):
                self._incoming.pop(incoming.key, None)
                self._outbox.put(TransactionEnded(incoming=incoming))
            elif isinstance(output, (RequestPassed, ResponsePassed, TimedOut, TransportFailed)):
                continue  # ACKs reach the user by dialog; a lost ACK to an error ends nothing (RFC 3261 17.2.1)
        self._arm(incoming)

    def _drain_outgoing(self, outgoing: OutgoingRequest, flow: Flow | None, now: float) -> None:
        while (output := outgoing.machine.poll_output()) is not None:
            if isinstance(output, Transmit):
                token, owner = " ".join(outgoing.key), outgoing.owner
                self.transport.send_request(
                    output.data, outgoing.hop, local=outgoing.local, flow=outgoing.flow, token=token, owner=owner
                )
                self._sort(outgoing.owner)
            elif isinstance(output, ResponsePassed):
                response = output.response
                self._arrived(outgoing, response.status, response.reason, response, flow)
            elif isinstance(output, TimedOut):
                self._arrived(outgoing, 408, "Request Timeout", None, None)
            elif isinstance(output, TransportFailed):
                said = f": {outgoing.error}" if outgoing.error else ""
                self._arrived(outgoing, 503, f"Service Unavailable - transport failed{said}", None, None)
            elif isinstance(output, Terminated):
                self._outgoing.pop(outgoing.key, None)
                self.transport.finished(" ".join(outgoing.key))
        self._arm(outgoing)

    def _arrived(
        self, outgoing: OutgoingRequest, status: int, reason: str, response: Response | None, flow: Flow | None
    ) -> None:
        self._outbox.put(ResponseArrived(outgoing=outgoing, status=status, reason=reason, response=response, flow=flow))

    def _arm(self, entry: IncomingRequest | OutgoingRequest) -> None:
        deadline = entry.machine.next_timeout()
        if deadline is None:
            self._timers.cancel(entry)
        else:
            self._timers.set(entry, deadline)
