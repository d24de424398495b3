"""Where we listen: `udp://0.0.0.0:5060` and its like to non-blocking sockets."""

import logging
import re
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from siprec_core.errors import ConfigurationError
from siprec_core.types import Address, Transport
from siprec_sync.datagrams import address_of
from siprec_sync.tls import TlsFiles

_LOGGER = logging.getLogger("siprec.listeners")

_BIND = re.compile(r"(?P<transport>[a-z]+)://(?:\[(?P<v6>[^\]/]+)\]|(?P<host>[^:/\[\]]+))(?::(?P<port>\d{1,5}))?/?\Z")

SIGNALLING_BUFFER_SIZE = 4 * 1024 * 1024
"""Receive buffer asked for a SIP socket: a burst of INVITEs with metadata, some 1,000 of 4 KiB."""
BACKLOG = 1_024
"""Connections that may wait to be accepted (the kernel may cap it, net.core.somaxconn)."""


@dataclass(frozen=True, slots=True)
class Bind:
    """One address to listen on, as written by the operator."""

    transport: Transport
    host: str
    """IPv4, IPv6 without brackets, or a name of this host."""
    port: int
    """0 = any free port."""
    tls: TlsFiles | None = None
    """Certificate of this listener alone; None takes that of the server."""

    @classmethod
    def parse(cls, text: str) -> "Bind":
        """Read `TRANSPORT://HOST[:PORT]`, IPv6 in brackets; without a port 5060, or 5061 for TLS.

        Raises ConfigurationError.
        """
        match = _BIND.match(text.strip())
        if match is None:
            raise ConfigurationError(f"bind {text!r}: write TRANSPORT://HOST:PORT, for example udp://0.0.0.0:5060")
        try:
            transport = Transport(match["transport"])
        except ValueError:
            raise ConfigurationError(f"bind {text!r}: the transport is udp, tcp or tls") from None
        port = transport.default_port if match["port"] is None else int(match["port"])
        if port > 65_535:
            raise ConfigurationError(f"bind {text!r}: the port is a number from 0 to 65535")
        return cls(transport, match["v6"] or match["host"], port)

    def __str__(self) -> str:
        return f"{self.transport.value}://{Address(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that is open and bound."""

    transport: Transport
    address: Address
    """The address really bound: the port is the kernel's choice where 0 was asked."""
    socket: socket.socket

    def as_json(self) -> dict[str, object]:
        """Give the entry of the ready file."""
        return {"transport": self.transport.value, "host": self.address.host, "port": self.address.port}


def open_listeners(*binds: str | Bind, given: Sequence[socket.socket] = ()) -> tuple[Listener, ...]:
    """Open a listener for each address, all or none; a socket that was given takes the place of opening its address.

    Raises ConfigurationError that names the address when one is malformed, in use or not ours, and when a given socket
    is that of none. All given sockets are closed then.
    """
    with ExitStack() as opened:
        for sock in given:
            opened.callback(sock.close)
        left = list(given)
        listeners: list[Listener] = []
        for bind in binds:
            wanted = bind if isinstance(bind, Bind) else Bind.parse(bind)
            listener = _take_given(wanted, left) or open_listener(wanted)
            opened.callback(listener.socket.close)
            listeners.append(listener)
        if left:
            raise ConfigurationError(f"the socket that was passed on for {local_address(left[0])} fits no listener")
        opened.pop_all()
    return tuple(listeners)


def bind_of(sock: socket.socket) -> Bind:
    """Give the bind that a socket opened by someone else takes the place of. Raises ConfigurationError."""
    kinds = {socket.SOCK_DGRAM: Transport.UDP, socket.SOCK_STREAM: Transport.TCP}
    transport = kinds.get(sock.type)
    if transport is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        raise ConfigurationError("a socket that was passed on is neither UDP nor TCP")
    address = local_address(sock)
    return Bind(transport, address.host, address.port)


