"""The transport layer of RFC 3261 section 18: datagrams and connections to messages, messages to flows.

On the way in it marks the top Via with `received` and `rport` (RFC 3581); on the way out it finds the flow that a
response or request belongs to, and opens one where none is. It answers by itself only what never reaches a transaction:
keep-alives and messages that cannot be parsed.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import ip_address
from typing import TypeAlias

from siprec_core.errors import RemoteProtocolError
from siprec_core.limits import Limits
from siprec_core.machine import Outbox
from siprec_core.sip.commands import CloseFlow, FlowCommand, OpenFlow, SendDatagram, SendStream
from siprec_core.sip.fields import Via
from siprec_core.sip.framing import KeepAlive, MessageFramer
from siprec_core.sip.message import Request, Response
from siprec_core.sip.parser import Malformed, parse_datagram
from siprec_core.sip.reply import copied_headers, stateless_tag
from siprec_core.sip.status import reason_phrase
from siprec_core.timers import TimerQueue
from siprec_core.types import Address, Flow, FlowId, Transport

_PENDING_SIZE = 256 * 1024
"""Octets kept for a connection that is still being opened."""
_DEAF_SECONDS = 1.0
"""How long a connection whose framing is lost stays open for the answers to the requests before."""
_CRAWL_CHECK_SECONDS = 1.0
"""How often an incomplete message is looked at, once it is old enough."""


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a request goes next (RFC 3261 section 8.1.2, RFC 3263): transport, numeric address, TLS name."""

    transport: Transport
    remote: Address
    server_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message came; a request's top Via is marked with where it came from."""

    message: Request | Response
    flow: Flow
    raw: tuple[bytes, ...]
    """The octets as they came, in pieces: joining them would copy a large body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Octets came that are not a SIP message; where possible they were answered."""

    malformed: Malformed
    flow: Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailed:
    """What was sent with this token did not go out."""

    token: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentLate:
    """What had waited for a connection went out with the command before this; told of what has an owner."""

    owner: int
    data: bytes
    flow: Flow


TransportOutput: TypeAlias = FlowCommand | Received | Refused | SendFailed | SentLate


class _Watch(Enum):
    INCOMPLETE = auto()
    CRAWLING = auto()
    IDLE = auto()
    DEAF = auto()


class _Connection:
    """One open connection."""

    __slots__ = ("asked", "deaf", "flow", "framer", "since", "tokens", "users")

    def __init__(self, flow: Flow, framer: MessageFramer) -> None:
        self.flow = flow
        self.framer = framer
        self.users = 0
        self.asked = False
        """A request has come along it."""
        self.deaf = False
        """Its framing is lost: it only stays open for the answers to what came before."""
        self.since = 0.0
        """When the first octet of the message came that is incomplete now."""
        self.tokens: set[str] = set()


class _Opening:
    """A connection that the driver was asked to open, with what waits for it."""

    __slots__ = ("hop", "size", "waiting")

    def __init__(self, hop: Hop) -> None:
        self.hop = hop
        self.size = 0
        self.waiting: list[tuple[bytes, str, int | None]] = []
        """Octets, token and owner."""


