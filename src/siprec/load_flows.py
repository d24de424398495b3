"""The signalling path that the calls of a load test share: one UDP socket, or one connection.

What comes back belongs to the call that its Call-ID names. Each client believes in a connection of its own; here the
connections of all of them are one.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol, assert_never

from siprec_core.client import RecordingClient
from siprec_core.sip.commands import CloseFlow, FlowCommand, OpenFlow, SendDatagram, SendStream
from siprec_core.types import Flow, FlowId
from siprec_sync.signalling import Signalling

_CALL_ID = re.compile(rb"\r\n(?:Call-ID|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_CONTENT_LENGTH = re.compile(rb"\r\n(?:Content-Length|l)[ \t]*:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_LARGEST_SIZE = 1 << 20
"""Octets of a message; a stream with a longer one is of no use for a load test."""


class FlowUser(Protocol):
    """One call that uses the shared path."""

    @property
    def client(self) -> RecordingClient:
        """The machine of the call."""

    def enter(self, function: Callable[[], None], message: bytes = b"") -> None:
        """Give the client an input, after the one under way; `message` is what came from the server."""


def call_id_of(message: bytes) -> bytes:
    """Give the Call-ID of a message, empty when it has none."""
    match = _CALL_ID.search(message)
    return b"" if match is None else match[1].strip()


class SharedFlow:
    """The one path, as the inputs of `Signalling` and the commands of the clients see it."""

    def __init__(self) -> None:
        self.signalling: Signalling | None = None
        """Set before the first call."""
        self._users: dict[bytes, FlowUser] = {}
        self._aliases: dict[FlowUser, set[FlowId]] = {}
        """Ids that a client gave to its connection, open or being opened."""
        self._flow: Flow | None = None
        """The connection, once it is open."""
        self._opening = False
        self._last_id = 0
        self._buffer = bytearray()

    def add(self, call_id: bytes, user: FlowUser) -> None:
        """Pass messages with this Call-ID to a call."""
        self._users[call_id] = user

    def remove(self, call_id: bytes, user: FlowUser) -> None:
        """Pass nothing more to a call; harmless twice."""
        self._users.pop(call_id, None)
        self._aliases.pop(user, None)

    def perform(self, user: FlowUser, command: FlowCommand, *, now: float) -> None:
        """Carry out a command of a client."""
        if self.signalling is None:
            return
        match command:
            case SendDatagram():
                self.signalling.send_datagram(command.flow, command.data, now=now)
            case OpenFlow():
                self._open(self.signalling, user, command, now)
            case SendStream():
                if self._flow is None:
                    _tell_failed(user, command.flow, "the connection is closed", now)
                else:
                    self.signalling.send_stream(self._flow, command.data, now=now)
            case CloseFlow():
                if command.flow.id is not None:
                    self._aliases.get(user, set()).discard(command.flow.id)
            case _:
                assert_never(command)

    # inputs of signalling (FlowInputs)

    def receive_datagram(self, data: bytes, *, flow: Flow, now: float) -> None:
        """Pass a datagram to the call that it is for; others are dropped."""
        user = self._users.get(call_id_of(data))
        if user is not None:
            user.enter(lambda: user.client.receive_datagram(data, flow=flow, now=now), data)

    def flow_opened(self, flow: Flow, *, now: float) -> None:
        """Tell every call that waits for the connection."""
        self._flow, self._opening = flow, False
        self._buffer.clear()
        for user in list(self._aliases):
            self._tell_opened(user, flow, now)

    def receive_stream(self, flow: Flow, data: bytes, *, now: float) -> None:
        """Cut the octets into messages and pass each to the call that it is for."""
        if not data:
            self.flow_failed(flow, "the server closed the connection", now=now)
            return
        self._buffer += data
        while (message := self._next_message()) is not None:
            self._pass_on(flow, message, now)
        if len(self._buffer) > _LARGEST_SIZE:
            self.flow_failed(flow, "a message is too long", now=now)

    def flow_failed(self, flow: Flow, error: str, *, now: float) -> None:
        """Tell every call that used the connection; for a datagram nobody is told, and timers act."""
        if flow.id is None:
            return
        self._flow, self._opening = None, False
        self._buffer.clear()
        aliases, self._aliases = self._aliases, {}
        for user, ids in aliases.items():
            for flow_id in ids:
                _tell_failed(user, replace(flow, id=flow_id), error, now)

    # connections

    def _open(self, signalling: Signalling, user: FlowUser, command: OpenFlow, now: float) -> None:
        self._aliases.setdefault(user, set()).add(command.id)
        if self._flow is not None:
            self._tell_opened(user, self._flow, now)
        elif not self._opening:
            self._opening = True
            self._last_id -= 1
            signalling.open_flow(replace(command, id=FlowId(self._last_id)), now=now)

    def _tell_opened(self, user: FlowUser, flow: Flow, now: float) -> None:
        for flow_id in self._aliases.get(user, ()):
            user.enter(partial(user.client.flow_opened, replace(flow, id=flow_id), now=now))

    def _pass_on(self, flow: Flow, message: bytes, now: float) -> None:
        user = self._users.get(call_id_of(message))
        ids = () if user is None else self._aliases.get(user, ())
        if user is not None:
            for flow_id in list(ids)[-1:]:
                user.enter(partial(user.client.receive_stream, replace(flow, id=flow_id), message, now=now), message)

    def _next_message(self) -> bytes | None:
        """Take a whole message out of the buffer."""
        while self._buffer[:2] == b"\r\n":
            del self._buffer[:2]  # RFC 3261 7.5: empty lines before a start line are ignored
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _CONTENT_LENGTH.search(self._buffer, 0, end + 2)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < size:
            return None
        message = bytes(self._buffer[:size])
        del self._buffer[:size]
        return message


def _tell_failed(user: FlowUser, flow: Flow, error: str, now: float) -> None:
    user.enter(partial(user.client.flow_failed, flow, error, now=now))
