"""The SIP side of a driver: listeners, datagrams and connections to inputs of the core, commands to sends.

Nothing here waits: the owner polls the selector and calls what is registered with each ready socket.
"""

import logging
import selectors
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias

from siprec_core.limits import Limits
from siprec_core.sip.commands import OpenFlow
from siprec_core.timers import TimerQueue
from siprec_core.types import Address, Flow, FlowId, Transport
from siprec_sync.datagrams import address_of, destination_control, open_reader
from siprec_sync.listeners import Listener, is_wildcard, local_host_towards, reason_of
from siprec_sync.streams import StreamConnection, StreamFailure, StreamState, make_channel, open_connection
from siprec_sync.tls import TlsChannel, TlsError

_LOGGER = logging.getLogger("siprec.signalling")

_ACCEPTS_PER_TURN = 64
_BATCHES_PER_TURN = 8
_ACCEPT_PAUSE_SECONDS = 1.0
"""How long a listener rests when no descriptor is left: the waiting connections would wake us without end."""

Ready: TypeAlias = Callable[[int, float], None]
"""What is registered with a socket: called with the selector's event mask and `now`."""


class FlowInputs(Protocol):
    """Where what happens to flows goes: the inputs of the core."""

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        """Take one UDP datagram."""

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        """Take a connection that is ready for data."""

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Take octets of a connection; empty at its end."""

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        """Take the failure of a connection or of a datagram."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """How connections are treated. Times in seconds, sizes in octets."""

    server_tls: ssl.SSLContext | None = None
    listener_tls: Mapping[Address, ssl.SSLContext] = field(default_factory=dict)
    """Contexts of the listeners that have one of their own, by bound address."""
    client_tls: ssl.SSLContext | None = None
    handshake_seconds: float = 10.0
    """For connecting and the TLS handshake together: stops connections that never say a word."""
    closing_seconds: float = 5.0
    """For sending the rest and for the peer's end after that."""
    outgoing_size: int = 8 * 1024 * 1024
    """Kept for a peer that does not read; more closes the connection."""