class TransportLayer:
    """Flows of one endpoint. All methods may be called at any time; what a peer sends never raises."""

    def __init__(self, *, limits: Limits, strict: bool = False) -> None:
        self._limits = limits
        self._strict = strict
        self._outbox: Outbox[TransportOutput] = Outbox()
        self._connections: dict[FlowId, _Connection] = {}
        self._opening: dict[FlowId, _Opening] = {}
        self._by_remote: dict[tuple[Transport, Address], FlowId] = {}
        self._accepted: Counter[str] = Counter()
        """Connections that each address has opened to us."""
        self._timers: TimerQueue[tuple[_Watch, FlowId]] = TimerQueue()
        self._token_flows: dict[str, FlowId] = {}
        self._last_id = 0

    # machine

    def poll_output(self) -> TransportOutput | None:
        """Give the oldest output not yet taken."""
        return self._outbox.poll()

    def next_timeout(self) -> float | None:
        """Give the instant at which a connection must be looked at."""
        return self._timers.next_deadline()

    def handle_timeout(self, *, now: float) -> None:
        """Close connections that idle or crawl."""
        while (due := self._timers.pop_due(now)) is not None:
            connection = self._connections.get(due[1])
            if connection is None:
                continue
            if due[0] is _Watch.IDLE and (connection.users or connection.tokens):
                # A dialog or a transaction uses it: however long it idles, it is not closed.
                self._timers.set(due, now + self._limits.idle_stream_seconds)
            elif due[0] is _Watch.CRAWLING and not self._crawls(connection, now):
                self._timers.set(due, now + _CRAWL_CHECK_SECONDS)
            else:
                self._close(connection)

    # inputs

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        """Take one UDP datagram."""
        del now
        parsed = parse_datagram(data, limits=self._limits, strict=self._strict)
        if isinstance(parsed, Malformed):
            self._refuse(parsed, flow)
        elif parsed is not None:
            self._deliver(parsed, flow, (data,))

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        """Take a connection: accepted by the driver, or opened for an `OpenFlow` of ours."""
        if flow.id is None or flow.id in self._connections:
            return
        if flow.id not in self._opening and not self._admits(flow):
            self._outbox.put(CloseFlow(flow=flow))
            return
        connection = _Connection(flow, MessageFramer(self._limits, strict=self._strict))
        self._connections[flow.id] = connection
        self._by_remote[flow.transport, flow.remote] = flow.id
        self._timers.set((_Watch.IDLE, flow.id), now + self._limits.idle_stream_seconds)
        opening = self._opening.pop(flow.id, None)
        if opening is None:
            return
        self._by_remote[opening.hop.transport, opening.hop.remote] = flow.id
        for data, token, owner in opening.waiting:
            self._await(connection, token)
            self._outbox.put(SendStream(flow=flow, data=data))
            if owner is not None:
                self._outbox.put(SentLate(owner=owner, data=data, flow=flow))

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Take octets of a connection; empty means that the peer has finished sending."""
        connection = self._connections.get(flow.id) if flow.id is not None else None
        if connection is None or (connection.deaf and data):
            return
        if not data:
            connection.framer.end_of_stream()
            self._drain(connection)
            self._close(connection)
            return
        connection.framer.receive(data)
        progress = self._drain(connection)
        if connection.deaf and connection.flow.id is not None:
            self._timers.set((_Watch.DEAF, connection.flow.id), now + _DEAF_SECONDS)
        else:
            self._watch(connection, now, progress=progress)

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        """Take the end of a connection, or the failure to open one or to send a datagram."""
        del now
        if flow.id is None:
            return  # datagrams: timers of the transactions tell, whatever ICMP says (spoofable)
        opening = self._opening.pop(flow.id, None)
        if opening is not None:
            self._forget_remote(opening.hop.transport, opening.hop.remote, flow.id)
            for _, token, _ in opening.waiting:
                if token:
                    self._outbox.put(SendFailed(token=token, error=error))
        connection = self._connections.get(flow.id)
        if connection is not None:
            self._forget(connection, error)

    # requests and responses

    def send_request(
        self,
        data: bytes,
        hop: Hop,
        *,
        local: Address,
        flow: Flow | None = None,
        token: str,
        owner: int | None = None,
    ) -> None:
        """Send a request along `flow` while that is open, else along any connection to `hop`, else open one.

        `local` is the address to send datagrams from; `token` names the transaction in a `SendFailed`,
        also when the connection ends before `finished(token)`. What has to wait for a connection is told
        with its `owner` in a `SentLate`.
        """
        if not hop.transport.reliable:
            self._outbox.put(SendDatagram(flow=Flow(Transport.UDP, local, hop.remote), data=data))
            return
        connection = self._connections.get(flow.id) if flow is not None and flow.id is not None else None
        if connection is not None and not connection.deaf:
            self._write(connection, data, token)
        else:
            self._write_to(hop, data, token, owner)

    def finished(self, token: str) -> None:
        """Forget a token: its transaction waits for nothing any more."""
        flow_id = self._token_flows.pop(token, None)
        connection = self._connections.get(flow_id) if flow_id is not None else None
        if connection is not None:
            connection.tokens.discard(token)

    def send_response(self, data: bytes, *, via: Via, flow: Flow, owner: int | None = None) -> None:
        """Send a response where RFC 3261 section 18.2.2 and RFC 3581 section 4 want it.

        `via` is the top Via of the request after marking, `flow` the one it came along, `owner` as for requests.
        """
        if not flow.transport.reliable:
            # RFC 3581 4: "the source address and port MUST be the same as the destination of the request".
            remote = _datagram_target(via, flow)
            self._outbox.put(SendDatagram(flow=Flow(Transport.UDP, flow.local, remote), data=data))
            return
        if flow.id in self._connections:
            self._write(self._connections[flow.id], data, "")
            return
        # RFC 3261 18.2.2: the connection is gone; a new one goes to the address in "received", the port in sent-by.
        # The address is where the request came from: what a peer wrote there must not make us call on somebody else.
        remote = Address(flow.remote.host, via.port or flow.transport.default_port)
        self._write_to(Hop(flow.transport, remote), data, "", owner)

    def is_open(self, flow: Flow) -> bool:
        """Tell whether a message can go along this flow now; always for datagrams."""
        return flow.id is None or flow.id in self._connections

    def retain(self, flow: Flow) -> None:
        """Keep a connection open though idle: a dialog uses it."""
        connection = self._connections.get(flow.id) if flow.id is not None else None
        if connection is not None:
            connection.users += 1

    def release(self, flow: Flow) -> None:
        """Undo one `retain`."""
        connection = self._connections.get(flow.id) if flow.id is not None else None
        if connection is not None and connection.users:
            connection.users -= 1

    def close_all(self) -> None:
        """Close every connection."""
        for connection in list(self._connections.values()):
            self._close(connection)

    # inside

    def _drain(self, connection: _Connection) -> bool:
        """Take what the framer has; tell whether that was anything."""
        progress = False
        while (event := connection.framer.poll()) is not None:
            progress = True
            if event is KeepAlive.PING:
                # RFC 5626 4.4.1: "a server receiving a double CRLF ... MUST respond with a single CRLF".
                self._outbox.put(SendStream(flow=connection.flow, data=b"\r\n"))
            elif isinstance(event, Malformed):
                self._refuse(event, connection.flow)
                if event.fatal:
                    self._lose(connection)
                    break
            elif isinstance(event, (Request, Response)):
                connection.asked = connection.asked or isinstance(event, Request)
                self._deliver(event, connection.flow, (connection.framer.raw_head, event.body))
        return progress

    def _lose(self, connection: _Connection) -> None:
        """Close a connection whose framing is lost, at once unless requests came that may still be answered."""
        if not connection.asked:
            self._close(connection)
            return
        flow = connection.flow
        connection.deaf = True
        if flow.id is not None:
            self._forget_remote(flow.transport, flow.remote, flow.id)

    def _watch(self, connection: _Connection, now: float, *, progress: bool) -> None:
        flow_id = connection.flow.id
        if flow_id is None or flow_id not in self._connections:
            return
        self._timers.set((_Watch.IDLE, flow_id), now + self._limits.idle_stream_seconds)
        key = (_Watch.INCOMPLETE, flow_id)
        if not connection.framer.mid_message:
            self._timers.cancel(key)
            self._timers.cancel((_Watch.CRAWLING, flow_id))
        elif progress or key not in self._timers:
            # The time runs from the first octet of the message that is incomplete now.
            connection.since = now
            self._timers.set(key, now + self._limits.incomplete_message_seconds)
            self._timers.set((_Watch.CRAWLING, flow_id), now + self._limits.slow_message_seconds)

    def _crawls(self, connection: _Connection, now: float) -> bool:
        """Tell whether the message that is arriving comes too slowly to be meant."""
        return connection.framer.arrived_size < (now - connection.since) * self._limits.slow_message_rate

    def _admits(self, flow: Flow) -> bool:
        """Tell whether a connection of a peer's may stay, and count it; nothing is kept of one that may not."""
        host = flow.remote.host
        if len(self._connections) >= self._limits.connections:
            return False
        if self._accepted.get(host, 0) >= self._limits.connections_per_source:
            return False
        self._accepted[host] += 1
        return True

    def _deliver(self, message: Request | Response, flow: Flow, raw: tuple[bytes, ...]) -> None:
        if isinstance(message, Request):
            try:
                mark_top_via(message, flow)
            except RemoteProtocolError as error:
                malformed = Malformed(
                    error=error, request_method=message.method, headers=message.headers, is_response=False, fatal=False
                )
                self._refuse(malformed, flow)
                return
        self._outbox.put(Received(message=message, flow=flow, raw=raw))

    def _refuse(self, malformed: Malformed, flow: Flow) -> None:
        self._outbox.put(Refused(malformed=malformed, flow=flow))
        answer = _answer_to_malformed(malformed)
        if answer is None:
            return
        response, via = answer
        if via is not None:
            marked = _marked(via, flow)
            response.headers.replace_first("Via", str(marked))
            self.send_response(response.to_bytes(), via=marked, flow=flow)
        elif flow.transport.reliable:
            self._outbox.put(SendStream(flow=flow, data=response.to_bytes()))
        else:
            self._outbox.put(SendDatagram(flow=flow, data=response.to_bytes()))

    def _write(self, connection: _Connection, data: bytes, token: str) -> None:
        self._await(connection, token)
        self._outbox.put(SendStream(flow=connection.flow, data=data))

    def _write_to(self, hop: Hop, data: bytes, token: str, owner: int | None) -> None:
        flow_id = self._by_remote.get((hop.transport, hop.remote))
        if flow_id is not None and flow_id in self._connections:
            self._write(self._connections[flow_id], data, token)
            return
        opening = self._opening.get(flow_id) if flow_id is not None else None
        if opening is None:
            if len(self._opening) + len(self._connections) >= self._limits.connections:
                self._outbox.put(SendFailed(token=token, error="too many connections"))
                return
            self._last_id -= 1
            flow_id = FlowId(self._last_id)
            opening = self._opening[flow_id] = _Opening(hop)
            self._by_remote[hop.transport, hop.remote] = flow_id
            self._outbox.put(
                OpenFlow(id=flow_id, transport=hop.transport, remote=hop.remote, server_name=hop.server_name)
            )
        if opening.size + len(data) > max(_PENDING_SIZE, self._limits.body_size):
            self._outbox.put(SendFailed(token=token, error="too much waits for this connection"))
            return
        opening.size += len(data)
        opening.waiting.append((data, token, owner))

    def _await(self, connection: _Connection, token: str) -> None:
        if token and connection.flow.id is not None:
            connection.tokens.add(token)
            self._token_flows[token] = connection.flow.id

    def _close(self, connection: _Connection) -> None:
        if connection.flow.id not in self._connections:
            return
        self._forget(connection, "connection closed")
        self._outbox.put(CloseFlow(flow=connection.flow))

    def _forget(self, connection: _Connection, error: str) -> None:
        flow = connection.flow
        if flow.id is None:
            return
        self._connections.pop(flow.id, None)
        if flow.id > 0:
            self._accepted[flow.remote.host] -= 1
            if self._accepted[flow.remote.host] <= 0:
                del self._accepted[flow.remote.host]
        self._forget_remote(flow.transport, flow.remote, flow.id)
        for watch in _Watch:
            self._timers.cancel((watch, flow.id))
        for token in sorted(connection.tokens):
            self._token_flows.pop(token, None)
            self._outbox.put(SendFailed(token=token, error=error))

    def _forget_remote(self, transport: Transport, remote: Address, flow_id: FlowId) -> None:
        if self._by_remote.get((transport, remote)) == flow_id:
            del self._by_remote[transport, remote]


