"""One TCP or TLS connection on a non-blocking socket: buffers, half close, and an end that loses nothing."""

import errno
import os
import socket
import ssl
from dataclasses import replace
from enum import Enum, auto

from siprec_core.types import Address, Flow, FlowId, Transport
from siprec_sync.listeners import local_address, reason_of
from siprec_sync.tls import TlsChannel, TlsError
from siprec_sync.tls_identity import DomainContext

READ_SIZE = 64 * 1024
_READS_PER_TURN = 8
"""Reads of one connection before others have their turn."""


class StreamState(Enum):
    """Where a connection is in its life."""

    CONNECTING = auto()
    HANDSHAKING = auto()
    OPEN = auto()
    CLOSING = auto()
    """Sending the rest, then waiting for the peer to see our end."""
    CLOSED = auto()


class StreamFailure(Exception):  # noqa: N818 - the RFC's word: a flow fails
    """The connection broke; the message says how."""


class StreamConnection:
    """A connection to a peer. Methods never block; StreamFailure means that it is over."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        id: FlowId,  # noqa: A002 - the name that `Flow` gives it
        transport: Transport,
        remote: Address,
        tls: TlsChannel | None,
        outgoing_limit: int,
        connecting: bool = False,
    ) -> None:
        self.socket = sock
        self.id = id
        self.transport = transport
        self.remote = remote
        self.state = StreamState.CONNECTING if connecting else StreamState.HANDSHAKING
        self._tls = tls
        self._outgoing = bytearray()
        self._outgoing_limit = outgoing_limit
        self._ended = False
        self._said_end = False
        sock.settimeout(0)
        # Answers are small and wanted at once; a peer that vanished without a word must be noticed one day.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.flow = Flow(transport, Address("", 0), remote, id)
        """Complete from the end of the connecting on."""

    @property
    def wants_read(self) -> bool:
        """True while there is something to hear."""
        return not self._ended and self.state not in {StreamState.CONNECTING, StreamState.CLOSED}

    @property
    def wants_write(self) -> bool:
        """True while something waits to be sent, or for the connection to be made."""
        return self.state is StreamState.CONNECTING or (bool(self._outgoing) and self.state is not StreamState.CLOSED)

    @property
    def finished(self) -> bool:
        """True when the closing is complete: all was sent and the peer has closed too."""
        return self.state is StreamState.CLOSING and not self._outgoing and self._ended

    def begin(self) -> bool:
        """Go on after the TCP connection is made; True when data can flow now. Raises StreamFailure."""
        number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise StreamFailure(reason_of(OSError(number, os.strerror(number))))
        try:
            self.flow = Flow(self.transport, local_address(self.socket), self.remote, self.id)
        except OSError as error:
            raise StreamFailure(reason_of(error)) from error
        if self._tls is None:
            self.state = StreamState.OPEN
            return True
        self.state = StreamState.HANDSHAKING
        try:
            self._tls.start()
        except TlsError as error:
            raise StreamFailure(f"TLS: {error}") from error
        self._flush()
        return False

    def read(self) -> list[bytes]:
        """Take what has arrived as plaintext, `b""` last when the peer finished sending. Raises StreamFailure."""
        pieces: list[bytes] = []
        for _ in range(_READS_PER_TURN):
            try:
                data = self.socket.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                raise StreamFailure(reason_of(error)) from error
            self._ended = self._ended or not data
            if self.state is not StreamState.CLOSING:  # then nobody listens: wait for the end only
                pieces += self._decrypted(data)
            if len(data) < READ_SIZE:
                break
        return pieces

    def send(self, data: bytes) -> None:
        """Send, or keep until the socket takes it.

        Raises StreamFailure when too much is kept: the peer does not read.
        """
        if self.state in {StreamState.CLOSING, StreamState.CLOSED}:
            return
        if len(self._outgoing) + (self._tls.waiting_size if self._tls else 0) + len(data) > self._outgoing_limit:
            raise StreamFailure("the peer does not read what it is sent")
        if self._tls is None:
            self._outgoing += data
        else:
            try:
                self._tls.send(data)
            except TlsError as error:
                raise StreamFailure(f"TLS: {error}") from error
        self._flush()

    def write(self) -> None:
        """Send what waits, as far as the socket takes it. Raises StreamFailure."""
        self._flush()

    def finish(self) -> None:
        """Begin to close: what waits is sent first. Raises StreamFailure.

        The socket then stays open until the peer has closed too: closing it with unread input would make the kernel
        reset the connection, and the reset can overtake the last answer.
        """
        if self.state not in {StreamState.OPEN, StreamState.CLOSING}:
            raise StreamFailure("closed before it was open")
        self.state = StreamState.CLOSING
        if self._tls is not None:
            self._tls.close()
        self._flush()

    def close(self) -> None:
        """Close the socket at once; harmless when it is closed."""
        self.state = StreamState.CLOSED
        self.socket.close()

    def _decrypted(self, data: bytes) -> list[bytes]:
        if self._tls is None:
            return [data]
        try:
            pieces = self._tls.receive(data)
        except TlsError as error:
            self._send_alert()
            raise StreamFailure(f"TLS: {error}") from error
        if self._tls.established and self.state is StreamState.HANDSHAKING:
            self.state = StreamState.OPEN
            self.flow = replace(self.flow, peer_names=self._tls.peer_names)
        self._ended = self._ended or self._tls.ended
        self._flush()
        return pieces

    def _send_alert(self) -> None:
        """Tell the peer why, if that costs no waiting."""
        if self._tls is not None:
            try:
                self.socket.send(self._tls.outgoing())
            except OSError:
                pass  # the connection is given up anyway

    def _flush(self) -> None:
        if self._tls is not None:
            self._outgoing += self._tls.outgoing()
        while self._outgoing and self.state is not StreamState.CONNECTING:
            try:
                sent = self.socket.send(self._outgoing)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                raise StreamFailure(reason_of(error)) from error
            del self._outgoing[:sent]
        if self.state is StreamState.CLOSING and not self._said_end:
            self._said_end = True
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                raise StreamFailure(reason_of(error)) from error


def open_connection(remote: Address) -> socket.socket:
    """Begin to connect a non-blocking TCP socket; it turns writable when that is done. Raises OSError."""
    family = socket.AF_INET6 if ":" in remote.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        number = sock.connect_ex((remote.host, remote.port))
        if number not in {0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR}:
            raise OSError(number, os.strerror(number))
    except OSError:
        sock.close()
        raise
    return sock


def make_channel(context: ssl.SSLContext | None, *, server_side: bool, server_name: str | None = None) -> TlsChannel:
    """Make the TLS end of a connection; raises TlsError without a context or with an impossible server name."""
    if context is None:
        raise TlsError("no TLS context is configured")
    by_name = context.check_hostname or (isinstance(context, DomainContext) and context.verify_mode != ssl.CERT_NONE)
    if by_name and not server_side and not server_name:
        raise TlsError("no name to check the certificate against")
    try:
        return TlsChannel(context, server_side=server_side, server_name=server_name)
    except ValueError as error:
        raise TlsError(f"server name {server_name!r}: {error}") from error