class Signalling:
    """Listeners and flows of one driver."""

    def __init__(
        self,
        inputs: FlowInputs,
        *,
        selector: selectors.BaseSelector,
        limits: Limits,
        settings: StreamSettings | None = None,
    ) -> None:
        self._inputs = inputs
        self._selector = selector
        self._limits = limits
        self._settings = settings or StreamSettings()
        self._reader = open_reader(slots=32, slot_size=8_192, destinations=True)
        self._listeners: list[Listener] = []
        self._by_local: dict[Address, Listener] = {}
        self._connections: dict[FlowId, StreamConnection] = {}
        self._masks: dict[FlowId, int] = {}
        self._opened: set[FlowId] = set()
        self._sources: Counter[str] = Counter()
        self._timers: TimerQueue[FlowId | Listener] = TimerQueue()
        self._last_id = 0
        self.refused = 0
        """Connections closed at accept because of a limit."""

    @property
    def connection_count(self) -> int:
        """Connections that hold a socket, opening and closing ones included."""
        return len(self._connections)

    def listen(self, listener: Listener) -> None:
        """Take a listening socket into service; it is closed by `close`."""
        self._listeners.append(listener)
        if listener.transport is Transport.UDP:
            self._reader.prepare(listener.socket)
            self._by_local[listener.address] = listener
        self._watch_listener(listener)

    @property
    def settings(self) -> StreamSettings:
        """How connections to come are treated; may be replaced at any time, from any thread."""
        return self._settings

    @settings.setter
    def settings(self, settings: StreamSettings) -> None:
        self._settings = settings

    def next_timeout(self) -> float | None:
        """Give the instant of the earliest deadline."""
        return self._timers.next_deadline()

    def handle_timeout(self, *, now: float) -> None:
        """Let deadlines pass: handshakes, closings, listeners that rest."""
        while (due := self._timers.pop_due(now)) is not None:
            if isinstance(due, Listener):
                self._watch_listener(due)
            elif (connection := self._connections.get(due)) is not None:
                self._fail(connection, "not opened in time", now)

    def close(self) -> None:
        """Close all sockets at once."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        for listener in self._listeners:
            self._forget(listener.socket)
            listener.socket.close()
        self._listeners.clear()
        self._by_local.clear()

    # commands

    def send_datagram(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Send one datagram from `flow.local`; failure comes back as `flow_failed`."""
        listener = self._by_local.get(flow.local)
        try:
            if listener is not None:
                listener.socket.sendto(data, flow.remote)
            else:
                self._send_from_wildcard(flow, data)
        except OSError as error:
            self._inputs.flow_failed(flow, reason_of(error), now=now)

    def open_flow(self, command: OpenFlow, *, now: float) -> None:
        """Begin to connect."""
        try:
            connection = self._connect(command)
        except (OSError, TlsError) as error:
            flow = Flow(command.transport, Address("", 0), command.remote, command.id)
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            self._inputs.flow_failed(flow, reason, now=now)
        else:
            self._take(connection, now)

    def send_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Write to a connection; failure comes back as `flow_failed`."""
        connection = self._connections.get(flow.id) if flow.id is not None else None
        if connection is None:
            self._inputs.flow_failed(flow, "the connection is closed", now=now)
            return
        try:
            connection.send(data)
        except StreamFailure as error:
            self._fail(connection, str(error), now)
        else:
            self._watch(connection, now)

    def close_flow(self, flow: Flow, *, now: float) -> None:
        """Close a connection after what was written to it has gone out."""
        connection = self._connections.get(flow.id) if flow.id is not None else None
        if connection is None or connection.state is StreamState.CLOSING:
            return
        self._opened.discard(connection.id)
        try:
            connection.finish()
        except StreamFailure:
            self._drop(connection)
        else:
            self._timers.set(connection.id, now + self._settings.closing_seconds)
            self._watch(connection, now)

    # datagrams

    def _send_from_wildcard(self, flow: Flow, data: bytes) -> None:
        family = socket.AF_INET6 if ":" in flow.local.host else socket.AF_INET
        for listener in self._listeners:
            if (
                listener.transport is Transport.UDP
                and listener.address.port == flow.local.port
                and listener.socket.family == family
                and is_wildcard(listener.address.host)
            ):
                if is_wildcard(flow.local.host):
                    listener.socket.sendto(data, flow.remote)
                else:
                    listener.socket.sendmsg([data], destination_control(flow.local.host), 0, flow.remote)
                return
        raise OSError(f"no UDP listener at {flow.local}")

    def _read_datagrams(self, listener: Listener, mask: int, now: float) -> None:
        del mask
        for _ in range(_BATCHES_PER_TURN):
            try:
                batch = self._reader.read(listener.socket)
            except OSError as error:
                _LOGGER.warning("reading from %s failed: %s", listener.address, reason_of(error))
                return
            if batch is None:
                return
            destinations = self._reader.destinations
            for data, source, destination in zip(batch.datagrams, batch.sources, destinations, strict=True):
                flow = Flow(Transport.UDP, self._local_of(listener, destination, source), source)
                self._inputs.receive_datagram(bytes(data), flow=flow, now=now)
            if len(batch) < self._reader.capacity:
                return

    @staticmethod
    def _local_of(listener: Listener, destination: str | None, source: Address) -> Address:
        """Give the address that the datagram was sent to: the answer has to come from it (RFC 3581 section 4)."""
        if not is_wildcard(listener.address.host):
            return listener.address
        if destination is None:
            try:
                destination = local_host_towards(source)
            except OSError:
                destination = listener.address.host
        return Address(destination, listener.address.port)

    # connections

    def _accept(self, listener: Listener, mask: int, now: float) -> None:
        del mask
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, name = listener.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # it was gone before we came to it
            except OSError as error:
                _LOGGER.error("accepting on %s rests a second: %s", listener.address, reason_of(error))
                self._forget(listener.socket)
                self._timers.set(listener, now + _ACCEPT_PAUSE_SECONDS)
                return
            self._admit(listener, sock, address_of(name), now)

    def _admit(self, listener: Listener, sock: socket.socket, remote: Address, now: float) -> None:
        limits = self._limits
        if len(self._connections) >= limits.connections or self._sources[remote.host] >= limits.connections_per_source:
            self.refused += 1
            _LOGGER.info("connection from %s refused: too many", remote)
            sock.close()
            return
        self._last_id += 1
        try:
            channel = None
            if listener.transport is Transport.TLS:
                settings = self._settings
                context = settings.listener_tls.get(listener.address, settings.server_tls)
                channel = make_channel(context, server_side=True)
            connection = self._connection(sock, FlowId(self._last_id), listener.transport, remote, channel)
        except (OSError, TlsError) as error:
            _LOGGER.info("connection from %s failed: %s", remote, error)
            sock.close()
            return
        self._take(connection, now)
        self._begin(connection, now)

    def _connect(self, command: OpenFlow) -> StreamConnection:
        channel = None
        if command.transport is Transport.TLS:
            channel = make_channel(self._settings.client_tls, server_side=False, server_name=command.server_name)
        sock = open_connection(command.remote)
        return self._connection(sock, command.id, command.transport, command.remote, channel, connecting=True)

    def _connection(
        self,
        sock: socket.socket,
        flow_id: FlowId,
        transport: Transport,
        remote: Address,
        channel: TlsChannel | None,
        *,
        connecting: bool = False,
    ) -> StreamConnection:
        try:
            return StreamConnection(
                sock,
                id=flow_id,
                transport=transport,
                remote=remote,
                tls=channel,
                outgoing_limit=self._settings.outgoing_size,
                connecting=connecting,
            )
        except OSError:
            sock.close()
            raise

    def _take(self, connection: StreamConnection, now: float) -> None:
        self._connections[connection.id] = connection
        self._sources[connection.remote.host] += 1
        self._timers.set(connection.id, now + self._settings.handshake_seconds)
        self._watch(connection, now)

    def _begin(self, connection: StreamConnection, now: float) -> None:
        try:
            usable = connection.begin()
        except StreamFailure as error:
            self._fail(connection, str(error), now)
            return
        if usable:
            self._say_opened(connection, now)
        self._watch(connection, now)

    def _say_opened(self, connection: StreamConnection, now: float) -> None:
        self._timers.cancel(connection.id)
        self._opened.add(connection.id)
        self._inputs.flow_opened(connection.flow, now=now)

    def _connection_ready(self, connection: StreamConnection, mask: int, now: float) -> None:
        if connection.state is StreamState.CLOSED:
            return  # closed by what happened earlier in this turn
        if connection.state is StreamState.CONNECTING:
            self._begin(connection, now)
            return
        try:
            if mask & selectors.EVENT_WRITE:
                connection.write()
            pieces = connection.read() if mask & selectors.EVENT_READ else []
        except StreamFailure as error:
            self._fail(connection, str(error), now)
            return
        if connection.state is StreamState.OPEN and connection.id not in self._opened:
            self._say_opened(connection, now)
        for piece in pieces:
            self._inputs.receive_stream(connection.flow, piece, now=now)
        self._watch(connection, now)

    def _fail(self, connection: StreamConnection, error: str, now: float) -> None:
        known = connection.id in self._opened or (connection.id < 0 and connection.state is not StreamState.CLOSING)
        self._drop(connection)
        if known:
            self._inputs.flow_failed(connection.flow, error, now=now)
        elif connection.state is not StreamState.CLOSING:
            _LOGGER.info("connection from %s failed: %s", connection.remote, error)

    def _drop(self, connection: StreamConnection) -> None:
        if self._connections.pop(connection.id, None) is None:
            return
        self._opened.discard(connection.id)
        self._timers.cancel(connection.id)
        self._sources[connection.remote.host] -= 1
        if not self._sources[connection.remote.host]:
            del self._sources[connection.remote.host]
        if self._masks.pop(connection.id, 0):
            self._forget(connection.socket)
        connection.close()

    # selector

    def _watch(self, connection: StreamConnection, now: float) -> None:
        """Register what the connection waits for now."""
        del now
        if connection.id not in self._connections:
            return
        if connection.finished:
            self._drop(connection)
            return
        mask = connection.wants_read * selectors.EVENT_READ | connection.wants_write * selectors.EVENT_WRITE
        old = self._masks.get(connection.id, 0)
        if mask == old:
            return
        self._masks[connection.id] = mask
        ready: Ready = partial(self._connection_ready, connection)
        if not old:
            self._selector.register(connection.socket, mask, ready)
        elif not mask:
            self._forget(connection.socket)
        else:
            self._selector.modify(connection.socket, mask, ready)

    def _watch_listener(self, listener: Listener) -> None:
        take = self._read_datagrams if listener.transport is Transport.UDP else self._accept
        ready: Ready = partial(take, listener)
        self._selector.register(listener.socket, selectors.EVENT_READ, ready)

    def _forget(self, sock: socket.socket) -> None:
        try:
            self._selector.unregister(sock)
        except KeyError:
            pass  # it was not registered at the moment