def mark_top_via(request: Request, flow: Flow) -> None:
    """Write `received` and `rport` into the top Via (RFC 3261 section 18.2.1, RFC 3581 section 4).

    Raises RemoteProtocolError when the top Via cannot be read.
    """
    via = request.top_via
    marked = _marked(via, flow)
    if marked != via:
        request.headers.replace_first("Via", str(marked))
        request.headers.keep_view("Via", "top", marked)


def _marked(via: Via, flow: Flow) -> Via:
    if via.has_rport:
        # RFC 3581 4: with rport "received" is added even when it equals the sent-by.
        via = via.with_parameter("rport", str(flow.remote.port)).with_parameter("received", flow.remote.host)
    elif not _same_host(via.host, flow.remote.host):
        via = via.with_parameter("received", flow.remote.host)
    return via


def _same_host(host: str, address: str) -> bool:
    if host == address:
        return True
    return _is_numeric(host) and ip_address(host) == ip_address(address)


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _datagram_target(via: Via, flow: Flow) -> Address:
    # A maddr of the peer's choosing is not followed: it would let anyone point our answers at a third party.
    if via.rport is not None:
        return flow.remote
    return Address(flow.remote.host, via.port or Transport.UDP.default_port)


def _answer_to_malformed(malformed: Malformed) -> tuple[Response, Via | None] | None:
    """Build the error answer, None when the octets are no request, an ACK, or without what an answer needs.

    Without a readable top Via the answer goes back to where the request came from.
    """
    headers = malformed.headers
    if malformed.is_response or malformed.request_method in (None, "ACK"):
        return None
    vias = headers.get_all("Via")
    if not vias or headers.get("Call-ID") is None or headers.get("CSeq") is None:
        return None
    try:
        via = Via.parse(headers.values("Via")[0])
    except (RemoteProtocolError, IndexError):
        via = None
    status = malformed.error.status_hint
    text = "".join(character if character.isprintable() else " " for character in str(malformed.error))[:120]
    phrase = f"{reason_phrase(status)} - {text}" if status == 400 else reason_phrase(status)
    return Response(status, phrase, copied_headers(headers, to_tag=stateless_tag(headers))), via