def open_listener(bind: Bind) -> Listener:
    """Open one non-blocking listening socket. Raises ConfigurationError."""
    try:
        if bind.transport is Transport.UDP:
            sock = open_datagram_socket(Address(bind.host, bind.port), buffer_size=SIGNALLING_BUFFER_SIZE)
        else:
            sock = _open_stream_listener(bind)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {bind}: {reason_of(error)}") from error
    return Listener(bind.transport, local_address(sock), sock)


def open_datagram_socket(address: Address, *, buffer_size: int) -> socket.socket:
    """Open a bound, non-blocking UDP socket with `buffer_size` octets of receive buffer where the kernel allows it.

    Raises OSError.
    """
    family, name = _resolve(address, socket.SOCK_DGRAM)
    with ExitStack() as on_failure:
        sock = on_failure.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        if family == socket.AF_INET6:
            # Without this an IPv6 wildcard would take IPv4 too, with addresses in a form that no SDP uses.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _grow_receive_buffer(sock, buffer_size)
        sock.settimeout(0)
        sock.bind(name)
        on_failure.pop_all()
    return sock


def local_address(sock: socket.socket) -> Address:
    """Give the address that a socket is bound to. Raises OSError."""
    return address_of(sock.getsockname())


def is_wildcard(host: str) -> bool:
    """Tell whether a socket bound to `host` hears all addresses of its family."""
    return host in {"0.0.0.0", "::"}


def local_host_towards(remote: Address) -> str:
    """Ask the routing table from which of our addresses `remote` is reached; no packet is sent. Raises OSError."""
    family, name = _resolve(remote, socket.SOCK_DGRAM)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(name)
        return local_address(sock).host


def reason_of(error: OSError) -> str:
    """Give an operating system error as one lower-case phrase for a log line or a finding."""
    text = error.strerror or str(error) or "input/output error"
    return text[:1].lower() + text[1:]


def _take_given(bind: Bind, given: list[socket.socket]) -> Listener | None:
    """Take the socket that is bound to the address of `bind` off the list, None when there is none."""
    kind = socket.SOCK_DGRAM if bind.transport is Transport.UDP else socket.SOCK_STREAM
    try:
        wanted = _resolve(Address(bind.host, bind.port), kind)[1][:2]
        found = next((sock for sock in given if sock.type is kind and sock.getsockname()[:2] == wanted), None)
        if found is None:
            return None
        if (
            found.family == socket.AF_INET6
            and is_wildcard(bind.host)
            and not found.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        ):
            raise ConfigurationError(f"the socket passed on for {bind} takes IPv4 too: make it IPv6 only")
        found.settimeout(0)
        if kind is socket.SOCK_STREAM:
            found.listen(BACKLOG)
        else:
            _grow_receive_buffer(found, SIGNALLING_BUFFER_SIZE)
    except OSError as error:
        raise ConfigurationError(f"the socket passed on for {bind}: {reason_of(error)}") from error
    given.remove(found)
    return Listener(bind.transport, local_address(found), found)


def _open_stream_listener(bind: Bind) -> socket.socket:
    family, name = _resolve(Address(bind.host, bind.port), socket.SOCK_STREAM)
    with ExitStack() as on_failure:
        sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
        # A restart must not wait for connections of the last run to be forgotten.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.settimeout(0)
        sock.bind(name)
        sock.listen(BACKLOG)
        on_failure.pop_all()
    return sock


def _resolve(address: Address, kind: socket.SocketKind) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    found = socket.getaddrinfo(address.host, address.port, type=kind, flags=socket.AI_PASSIVE)
    family, _, _, _, name = found[0]
    return family, name


_granted_buffers: set[int] = set()
"""Buffer sizes already warned about: one line a size is enough."""


def _grow_receive_buffer(sock: socket.socket, wanted: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
    given = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    # Linux doubles what it grants, for its own book-keeping.
    if given < wanted and wanted not in _granted_buffers:
        _granted_buffers.add(wanted)
        _LOGGER.warning(
            "the kernel gives a receive buffer of %d octets where %d were asked for: raise net.core.rmem_max",
            given,
            wanted,
        )
